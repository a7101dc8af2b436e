"""A moderator's word on an answer: feedback that takes the same way as any other."""

from functools import partial
from typing import Any, Literal

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from msgspec import UNSET

from config.errors import EmendError
from feedback import claims, figures
from feedback.capture import capture_feedback
from feedback.capture.drafts import Sent
from feedback.models import Feedback, Inference, Review, Status
from feedback.review.deciding import UNDO_AND_WAY
from feedback.serializers import FeedbackBody
from privacy.access import Sender
from training.checking.choosing import silent
from training.errors import NotToCheck, TransitionRefused
from training.models import AnswerToCheck

Signal = Literal["up", "down", "correction"]


@transaction.atomic
def answer(
    check: AnswerToCheck, *, by: str, signal: Signal, corrected: Any = None, comment: str = ""
) -> Feedback:
    """Store what a moderator says of the answer, as an audit; the same again changes nothing.

    It is processed some seconds later, so that it can be undone. Raises NotToCheck where somebody
    has answered or reacted meanwhile, or the person behind it left or withdrew; Rejected for what
    validation refuses: then nothing is stored.
    """
    locked = _locked(check)
    is_repeat = locked.status == "answered" and locked.answered_by == by
    if not is_repeat and (
        locked.status != "open" or not silent(locked.task).filter(pk=locked.inference_id).exists()
    ):
        raise NotToCheck
    document = {"check": locked.pk, "signal": signal, "corrected": corrected, "comment": comment}
    body = FeedbackBody(
        id=locked.feedback.uuid if is_repeat and locked.feedback else None,
        inference_id=locked.inference.uuid,
        signal=signal,
        corrected=UNSET if corrected is None else corrected,
        comment=comment,
        source="audit",
    )
    sent = Sent(body, document, is_verified=True)
    (kept,) = capture_feedback(sender=Sender(locked.task.project), sent=[sent])
    if isinstance(kept, EmendError):
        raise kept
    if kept.refusal is not None:
        raise kept.refusal
    rows = Feedback.objects.filter(project=locked.task.project, uuid=kept.receipt.id)
    if kept.is_new:
        rows.update(ready_at=Now() + UNDO_AND_WAY)
        locked.move_to("answered")
        locked.feedback = rows.get()
        locked.answered_by, locked.answered_at = by, timezone.now()
        locked.seconds = claims.seconds(claims.ANSWER, locked.pk, by=by)
        _save(locked, check)
    feedback: Feedback = rows.get()
    return feedback


@transaction.atomic
def undo(check: AnswerToCheck, *, by: str) -> None:
    """Take back one's own answer within seconds: it is as if it was not given.

    Raises TransitionRefused where it is too late.
    """
    locked = _locked(check)
    feedback = locked.feedback
    is_own = locked.status == "answered" and locked.answered_by == by
    if not is_own or feedback is None or locked.answered_at is None:
        raise TransitionRefused("Only one's own answer can be undone.")
    said = Feedback.objects.select_for_update().get(pk=feedback.pk)
    is_used = said.status not in (Status.PENDING, Status.FLAGGED) or said.examples.exists()
    is_decided = Review.history.filter(feedback_id=said.pk).exists()
    if is_used or is_decided or timezone.now() - locked.answered_at > UNDO_AND_WAY:
        raise TransitionRefused("It is too late to undo this.")
    locked.move_to("open")
    locked.feedback = locked.answered_at = locked.seconds = None
    locked.answered_by = ""
    _save(locked, check)
    rows = Feedback.objects.filter(pk=said.pk)
    rows._raw_delete(rows.db)  # nothing was made of it yet
    # No row is left whose change would let them be counted again.
    hour = said.created_at.replace(minute=0, second=0, microsecond=0)
    count = partial(figures.count, locked.task.project_id, [hour])
    transaction.on_commit(count, robust=True)


def _locked(check: AnswerToCheck) -> AnswerToCheck:
    """Return the row locked, after the answer: so does whoever erases both."""
    shown = Inference.objects.select_for_update(no_key=True).filter(to_check=check.pk)
    rows = AnswerToCheck.objects.select_for_update(of=("self",))
    rows = rows.select_related("task__project", "inference", "feedback")
    locked: AnswerToCheck | None = rows.filter(pk=check.pk, inference__in=list(shown)).first()
    if locked is None:
        raise NotToCheck
    return locked


def _save(locked: AnswerToCheck, check: AnswerToCheck) -> None:
    locked.save(update_fields=["status", "feedback", "answered_by", "answered_at", "seconds"])
    check.refresh_from_db()
