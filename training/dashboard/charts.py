"""The charts of the dashboard, as numbers: a script draws them, and a table says the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import IntegerField, Max, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, TruncDay
from django.utils import timezone

from feedback.models import HourFigures, Task
from feedback.signals import SIGNALS
from training.checking import slice_accuracy
from training.dashboard.scope import Scope
from training.models import CHAMPION, AnswerToCheck, ModelAlias

DAYS, WEEK = 30, timedelta(days=7)
MOST_REIGNS = 50
# Which token of the look colours a signal.
COLOURS = dict(
    zip(
        SIGNALS,
        ("ok", "danger", "accent", "attention", "line", "info", "added", "quiet"),
        strict=True,
    )
)


@dataclass(frozen=True)
class Series:
    """One line, stack or band of a chart; `now` is its last value in words."""

    name: str
    colour: str
    values: Sequence[float | None]
    now: str


@dataclass(frozen=True)
class Chart:
    """A chart: `kind` is bars (stacked), lines, steps or marks (estimate, low, high)."""

    name: str
    title: str
    axis: str
    kind: str
    empty: str
    times: Sequence[datetime]
    series: Sequence[Series]
    write: Callable[[float], str]
    is_daily: bool = False
    names: Sequence[str] = field(default_factory=list)  # of its points, where they have some

    @property
    def data(self) -> dict[str, Any]:
        """What the script draws."""
        return {
            "kind": self.kind,
            "axis": self.axis,
            "isDaily": self.is_daily,
            "until": timezone.now().timestamp(),
            "times": [time.timestamp() for time in self.times],
            "series": [one.values for one in self.series],
            "texts": [[_text(self.write, v) for v in one.values] for one in self.series],
        }

    @property
    def rows(self) -> list[tuple[datetime, str, tuple[str, ...]]]:
        """The same as a table, newest first."""
        names = self.names or [""] * len(self.times)
        texts = [[_text(self.write, value) for value in one.values] for one in self.series]
        return list(zip(self.times, names, zip(*texts, strict=True), strict=True))[::-1]


_whole, _seconds, _percent = "{:,.0f}".format, "{:,.2f} s".format, "{:.1f}%".format


def _text(write: Callable[[float], str], value: float | None) -> str:
    return "" if value is None else write(value)


def charts(scope: Scope) -> list[Chart]:
    return [_by_signal(scope), _to_processed(scope), _accuracy(scope), _depth(scope)]


def _by_signal(scope: Scope) -> Chart:
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    days = [today - timedelta(days=n) for n in reversed(range(DAYS))]
    sums = {name: Sum(Cast(KT(f"signals__{name}"), IntegerField())) for name in SIGNALS}
    hours = HourFigures.objects.filter(task__in=scope.ids, hour__gte=days[0], captured__gt=0)
    told: Any = hours.values(day=TruncDay("hour")).annotate(**sums).order_by()
    found = {row["day"]: row for row in told}
    counts = {name: [found.get(day, {}).get(name) or 0 for day in days] for name in SIGNALS}
    series = [
        Series(name, COLOURS[name], values, _last(values, _whole))
        for name, values in counts.items()
        if any(values)
    ]
    return Chart(
        name="signals",
        title="Feedback by signal, today",
        axis="Feedback a day",
        kind="bars",
        empty=f"Nothing was captured in {DAYS} days.",
        times=days if series else [],
        series=series,
        write=_whole,
        is_daily=True,
    )


def _to_processed(scope: Scope) -> Chart:
    hours = HourFigures.objects.filter(
        task__in=scope.ids, hour__gte=timezone.now() - WEEK, p50_seconds__isnull=False
    )
    # Percentiles of several tasks make none of all: the slowest says what the last one waits.
    percentiles = {"p50": Max("p50_seconds"), "p99": Max("p99_seconds")}
    rows: list[Any] = list(hours.values("hour").annotate(**percentiles).order_by("hour"))
    p50, p99 = ([row[name] for row in rows] for name in ("p50", "p99"))
    return Chart(
        name="processed",
        title="Time to processed" + (", slowest task" if len(scope.tasks) > 1 else ""),
        axis="Seconds, by the hour it came",
        kind="lines",
        empty="Nothing was processed in 7 days.",
        times=[row["hour"] for row in rows],
        series=[
            Series("p50", "accent", p50, _last(p50, _seconds)),
            Series("p99", "attention", p99, _last(p99, _seconds)),
        ],
        write=_seconds,
    )


def _accuracy(scope: Scope) -> Chart:
    """Of one task: the chosen one, that of the newest champion, or the one checked last."""
    moves = ModelAlias.history.filter(task__in=scope.ids, name=CHAMPION).exclude(history_type="-")
    checks = AnswerToCheck.objects.filter(task__in=scope.ids, is_random=True, status="answered")
    of = moves.order_by("-history_date", "-history_id").values_list("task_id", flat=True).first()
    of = of or checks.order_by("-answered_at").values_list("task_id", flat=True).first()
    chosen = scope.tasks if len(scope.tasks) == 1 else [t for t in scope.tasks if t.pk == of]
    task = chosen[0] if chosen else None
    served, checked = ([], []) if task is None else (_served(moves, task), _checked(task))
    points = sorted([*served, *checked], key=lambda point: point.at)
    return Chart(
        name="accuracy",
        title="Accuracy of served versions"
        + (f", {task.slug}" if task and len(scope.tasks) > 1 else ""),
        axis="% right, 95% interval",
        kind="marks",
        empty="No model has served yet.",
        times=[point.at for point in points],
        series=[
            Series(name, colour, values, _last(values, _percent))
            for kind, colour in (("holdout", "accent"), ("checked answers", "attention"))
            if any(point.kind == kind for point in points)
            for name, values in _bounds(kind, points)
        ],
        write=_percent,
        names=[point.name for point in points],
    )


@dataclass(frozen=True)
class Point:
    """How often one version was right, by one measure: in percent, with its interval."""

    at: datetime
    name: str
    kind: str
    values: tuple[float | None, float | None, float | None]


def _bounds(kind: str, points: list[Point]) -> list[tuple[str, list[float | None]]]:
    of_kind = [point.values if point.kind == kind else (None, None, None) for point in points]
    names = (kind, f"{kind}, low", f"{kind}, high")
    return [
        (name, list(values)) for name, values in zip(names, zip(*of_kind, strict=True), strict=True)
    ]


def _served(moves: Any, task: Task) -> list[Point]:
    """Return the champions at the time when they began to serve, by their holdout."""
    found = []
    reigns = moves.filter(task=task).select_related("model_version__run").order_by("-history_id")
    for move in reigns[:MOST_REIGNS]:
        holdout = move.model_version.run.metrics.get("holdout") or {}
        if "accuracy" in holdout:
            names = ("accuracy", "accuracy_low", "accuracy_high")
            estimate, low, high = (_in_percent(holdout.get(name)) for name in names)
            version = f"v{move.model_version.version}"
            found.append(Point(move.history_date, version, "holdout", (estimate, low, high)))
    return found


def _checked(task: Task) -> list[Point]:
    """Return what the random slice of checked answers says, at the last of them."""
    return [
        Point(
            told.until,
            told.model,
            "checked answers",
            (100 * told.interval.estimate, 100 * told.interval.low, 100 * told.interval.high),
        )
        for told in slice_accuracy(task)[:MOST_REIGNS]
    ]


def _in_percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _last(values: Sequence[float | None], write: Callable[[float], str]) -> str:
    return next((write(value) for value in reversed(values) if value is not None), "")


def _depth(scope: Scope) -> Chart:
    """What was open by the hour; where nothing was measured nothing had changed."""
    now = timezone.now()
    rows = HourFigures.objects.filter(task__in=scope.ids, open_flagged__isnull=False)
    measured = rows.order_by("hour").values_list("task", "hour", "open_flagged", "open_pending")
    before = measured.filter(hour__lt=now - WEEK).order_by("task", "-hour").distinct("task")
    known = {task: (flagged or 0, pending or 0) for task, _, flagged, pending in before}
    times, depths = ([now - WEEK], [_total(known)]) if known else ([], [])
    for task, hour, open_flagged, open_pending in measured.filter(hour__gte=now - WEEK):
        known[task] = (open_flagged or 0, open_pending or 0)
        if not times or times[-1] != hour:
            times.append(hour)
            depths.append((0, 0))
        depths[-1] = _total(known)
    if times:
        times.append(now)
        depths.append(depths[-1])
    flagged, pending = ([depth[n] for depth in depths] for n in (0, 1))
    return Chart(
        name="depth",
        title="Queue depth",
        axis="Feedback open",
        kind="steps",
        empty="The queues are not measured yet.",
        times=times,
        series=[
            Series("flagged", "attention", flagged, _last(flagged, _whole)),
            Series("pending", "accent", pending, _last(pending, _whole)),
        ],
        write=_whole,
    )


def _total(known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    return sum(f for f, _ in known.values()), sum(p for _, p in known.values())
