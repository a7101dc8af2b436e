"""What follows from scores: who is on probation, trusted or quarantined, and what of their acts.

Scores come from training, which knows what a model thinks; a moderator may decide otherwise.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Exists, Func, Max, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Now

from feedback.models import Contributor, Feedback, Inference, Review, Standing, Status, Task
from privacy.models import DataSubject
from privacy.tombstones import erased_among

LOW_TRUST = "feedback.low_trust"
FEWEST_ACTS = 15  # below these a contributor is on probation
QUARANTINED_BELOW, RELEASED_ABOVE = 0.3, 0.6  # probability of being honest
FIGURES = ["honesty", "evidence", "acts", "agreed", "disagreed"]
HARMFUL = "trust times {:g}: their rows did harm to the newest model"
STEPS = 20  # trust has so many, one at least; a smaller change is no news


@dataclass(frozen=True)
class Score:
    """What was found about one person: `acts` are those that say something about honesty.

    `credit` lowers the trust of whose rows did harm to the newest model, from 1.
    """

    user_id: str
    honesty: float
    evidence: float
    acts: int
    agreed: int
    disagreed: int
    credit: float = 1.0


@transaction.atomic
def apply(task: Task, scores: Iterable[Score]) -> None:
    """Store scores; a change of standing or trust leaves history, and quarantine what follows."""
    Task.objects.select_for_update().get(pk=task.pk)  # runs ask for trust under the same lock
    known = {row.user_id: row for row in Contributor.objects.filter(task=task)}
    quiet = []
    for score in _still_here(task, list(scores)):
        row = known.get(score.user_id) or Contributor(task=task, user_id=score.user_id)
        is_news = _judge(row, score) or row.pk is None
        for name in FIGURES:
            setattr(row, name, getattr(score, name))
        row.scored_at = Now()
        if is_news:
            row._change_reason = _why(row)
            row.save()
        else:
            quiet.append(row)
    Contributor.objects.bulk_update(quiet, [*FIGURES, "scored_at"], batch_size=1_000)
    follow(task)


def _still_here(task: Task, scores: list[Score]) -> list[Score]:
    """Leave out who was erased or unlinked while scores were computed: nobody brings them back."""
    people = [score.user_id for score in scores]
    gone = erased_among(task.project, people)
    unlinked = DataSubject.objects.filter(
        project=task.project, user_id__in=people, anonymized_at__isnull=False
    )
    for user_id in unlinked.values_list("user_id", flat=True):
        said = Feedback.objects.filter(project=task.project_id, user_id=user_id)
        shown = Inference.objects.filter(task=task, user_id=user_id)
        if not said.exists() and not shown.exists():
            gone.add(user_id)
    return [score for score in scores if score.user_id not in gone]


def _judge(row: Contributor, score: Score) -> bool:
    """Set standing, trust and reason in memory; return whether they changed."""
    if row.is_held:
        return False
    before = row.standing, row.trust, row.reason
    is_new = score.acts < FEWEST_ACTS
    limit = QUARANTINED_BELOW
    if row.standing == Standing.QUARANTINED:
        if is_new:
            return False  # that few acts are left in sight clears nobody
        limit = RELEASED_ABOVE
    honesty = 1.0 if is_new else score.honesty
    row.trust = max(1, round(honesty * score.credit * STEPS)) / STEPS
    row.reason = HARMFUL.format(score.credit) if score.credit < 1 else ""
    row.standing = Standing.TRUSTED if score.honesty >= limit else Standing.QUARANTINED
    if is_new:
        row.standing = Standing.PROBATION
    return before != (row.standing, row.trust, row.reason)


def _why(row: Contributor) -> str:
    honesty = 0.0 if row.honesty is None else row.honesty
    found = f"{row.acts} acts, honest with probability {honesty:.2f}"
    return (f"{found}; {row.reason}" if row.reason else found)[:100]


@transaction.atomic
def hold(*people: Contributor, standing: str, by: str, reason: str) -> None:
    """Let a moderator decide: scores change nothing any more, until they are let go."""
    for row in _changing(people):
        row.standing, row.is_held, row.reason = standing, True, reason
        row.trust = 1 / STEPS if standing == Standing.QUARANTINED else 1.0
        row._change_reason = f"{standing} by {by}: {reason}"[:100]


@transaction.atomic
def let_go(*people: Contributor, by: str) -> None:
    """Let the scores decide again, from their next round on; of whom they know little, now."""
    for row in _changing(people):
        row.is_held, row.reason = False, ""
        if row.acts < FEWEST_ACTS:
            row.standing, row.trust = Standing.PROBATION, 1.0
        row._change_reason = f"let go by {by}"


def _changing(people: Iterable[Contributor]) -> Iterator[Contributor]:
    """Yield each of them locked, and save it; at the end what follows does, once for each task."""
    rows = Contributor.objects.filter(pk__in=[row.pk for row in people])
    # Tasks before people, as where scores are stored: or each would wait for the other.
    of_them = Task.objects.filter(pk__in=rows.values("task")).order_by("pk")
    tasks = list(of_them.select_for_update(no_key=True))
    for row in rows.order_by("pk").select_for_update():
        yield row
        row.save()
    for task in tasks:
        follow(task)


def follow(task: Task) -> None:
    """Flag what quarantined people said and nobody accepted; take that flag from who is not."""
    theirs = _of(task, [Standing.QUARANTINED])
    accepted = Review.objects.filter(feedback=OuterRef("pk"), decision="accept")
    suspect = theirs.filter(~Exists(accepted), status=Status.PROCESSED)
    suspect.update(status=Status.FLAGGED, flags=[LOW_TRUST])
    untouched = Q(status=Status.FLAGGED, flags__contains=[LOW_TRUST], review=None)
    free = _of(task, [Standing.PROBATION, Standing.TRUSTED]).filter(untouched)
    nothing_else = free.filter(flags=[LOW_TRUST])
    nothing_else.update(status=Status.PENDING, flags=[], ready_at=Now(), attempts=0)
    free.update(flags=Func("flags", Value(LOW_TRUST), function="array_remove"))


def _of(task: Task, standings: list[Standing]) -> QuerySet[Any]:
    people = Contributor.objects.filter(
        task=OuterRef("task"), user_id=OuterRef("user_id"), standing__in=standings
    )
    return Feedback.objects.filter(
        Exists(people), project=task.project_id, task=task, is_verified=True
    ).exclude(source="audit")


def newest_decision(task: Task) -> int:
    """Return the newest record of the task's contributors; later ones are of later moments.

    Call in a transaction: scores are stored under the same lock.
    """
    Task.objects.select_for_update().get(pk=task.pk)
    newest = Contributor.history.filter(task=task).aggregate(newest=Max("history_id"))
    return newest["newest"] or 0


def standings_as_of(task: Task, history_id: int) -> dict[str, tuple[str, float]]:
    """Return each contributor's standing and trust as they were when that record was written."""
    records = Contributor.history.filter(task=task, history_id__lte=history_id)
    latest = records.order_by("id", "-history_id").distinct("id")
    found = {
        pk: (standing, trust)
        for pk, standing, trust in latest.values_list("id", "standing", "trust")
    }
    people = Contributor.objects.filter(task=task).values_list("pk", "user_id")
    return {user_id: found[pk] for pk, user_id in people if pk in found}
