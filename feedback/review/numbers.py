"""How review is going, in numbers: what is open, what was decided, who agrees with whom.

A verdict is an acceptance, the first yes where two are asked, or a rejection, as the history has
it; an escalation is none, and what was undone within seconds never was one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import reduce

import msgspec
from django.db.models import Count, Min, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from config.database import fetch
from feedback import claims
from feedback.agreement import Agreement, Pairs, cohen_kappa
from feedback.intervals import wilson
from feedback.models import Decision, Feedback, HourFigures

WEEK = timedelta(days=7)
FLOW_DAYS = 14
NEARLY_ALWAYS = 0.95
LEAST_OF_ALL, LEAST_OF_TWO = 30, 10  # judged twice, before agreement is told
MOST_PAIRS = 20
MOST_READ = 20_000  # records, the newest: more take long, and move no share by a point

# An undo comes next after what it takes back.
_VERDICTS = """
    WITH records AS (
        SELECT h.history_id, h.feedback_id, h.history_date AS at, h.moderator, h.decision,
            h.seconds, f.flags, h.is_undo
        FROM feedback_historicalreview AS h CROSS JOIN LATERAL (
            SELECT flags FROM feedback WHERE number = h.feedback_id AND task_id = ANY(%(tasks)s)
            LIMIT 1) AS f  -- row by row: else the planner reads all feedback
        WHERE h.history_date >= %(since)s ORDER BY h.history_date DESC LIMIT %(most)s
    ), verdicts AS MATERIALIZED (
        SELECT history_id, feedback_id, at, moderator, seconds, decision <> 'reject' AS is_yes,
            CASE WHEN lead(true) OVER act IS NULL THEN flags END AS flags  -- of the latest
        FROM (SELECT *, lead(is_undo, 1, false) OVER (
            PARTITION BY feedback_id ORDER BY history_id) AS is_undone FROM records) AS r
        WHERE decision IN ('accept', 'approve', 'reject') AND NOT is_undo AND NOT is_undone
        WINDOW act AS (PARTITION BY feedback_id ORDER BY history_id)
    ), speed AS (
        SELECT moderator, count(*) AS decided, count(*) FILTER (WHERE is_yes) AS accepted,
            count(*) FILTER (WHERE at >= %(midnight)s) AS today,
            count(*) FILTER (WHERE at >= %(week)s) AS week, count(seconds) AS timed,
            percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY seconds) AS percentiles
        FROM verdicts GROUP BY GROUPING SETS ((), (moderator))
    ), flags AS (
        SELECT flag, sum(n) AS n, sum(accepted) AS accepted FROM (
            SELECT flags, count(*) AS n, count(*) FILTER (WHERE is_yes) AS accepted
            FROM verdicts GROUP BY flags) AS same, unnest(flags) AS flag GROUP BY flag
    ), pairs AS (
        SELECT l.first, l.second, json_build_array(
            count(*) FILTER (WHERE is_first_yes AND is_second_yes),
            count(*) FILTER (WHERE is_first_yes AND NOT is_second_yes),
            count(*) FILTER (WHERE NOT is_first_yes AND is_second_yes),
            count(*) FILTER (WHERE NOT is_first_yes AND NOT is_second_yes)) AS counts
        FROM feedback_secondlook AS l JOIN feedback AS f ON f.number = l.feedback_id
        WHERE l.judged_at >= %(since)s AND f.task_id = ANY(%(tasks)s) GROUP BY l.first, l.second
    )
    SELECT json_build_object('read', (SELECT count(*) FROM records),
        'speeds', (SELECT json_agg(speed) FROM speed),
        'flags', (SELECT coalesce(json_agg(flags), '[]') FROM flags),
        'pairs', (SELECT coalesce(json_agg(pairs), '[]') FROM pairs))::text"""


class Speed(msgspec.Struct):
    """How many verdicts, and how long each took where it was taken up alone.

    `moderator` is None for all together.
    """

    moderator: str | None
    decided: int
    accepted: int
    today: int
    week: int
    timed: int
    percentiles: tuple[float, float] | None
    has_open: bool = False

    @property
    def median(self) -> float | None:
        return self.percentiles and self.percentiles[0]

    @property
    def p90(self) -> float | None:
        return self.percentiles and self.percentiles[1]


class FlagShare(msgspec.Struct):
    """How often feedback with one flag was accepted, by the latest verdict about each."""

    flag: str
    n: int
    accepted: int

    @property
    def low(self) -> float:
        return wilson(self.accepted, self.n).low

    @property
    def high(self) -> float:
        return wilson(self.accepted, self.n).high

    @property
    def is_nearly_always_accepted(self) -> bool:
        """Judge by the interval: it takes 73 of 73 at least."""
        return self.low >= NEARLY_ALWAYS

    @property
    def is_nearly_always_rejected(self) -> bool:
        return self.high <= 1 - NEARLY_ALWAYS


class _Pair(msgspec.Struct):
    """What two said of the same feedback, the second not knowing what the first did."""

    first: str
    second: str
    counts: Pairs


class _Verdicts(msgspec.Struct):
    read: int
    speeds: list[Speed]
    flags: list[FlagShare]
    pairs: list[_Pair]


@dataclass(frozen=True)
class Opened:
    """What waits of one task."""

    task: int
    count: int
    oldest: datetime
    escalated: int
    approved: int


@dataclass(frozen=True)
class Day:
    """How many were flagged on a day, and how many decided."""

    day: date
    flagged: int = 0
    decided: int = 0

    @property
    def growth(self) -> int:
        return self.flagged - self.decided


@dataclass(frozen=True)
class Decided:
    """What was decided in some days: by all, by each moderator, by flag, and twice."""

    is_cut: bool  # only the newest were read
    all: Speed
    by_moderator: list[Speed]
    flags: list[FlagShare]
    agreement: Agreement
    between: list[tuple[str, str, Agreement]]

    @property
    def is_agreement_known(self) -> bool:
        return self.agreement.n >= LEAST_OF_ALL


def opened(tasks: list[int]) -> list[Opened]:
    """Count what waits, by task."""
    waiting = Feedback.objects.flagged().filter(task__in=tasks)
    rows = (
        waiting.order_by()
        .values_list("task")
        .annotate(
            count=Count("pk"),
            oldest=Min("created_at"),
            escalated=Count("pk", filter=Q(review__decision=Decision.ESCALATE)),
            approved=Count("pk", filter=Q(review__decision=Decision.APPROVE)),
        )
    )
    return sorted((Opened(*row) for row in rows), key=lambda row: -row.count)


def flow(tasks: list[int]) -> list[Day]:
    """Return how many came and went in the last days, the oldest first, as the figures count."""
    first = _midnight() - timedelta(days=FLOW_DAYS - 1)
    hours = HourFigures.objects.filter(task__in=tasks, hour__gte=first)
    sums = hours.order_by().values_list(TruncDate("hour")).annotate(Sum("flagged"), Sum("decided"))
    found = {row[0]: Day(*row) for row in sums}
    days = (first.date() + timedelta(days=n) for n in range(FLOW_DAYS))
    return [found.get(day, Day(day)) for day in days]


def decided(tasks: list[int], *, days: int) -> Decided:
    """Return what was decided in so many days, and what is before whom now."""
    now = timezone.now()
    asked = {
        "tasks": tasks,
        "most": MOST_READ,
        "since": now - timedelta(days=days),
        "week": now - WEEK,
        "midnight": _midnight(),
    }
    found = fetch(_VERDICTS, asked, _Verdicts)
    by_moderator = {str(row.moderator): row for row in found.speeds if row.moderator is not None}
    for moderator in _with_open(tasks):
        nothing = Speed(moderator, 0, 0, 0, 0, 0, None)
        by_moderator.setdefault(moderator, nothing).has_open = True
    return Decided(
        is_cut=found.read >= MOST_READ,
        all=next(row for row in found.speeds if row.moderator is None),
        by_moderator=sorted(by_moderator.values(), key=lambda row: (-row.decided, row.moderator)),
        flags=sorted(found.flags, key=lambda row: -row.n),
        agreement=cohen_kappa(reduce(Pairs.plus, (pair.counts for pair in found.pairs), Pairs())),
        between=_between_two(found.pairs),
    )


def _midnight() -> datetime:
    return timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)


def _with_open(tasks: list[int]) -> Iterable[str]:
    own = Feedback.objects.filter(task__in=tasks).values("pk")
    return claims.living(claims.FEEDBACK).filter(item__in=own).values_list("moderator", flat=True)


def _between_two(pairs: list[_Pair]) -> list[tuple[str, str, Agreement]]:
    """Put together what two said, whoever came first; the pairs that judged most come first."""
    counts: dict[tuple[str, str], Pairs] = {}
    for pair in pairs:
        names = (pair.first, pair.second)
        in_order = (min(names), max(names))
        said = pair.counts if names == in_order else pair.counts.turned
        counts[in_order] = counts.get(in_order, Pairs()).plus(said)
    told = [(*names, cohen_kappa(said)) for names, said in counts.items()]
    enough = [row for row in told if row[2].n >= LEAST_OF_TWO]
    return sorted(enough, key=lambda row: -row[2].n)[:MOST_PAIRS]
