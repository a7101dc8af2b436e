"""What a moderator decides about feedback, and what follows from it.

A decision may be revised: the Review keeps the standing one, its history the earlier ones.
"""

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import msgspec
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from config.errors import Problem
from feedback import claims
from feedback.capture.cleaning import clean, unknown_images
from feedback.capture.judging import answer_hash
from feedback.errors import ReviewInvalid, TransitionRefused
from feedback.models import Approval, Decision, Feedback, Review, SecondLook, Status
from feedback.review import second
from feedback.validation import Act, judge

MAX_REASON_CHARACTERS = 500
HIGH_IMPACT = "feedback.high_impact"
UNDO = timedelta(seconds=10)
# Until then nobody processes what was accepted: a little longer than the button is shown.
UNDO_AND_WAY = UNDO + timedelta(seconds=5)
OF_MANY = timedelta(minutes=3)  # to decide about many at once, and to take it back
GONE = "It is gone: it was erased, or kept for long enough."
RESTORED = ("decision", "reason", "moderator", "decided_at", "is_edited", "is_pinned", "seconds")


@transaction.atomic
def accept(
    feedback: Feedback,
    *,
    by: str,
    reason: str = "",
    corrected: Any = None,
    is_pinned: bool = False,
    wait: timedelta = timedelta(),
) -> Review:
    """Let the feedback through, with the moderator's own `corrected` if one is given.

    Where the task asks for more moderators it stays in the queue until they accepted the same.
    It is processed after the `wait`: until then it can be undone.

    Raises ReviewInvalid if validation refuses that `corrected`, or if the contributor's own is no
    output of the task; TransitionRefused if the feedback cannot be decided any more.
    """
    locked = _locked(feedback)
    if corrected is not None:
        corrected = _judged(locked, corrected)
    elif locked.corrected is not None:
        _require_output(locked)
    said = locked.corrected if corrected is None else corrected
    if locked.status != Status.FAILED:
        _reopen(locked)
    is_enough = _approve(locked, by, said) >= approvals_needed(locked)
    if not is_enough and locked.status == Status.FAILED:
        raise TransitionRefused("It failed after it was accepted: try it again, or discard it.")
    if is_enough:
        if said is not None:
            locked.corrected_hash = answer_hash(locked.task, locked.original, said)
        _send_on(locked, wait)
        _remember(locked, f"accept by {by}")
    decision = Decision.ACCEPT if is_enough else Decision.APPROVE
    review = _decide(locked, decision, by, reason, corrected)
    review.is_pinned = is_pinned
    return _save(review, feedback)


def standing(feedback: Feedback) -> Review | None:
    """Return what is decided about feedback, as it stands now."""
    return Review.objects.filter(feedback=feedback).first()


def approvals_needed(feedback: Feedback) -> int:
    """Return how many moderators must accept the same; a trigger holds to it."""
    options = feedback.task.options
    if HIGH_IMPACT not in feedback.flags:
        return options.approvals_required
    return max(options.approvals_required, options.approvals_required_high_impact)


@transaction.atomic
def reject(feedback: Feedback, *, by: str, reason: str) -> Review:
    """Keep the feedback out of everything; a reason is required, and the contributor may see it."""
    locked = _locked(feedback)
    _require_reason(reason)
    _reopen(locked)
    _withdraw_approval(locked, by)
    locked.move_to(Status.REJECTED)
    _remember(locked, f"reject by {by}")
    return _save(_decide(locked, Decision.REJECT, by, reason), feedback)


@transaction.atomic
def discard(feedback: Feedback, *, by: str, reason: str) -> None:
    """Give up failed feedback, for a reason; nothing is decided about who sent it.

    Raises TransitionRefused for feedback that has not failed.
    """
    locked = _locked(feedback)
    _require_reason(reason)
    _require_failed(locked, "discarded")
    locked.move_to(Status.REJECTED)
    _remember(locked, f"discarded by {by}: {reason}")
    feedback.refresh_from_db()


