"""What a moderator decides about feedback, and what follows from it.

A decision may be revised: the Review keeps the standing one, its history the earlier ones.
"""

from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from config.errors import Problem
from feedback.capture.cleaning import clean, unknown_images
from feedback.capture.judging import answer_hash
from feedback.errors import ReviewInvalid, TransitionRefused
from feedback.models import Decision, Feedback, Review, Status
from feedback.validation import Act, judge

MAX_REASON_CHARACTERS = 500


@transaction.atomic
def accept(
    feedback: Feedback,
    *,
    by: str,
    reason: str = "",
    corrected: Any = None,
    is_pinned: bool = False,
) -> Review:
    """Let the feedback through, with the moderator's own `corrected` if one is given.

    Raises ReviewInvalid if validation refuses that `corrected`, or if the contributor's own is no
    output of the task; TransitionRefused if the feedback cannot be decided any more.
    """
    locked = _locked(feedback)
    if corrected is not None:
        corrected = _judged(locked, corrected)
    elif locked.corrected is not None:
        _require_output(locked)
    said = locked.corrected if corrected is None else corrected
    if said is not None:
        locked.corrected_hash = answer_hash(locked.task, locked.original, said)
    if locked.status != Status.FAILED:
        _reopen(locked)
    locked.move_to(Status.PENDING)
    locked.attempts = 0
    locked.error = ""
    locked.ready_at = Now()
    _remember(locked, f"accept by {by}")
    review = _decide(locked, Decision.ACCEPT, by, reason)
    review.corrected = corrected
    review.is_pinned = is_pinned
    return _save(review, feedback)


@transaction.atomic
def reject(feedback: Feedback, *, by: str, reason: str) -> Review:
    """Keep the feedback out of everything; a reason is required, and the contributor may see it."""
    if not reason.strip():
        problem = Problem("/reason", "feedback.reason_required", "Say why it is rejected.")
        raise ReviewInvalid("A rejection needs a reason.", errors=[problem])
    locked = _locked(feedback)
    _reopen(locked)
    locked.move_to(Status.REJECTED)
    _remember(locked, f"reject by {by}")
    return _save(_decide(locked, Decision.REJECT, by, reason), feedback)


@transaction.atomic
def escalate(feedback: Feedback, *, by: str, reason: str = "") -> Review:
    """Leave the feedback in the queue for somebody else to decide."""
    locked = _locked(feedback)
    _reopen(locked)
    return _save(_decide(locked, Decision.ESCALATE, by, reason), feedback)


@transaction.atomic
def retry(feedback: Feedback, *, by: str) -> None:
    """Put failed feedback back into its queue; raise TransitionRefused for any other."""
    locked = _locked(feedback)
    if locked.status != Status.FAILED:  # flagged feedback may become pending too, by a decision
        raise TransitionRefused(f"Only failed feedback is retried, not {locked.status} feedback.")
    locked.move_to(Status.PENDING)
    locked.attempts = 0
    locked.error = ""
    locked.ready_at = Now()
    _remember(locked, f"retried by {by}")
    feedback.refresh_from_db()


def _locked(feedback: Feedback) -> Feedback:
    """Return the row locked, so that two moderators decide one after the other."""
    rows = Feedback.objects.select_for_update(of=["self"]).select_related("task", "inference")
    locked: Feedback = rows.get(pk=feedback.pk)
    return locked


def _reopen(feedback: Feedback) -> None:
    """Take decided feedback back into the queue, on its way to another decision."""
    if feedback.status != Status.FLAGGED:
        feedback.move_to(Status.FLAGGED)
        _remember(feedback, "reopened")


def _judged(feedback: Feedback, corrected: Any) -> Any:
    """Redact a moderator's own correction; hold it to what refuses anybody's."""
    task = feedback.task
    redacted = clean(task, corrected).output
    verdict = judge(
        Act(
            signal="correction",
            input=feedback.inference.input,
            output=feedback.original,
            corrected=redacted,
            modality=task.kind,
            shape_problems=_shape_problems(feedback, redacted),
            max_characters=task.options.max_characters,
            thresholds=task.options.thresholds,
            is_change_redacted=redacted != corrected,
        )
    )
    if verdict.rejections:
        raise ReviewInvalid(errors=verdict.rejections)
    return redacted


def _require_output(feedback: Feedback) -> None:
    """Refuse to accept a correction that cannot be learnt, whatever else was said against it."""
    problems = _shape_problems(feedback, feedback.corrected)
    shown = feedback.inference.input
    if not problems and feedback.task.kind.is_same(shown, feedback.original, feedback.corrected):
        detail = "That is what the model said: if it was right, reject the feedback."
        problems = [Problem("", "feedback.no_change", detail)]
    if problems:
        placed = [Problem("/corrected" + p.pointer, p.code, p.detail) for p in problems]
        raise ReviewInvalid(errors=placed)


def _shape_problems(feedback: Feedback, corrected: Any) -> list[Problem]:
    task = feedback.task
    return task.kind.validate_corrected(
        corrected, labels=task.labels, input_=feedback.inference.input
    ) or unknown_images(task, corrected)


def _decide(feedback: Feedback, decision: Decision, by: str, reason: str) -> Review:
    review = Review.objects.filter(feedback=feedback).first() or Review(feedback=feedback)
    review.decision = decision
    review.moderator = by
    review.reason = str(clean(feedback.task, None, reason).others[0])[:MAX_REASON_CHARACTERS]
    review.decided_at = timezone.now()
    review.corrected = None
    review.is_pinned = False
    return review


def _save(review: Review, feedback: Feedback) -> Review:
    review._change_reason = review.reason[:100]
    review.save()
    feedback.refresh_from_db()
    return review


def _remember(feedback: Feedback, why: str) -> None:
    """Save the row with the reason in its history."""
    feedback._change_reason = why[:100]
    feedback.save(update_fields=["status", "attempts", "ready_at", "error", "corrected_hash"])
