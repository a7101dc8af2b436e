"""Which answers that nobody reacted to a moderator checks, and in which order.

Two ways choose. Once a day a random slice is drawn of all that became silent since the last draw,
each answer with the same chance, its propensity. Of what had its chance in a draw, the answers of
most worth fill the rest of the list, one of each cluster of near-duplicates, and silence teaches.
So nothing that was chosen by its worth, or learnt, was missing when the slice was drawn. Every
fifth place is the slice's, in the order of the draw, so which of it are answered does not depend on
their worth either; each hour's places go on where the answers ended, or who checks three an hour
would never come to the fifth. What is left of a draw goes with the next one, all of it.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import (
    CharField,
    Count,
    DurationField,
    Exists,
    ExpressionWrapper,
    FloatField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, Concat, Now, Random
from django.utils import timezone

from feedback import claims
from feedback.models import Inference, Task
from feedback.task_settings import TaskSettings
from feedback.worth import Answer, worth_of
from privacy.models import DataSubject, Purpose, Upkeep
from training.checking.clusters import clusters
from training.models import AnswerToCheck

TASK = "training.choose_answers"
EVERY, DRAWN_EVERY = timedelta(hours=1), timedelta(days=1)
MOST_OPEN = 200  # of a task
FIFTH = 5  # one place in so many is the slice's
MOST_PROPENSITY = 0.1  # what is drawn teaches nothing: small products need most of theirs
WINDOW = 20_000  # the newest silent answers, of which
LEADING = 2_000  # distinct inputs are compared
ASKED_AGAIN = timedelta(days=30)
CHECKED = Q(status="answered") | Q(status="open", is_random=True)


class Candidate(NamedTuple):
    """A silent answer, what it is worth, and for how many silent ones it stands."""

    pk: int
    input_hash: bytes
    exposure: int
    worth: float
    alike: int = 1


def due_tasks() -> QuerySet[Task]:
    """Return tasks not chosen for within an hour, where answers became silent or were checked."""
    name = Concat(Value(f"{TASK} "), Cast(OuterRef("pk"), CharField()))
    hours = Cast(KT("settings__silence_hours"), FloatField())
    wait = Coalesce(hours, TaskSettings().silence_hours) * Value(timedelta(hours=1))
    shown = Inference.objects.filter(
        task=OuterRef("pk"), created_at__lte=Now() - OuterRef("silent_after")
    )
    fresh = shown.filter(created_at__gt=OuterRef("chosen_at") - OuterRef("silent_after"))
    checked = AnswerToCheck.objects.filter(
        task=OuterRef("pk"), answered_at__gt=OuterRef("chosen_at")
    )
    rows = Task.objects.alias(
        silent_after=ExpressionWrapper(wait, DurationField()),
        chosen_at=Subquery(Upkeep.objects.filter(task=name).values("done_at")),
    )
    is_over = Q(chosen_at__lt=Now() - EVERY)
    return rows.filter(
        Q(Exists(shown), chosen_at=None) | (is_over & (Q(Exists(fresh)) | Q(Exists(checked))))
    )


def waiting_seconds() -> float | None:
    """Return 0.0 if answers of a task are to be chosen, else None."""
    return 0.0 if due_tasks().exists() else None


def choose_due() -> None:
    for task in due_tasks():
        choose(task)


def choose(task: Task) -> None:
    """Draw the random slice if a day has passed, and order the list anew."""
    now = timezone.now()
    rows = AnswerToCheck.objects.filter(task=task)
    still_silent = silent(task).filter(pk=OuterRef("inference"))
    rows.filter(~Exists(still_silent), status="open").update(status="gone")
    rows.filter(status="gone", is_random=False, chosen_at__lt=now - ASKED_AGAIN).delete()
    drawn_to = draw(task)
    if drawn_to is not None:
        _rank(task, drawn_to)
    Upkeep.objects.update_or_create(task=_name(task), defaults={"done_at": now})


def silent(task: Task, until: datetime | None = None) -> QuerySet[Inference]:
    """Return answers up to then without a reaction, of people who permit what is done with them."""
    people = DataSubject.objects.filter(project=task.project_id).withdrawn(*Purpose)
    rows = Inference.objects.silent(task, until or timezone.now())
    permitted: QuerySet[Inference] = rows.exclude(user_id__in=people.values("user_id"))
    return permitted


@transaction.atomic
def draw(task: Task) -> datetime | None:
    """Draw of what became silent since the last draw, if that is a day ago.

    Return up to when answers had their chance, None if none ever had. How many there are, not
    what they are, decides the chance of each.
    """
    _lock(task)
    now = timezone.now()
    name = _name(task, "training.draw_answers")
    drawn_to = Upkeep.objects.filter(task=name).values_list("done_at", flat=True).first()
    until = now - timedelta(hours=task.options.silence_hours)
    if drawn_to is not None and until - drawn_to < DRAWN_EVERY:
        return drawn_to
    fresh = silent(task, until)
    if drawn_to is not None:
        fresh = fresh.filter(created_at__gt=drawn_to)
    number = fresh.count()
    if not number:
        return drawn_to
    propensity = min(MOST_PROPENSITY, MOST_OPEN / FIFTH / number)
    drawn = fresh.alias(chance=Random()).filter(chance__lt=propensity).order_by("?")
    earlier = AnswerToCheck.objects.filter(task=task, status="open", is_random=True)
    earlier.filter(~claims.held(claims.ANSWER)).update(status="gone")
    AnswerToCheck.objects.bulk_create(
        [
            AnswerToCheck(
                task=task,
                inference_id=pk,
                is_random=True,
                propensity=propensity,
                drawn_of=number,
            )
            for pk in drawn.values_list("pk", flat=True)
        ],
        ignore_conflicts=True,
    )
    Upkeep.objects.update_or_create(task=name, defaults={"done_at": until})
    return until


def _lock(task: Task) -> None:
    """Let nobody else draw for the task, or order its list, before this transaction ends."""
    Task.objects.select_for_update(no_key=True).get(pk=task.pk)


@transaction.atomic
def _rank(task: Task, drawn_to: datetime) -> None:
    """Fill the list with what is worth most, between the places of the slice."""
    _lock(task)
    rows = AnswerToCheck.objects.filter(task=task, status="open", is_random=True)
    slice_ = list(rows.order_by("chosen_at", "pk"))
    drawn = _candidates(task, Inference.objects.filter(to_check__in=slice_))
    known = {candidate.pk: candidate for candidate in drawn}
    done = AnswerToCheck.objects.filter(task=task, status="answered").count() % FIFTH
    for number, row in enumerate(slice_):
        _, _, row.exposure, row.worth, _ = known[row.inference_id]
        row.place = FIFTH * number + FIFTH - 1 - done
    checked = AnswerToCheck.objects.filter(CHECKED, inference=OuterRef("pk"))
    free = silent(task, drawn_to).filter(~Exists(checked)).order_by("-created_at")[:WINDOW]
    best = _best(task, _candidates(task, free), MOST_OPEN - len(slice_))
    # That took its time: a moderator may have answered meanwhile, and answers while this waits.
    chosen = AnswerToCheck.objects.filter(inference__in=[candidate.pk for candidate in best])
    locked = chosen.order_by("pk").select_for_update(of=("self",))
    answered = {row.inference_id for row in locked if row.status == "answered"}
    best = [candidate for candidate in best if candidate.pk not in answered]
    AnswerToCheck.objects.bulk_update(slice_, ["worth", "exposure", "place"])
    earlier = AnswerToCheck.objects.filter(task=task, status="open", is_random=False)
    earlier = earlier.exclude(inference__in=[candidate.pk for candidate in best])
    earlier.filter(~claims.held(claims.ANSWER)).update(status="gone")
    AnswerToCheck.objects.bulk_create(
        [
            AnswerToCheck(
                task=task,
                inference_id=candidate.pk,
                worth=candidate.worth,
                exposure=candidate.exposure,
                alike=candidate.alike,
                place=number + (number + done) // (FIFTH - 1),
            )
            for number, candidate in enumerate(best)
        ],
        update_conflicts=True,
        unique_fields=["inference"],
        update_fields=[
            *("worth", "exposure", "alike", "place", "status"),
            *("is_random", "propensity", "drawn_of"),
        ],
    )


def _candidates(task: Task, rows: QuerySet[Inference]) -> list[Candidate]:
    found = list(rows.values_list("pk", "input_hash", "confidence", "probabilities"))
    hashes = {bytes(digest) for _, digest, _, _ in found}
    served = Inference.objects.filter(task=task, input_hash__in=hashes).served()
    counted = served.values_list("input_hash").annotate(number=Count("pk"))
    times = {bytes(digest): number for digest, number in counted}
    candidates = []
    for pk, digest, confidence, probabilities in found:
        exposure = times[bytes(digest)]
        worth = worth_of(Answer(exposure, confidence, probabilities))
        candidates.append(Candidate(pk, bytes(digest), exposure, worth))
    return candidates


def _best(task: Task, candidates: list[Candidate], most: int) -> list[Candidate]:
    """Return the answers of most worth: one of each cluster, none of what is checked already."""
    same = Counter(candidate.input_hash for candidate in candidates)
    leading: dict[bytes, Candidate] = {}
    for candidate in sorted(candidates, key=lambda candidate: (-candidate.worth, candidate.pk)):
        leading.setdefault(candidate.input_hash, candidate)
    ordered = list(leading.values())[:LEADING]
    recent = Q(answered_at=None) | Q(answered_at__gt=timezone.now() - ASKED_AGAIN)
    checked = AnswerToCheck.objects.filter(CHECKED, recent, task=task).order_by("-pk")
    known = list(checked.values_list("inference", flat=True)[:LEADING])
    cluster_of = clusters(task, [*known, *(candidate.pk for candidate in ordered)])
    alike: Counter[int] = Counter()
    for candidate in ordered:
        alike[cluster_of[candidate.pk]] += same[candidate.input_hash]
    taken = {cluster_of[pk] for pk in known}
    best: dict[int, Candidate] = {}
    for candidate in ordered:
        cluster = cluster_of[candidate.pk]
        if cluster not in taken:
            best.setdefault(cluster, candidate._replace(alike=alike[cluster]))
    return list(best.values())[:most]


def _name(task: Task, of: str = TASK) -> str:
    return f"{of} {task.pk}"