@transaction.atomic
def escalate(feedback: Feedback, *, by: str, reason: str = "") -> Review:
    """Leave the feedback in the queue for somebody else to decide, with what is proposed."""
    locked = _locked(feedback)
    _reopen(locked)
    _withdraw_approval(locked, by)
    proposed = standing(locked)
    review = _decide(locked, Decision.ESCALATE, by, reason, proposed and proposed.corrected)
    review.is_pinned = proposed is not None and proposed.is_pinned
    return _save(review, feedback)


@transaction.atomic
def retry(feedback: Feedback, *, by: str) -> None:
    """Put failed feedback back into its queue; raise TransitionRefused for any other."""
    locked = _locked(feedback)
    _require_failed(locked, "retried")
    _send_on(locked)
    _remember(locked, f"retried by {by}")
    feedback.refresh_from_db()


def hold_back(numbers: Iterable[int], wait: timedelta = UNDO_AND_WAY) -> None:
    """Let what was accepted wait from now on: to decide about many, or undo it, takes seconds."""
    waiting = Feedback.objects.filter(pk__in=numbers, status=Status.PENDING, ready_at__gt=Now())
    waiting.update(ready_at=Now() + wait)


@transaction.atomic
def undo(feedback: Feedback, *, by: str, record: int) -> None:
    """Take back one's own decision, by its `record`, within seconds: as if it was not made.

    Raises TransitionRefused where it is too late, or something was decided since.
    """
    locked = _locked(feedback)
    records = Review.history.filter(feedback_id=locked.pk).order_by("-history_id")
    newest = records.first()
    if newest is None or (newest.history_id, newest.moderator) != (record, by):
        raise TransitionRefused("It was decided anew meanwhile.")
    is_due = not Feedback.objects.filter(pk=locked.pk, ready_at__gt=Now()).exists()
    is_gone = locked.status not in (Status.FLAGGED, Status.REJECTED, Status.PENDING)
    is_old = not Review.history.filter(history_id=record, history_date__gt=Now() - OF_MANY).exists()
    if is_gone or is_old or (locked.status == Status.PENDING and is_due):
        raise TransitionRefused("It is too late to undo this. Open it to decide anew.")
    _withdraw_approval(locked, by)
    if locked.status != Status.FLAGGED:
        locked.move_to(Status.FLAGGED)
        said = locked.corrected
        if not locked.rejections:  # what was refused stands in nobody's way
            locked.corrected_hash = said and answer_hash(locked.task, locked.original, said)
        _remember(locked, f"undone by {by}")
        # Drawn by this very decision: nobody was asked yet.
        since = Now() - OF_MANY
        SecondLook.objects.filter(feedback=locked, first=by, drawn_at__gt=since).delete()
    review = Review.objects.get(feedback=locked)
    earlier = records.filter(id=newest.id, history_id__lt=record).first()
    review.decision = Decision.UNDONE
    if earlier is not None:
        for name in RESTORED:
            setattr(review, name, getattr(earlier, name))
        if not review.is_edited:
            review.corrected = None
    if review.decision == Decision.APPROVE and review.moderator == by:
        _approve(locked, by, locked.corrected if review.corrected is None else review.corrected)
    review.is_undo = True
    review._change_reason = f"undone by {by}"[:100]
    review.save()
    if earlier is None:
        _forget(review)
    Feedback.objects.filter(pk=locked.pk).update(touched=0)  # the trigger writes this transaction
    feedback.refresh_from_db()


def _withdraw_approval(feedback: Feedback, by: str) -> None:
    given = Approval.objects.filter(feedback=feedback, moderator=by).delete()[0]
    feedback.was_approved = given > 0


def _forget(review: Review) -> None:
    """Delete the standing decision, of which the history knows: nothing is decided any more."""
    with connection.cursor() as cursor:  # Django would delete the history with it
        cursor.execute("DELETE FROM feedback_review WHERE id = %s", [review.pk])


