"""Content that no dataset version takes any more, and rejected feedback: taken out, then deleted.

Versions keep telling what they are without it (`current_hash`). Models are not trained again:
they keep what they learned while it was permitted. Only erasures undo that.
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from django.db.models import Case, Exists, OuterRef, Q, Subquery, When
from django.db.models.functions import Coalesce

from feedback import expiry
from feedback.models import Decision, Example, Feedback, Inference, Status
from privacy.models import Kept, Project
from privacy.retention import Border, Rows, Rule
from training import archives, erasing
from training.datasets import GUARDING
from training.models import AnswerToCheck, Archive, Dataset, DatasetVersion, LeftOut, Membership


def _is_used(border: Border) -> Q:
    """Return the condition that an example is in use, was after that time, or waits to be.

    A version takes it still; or the one that did not take it any more is younger; or the newest
    left it out and it guards all the same; or a moderator pinned it, so that each new model is
    asked it; or its task has no version yet. The newest version of a line without erased people is
    an old one of the dataset: what that took counts from the dataset's own versions. What was said
    of the random slice is not kept by its use, but if pinned: an answer that was right is used, one
    that was wrong may not be, and the slice would measure those that are left.
    """
    lines = Dataset.objects.filter(project=border.project, runs__replacing__isnull=False)
    newest = Q(until_version=None) & ~Q(dataset__in=list(lines.values_list("pk", flat=True)))
    left_later = DatasetVersion.objects.filter(
        dataset=OuterRef("dataset"), version=OuterRef("until_version"), as_of__gte=border.before
    )
    taken = Membership.objects.filter(newest | Exists(left_later), example=OuterRef("pk"))
    guarding = LeftOut.objects.filter(newest, reason__in=GUARDING, example=OuterRef("pk"))
    built = DatasetVersion.objects.filter(dataset__task=OuterRef("task"), status="ready")
    measuring = Q(
        Exists(AnswerToCheck.objects.filter(is_random=True, feedback=OuterRef("feedback")))
    )
    current = Q(superseded_at=None)
    used = Q(Exists(taken)) | current & (Q(Exists(guarding)) | ~Q(Exists(built)))
    return used & ~measuring | current & Q(is_pinned=True)


def _used(border: Border, **of: Any) -> Exists:
    return Exists(Example.objects.filter(_is_used(border), **of))


def _answers(border: Border) -> Rows:
    """Return old answers without feedback that taught nothing since, not by silence either."""
    rows = Inference.objects.filter(
        ~Exists(Feedback.objects.filter(inference=OuterRef("pk"))),
        task__project=border.project,
        created_at__lt=border.before,
    )
    return rows.filter(~_used(border, inference=OuterRef("pk")))


def _imported(border: Border) -> Rows:
    rows = Example.objects.filter(
        task__project=border.project, feedback=None, inference=None, created_at__lt=border.before
    )
    return rows.exclude(_is_used(border))


def _feedback(border: Border) -> Rows:
    rows = Feedback.objects.filter(project=border.project, created_at__lt=border.before)
    rows = rows.exclude(status=Status.REJECTED)
    return rows.filter(~_used(border, feedback=OuterRef("pk")))


def _rejected(border: Border) -> Rows:
    """Return feedback whose rejection is old: a moderator's, its discard, else its capture."""
    rows = Feedback.objects.filter(
        project=border.project, status=Status.REJECTED, created_at__lt=border.before
    )
    decided_at = Case(When(review__decision=Decision.REJECT, then="review__decided_at"))
    records = Feedback.history.filter(number=OuterRef("pk"), status=Status.REJECTED)
    discarded_at = records.order_by("-history_date").values("history_date")[:1]
    dated: Rows = rows.alias(rejected_at=Coalesce(decided_at, Subquery(discarded_at), "created_at"))
    return dated.filter(rejected_at__lt=border.before)


def _archived(border: Border) -> Rows:
    return Archive.objects.filter(
        model_version__task__project=border.project, created_at__lt=border.before
    )


def _hold_builds(project: Project) -> None:
    """Let no version of the project be built until this transaction ends; one that is, ends first.

    What a build is about to take in must not be deleted beneath it.
    """
    datasets = Dataset.objects.filter(project=project).order_by("pk")
    list(datasets.select_for_update(no_key=True).values_list("pk"))
    building = DatasetVersion.objects.filter(dataset__project=project, status="building")
    list(building.order_by("pk").select_for_update(of=("self",)).values_list("pk"))


def cause_of(project: Project) -> UUID:
    """Return the id under which versions note what retention took: one, so that it adds up."""
    return uuid5(NAMESPACE_URL, f"retention/{project.pk}")


def _forget(border: Border, examples: Rows) -> None:
    """Take examples out of all versions, and delete them."""
    if keys := list(examples.values_list("pk", flat=True)):
        erasing.expire(keys, cause_of(border.project))


def _remove_feedback(are_over: Callable[[Border], Rows], border: Border, rows: Rows) -> None:
    # Who processes or reviews feedback locks it before its examples: so does this.
    locked = list(rows.order_by("pk").select_for_update().values_list("pk", flat=True))
    numbers = list(are_over(border).filter(pk__in=locked).values_list("pk", flat=True))
    _forget(border, Example.objects.filter(feedback__in=numbers))
    erasing.delete_checks(AnswerToCheck.objects.filter(feedback__in=numbers))
    expiry.delete_feedback(numbers)


def _remove_answers(border: Border, rows: Rows) -> None:
    numbers = list(rows.values_list("pk", flat=True))
    _forget(border, Example.objects.filter(inference__in=numbers))
    erasing.delete_checks(AnswerToCheck.objects.filter(inference__in=numbers))
    expiry.delete_answers(numbers)


def _remove_archives(_border: Border, rows: Rows) -> None:
    archives.remove(rows)


# Answers before feedback: one that is left alone when its feedback goes is over the night after.
RULES = (
    Rule(Kept.CONTENT, _answers, _remove_answers, _hold_builds),
    Rule(Kept.CONTENT, _imported, _forget, _hold_builds),
    Rule(Kept.CONTENT, _feedback, partial(_remove_feedback, _feedback), _hold_builds),
    Rule(Kept.REJECTED, _rejected, partial(_remove_feedback, _rejected), _hold_builds),
    Rule(Kept.ARCHIVES, _archived, _remove_archives),
)
