"""What moderators decide."""

from django.db import models
from django.db.models.functions import Now
from simple_history.models import HistoricalRecords

from config.database import CURRENT_TRANSACTION
from feedback.models.act import Feedback


class Decision(models.TextChoices):
    ACCEPT = "accept"
    REJECT = "reject"
    ESCALATE = "escalate"
    APPROVE = "approve"  # accepted, and somebody else is still to accept it
    UNDONE = "undone"  # taken back within seconds: nothing is decided


class Review(models.Model):
    """A moderator's standing decision; earlier ones are in its history."""

    feedback = models.OneToOneField(Feedback, models.CASCADE, related_name="review")
    decision = models.CharField(max_length=10, choices=Decision)
    reason = models.CharField(max_length=500, default="", blank=True)
    corrected = models.JSONField(null=True, blank=True)
    is_edited = models.BooleanField(default=False, help_text="Whether it has a `corrected`.")
    is_undo = models.BooleanField(
        default=False, help_text="In the history: this took back the record before it."
    )
    is_pinned = models.BooleanField(
        default=False, help_text="A case that every later model must get right."
    )
    moderator = models.CharField(max_length=150)
    decided_at = models.DateTimeField()
    seconds = models.FloatField(
        null=True, help_text="From taking it up until the decision; in one of many together none."
    )
    touched = models.BigIntegerField(db_default=CURRENT_TRANSACTION, editable=False)
    is_undoable = False  # as the verb found that made the decision
    record: int | None = None  # in the history, of a decision that may be undone
    _change_reason: str  # simple_history writes it into the history row
    history = HistoricalRecords(
        excluded_fields=["corrected", "touched"], cascade_delete_history=True
    )

    class Meta:
        indexes = [models.Index(fields=["touched"], name="review_by_touch")]


class Approval(models.Model):
    """A moderator's yes to one answer; a trigger counts them before feedback may leave the queue.

    They end when the feedback is taken into the queue again.
    """

    feedback = models.ForeignKey(Feedback, models.CASCADE, related_name="approvals")
    moderator = models.CharField(max_length=150)
    answer_hash = models.BinaryField(max_length=32, help_text="Of the answer that is approved.")
    approved_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["feedback", "moderator"], name="one_approval_a_moderator"
            )
        ]


class ReviewClaim(models.Model):
    """An item of a queue that one moderator has before them; it ends by itself."""

    kind = models.CharField(max_length=10)  # "feedback", "answer" (to check) or "look" (a second)
    item = models.BigIntegerField()
    moderator = models.CharField(max_length=150)
    taken_at = models.DateTimeField(db_default=Now(), editable=False)
    ends_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "item"], name="one_claim_an_item"),
        ]
        indexes = [models.Index(fields=["moderator"], name="claim_by_moderator")]