def _require_reason(reason: str) -> None:
    if not reason.strip():
        problem = Problem("/reason", "feedback.reason_required", "Say why it is rejected.")
        raise ReviewInvalid("A rejection needs a reason.", errors=[problem])


def _require_failed(feedback: Feedback, what: str) -> None:
    if feedback.status != Status.FAILED:  # flagged feedback may become pending too, by a decision
        raise TransitionRefused(f"Only failed feedback is {what}, not {feedback.status} feedback.")


def _send_on(feedback: Feedback, wait: timedelta = timedelta()) -> None:
    """Let the feedback be processed, after so long."""
    feedback.move_to(Status.PENDING)
    feedback.attempts = 0
    feedback.error = ""
    feedback.ready_at = Now() + wait


def _approve(feedback: Feedback, by: str, said: Any) -> int:
    """Note a moderator's yes to an answer; return how many said it."""
    digest = hashlib.sha256(msgspec.json.encode(said, order="deterministic")).digest()
    _withdraw_approval(feedback, by)  # the newest comes last
    Approval.objects.create(feedback=feedback, moderator=by, answer_hash=digest)
    return Approval.objects.filter(feedback=feedback, answer_hash=digest).count()


def _locked(feedback: Feedback) -> Feedback:
    """Return the row locked, so that two moderators decide one after the other."""
    rows = Feedback.objects.select_for_update(of=["self"]).select_related("task", "inference")
    locked: Feedback | None = rows.filter(pk=feedback.pk).first()
    if locked is None:
        raise TransitionRefused(GONE)
    locked.was_waiting = locked.status == Status.FLAGGED
    return locked


def _reopen(feedback: Feedback) -> None:
    """Take decided feedback back into the queue, on its way to another decision."""
    if feedback.status == Status.PENDING:  # only an undo takes it back before it is processed
        raise TransitionRefused("It waits to be processed, which takes seconds. Then decide anew.")
    if feedback.status != Status.FLAGGED:
        feedback.move_to(Status.FLAGGED)
        _remember(feedback, "reopened")
        Approval.objects.filter(feedback=feedback).delete()


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


def _decide(
    feedback: Feedback, decision: Decision, by: str, reason: str, corrected: Any = None
) -> Review:
    review = standing(feedback) or Review(feedback=feedback)
    # What was decided before, or never was in the queue, is decided anew rather than undone; so
    # is what would not come back: another correction (it is in no history), an older approval.
    is_own_approval = (review.decision, review.moderator) == (Decision.APPROVE, by)
    review.is_undoable = feedback.was_waiting and review.corrected in (None, corrected)
    review.is_undoable &= is_own_approval or not feedback.was_approved
    review.is_undo = False
    review.decision = decision
    review.corrected = corrected
    review.is_edited = corrected is not None
    review.moderator = by
    review.reason = str(clean(feedback.task, None, reason).others[0])[:MAX_REASON_CHARACTERS]
    review.decided_at = timezone.now()
    review.seconds = claims.seconds(claims.FEEDBACK, feedback.pk, by=by)
    review.is_pinned = False
    if feedback.was_waiting:  # what was decided before is judged with the first verdict in sight
        second.draw(feedback, decision, by)
    return review


def _save(review: Review, feedback: Feedback) -> Review:
    review._change_reason = review.reason[:100]
    review.save()
    feedback.refresh_from_db()
    if review.is_undoable:
        newest = Review.history.filter(feedback_id=feedback.pk).order_by("-history_id").first()
        review.record = newest and newest.history_id
    return review


def _remember(feedback: Feedback, why: str) -> None:
    """Save the row with the reason in its history."""
    feedback._change_reason = why[:100]
    feedback.save(update_fields=["status", "attempts", "ready_at", "error", "corrected_hash"])
