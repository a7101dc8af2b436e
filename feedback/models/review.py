"""What moderators decide."""

from django.db import models
from simple_history.models import HistoricalRecords

from config.database import CURRENT_TRANSACTION
from feedback.models.act import Feedback


class Decision(models.TextChoices):
    ACCEPT = "accept"
    REJECT = "reject"
    ESCALATE = "escalate"


class Review(models.Model):
    """A moderator's standing decision; earlier ones are in its history."""

    feedback = models.OneToOneField(Feedback, models.CASCADE, related_name="review")
    decision = models.CharField(max_length=10, choices=Decision)
    reason = models.CharField(max_length=500, default="", blank=True)
    corrected = models.JSONField(null=True, blank=True)
    is_pinned = models.BooleanField(
        default=False, help_text="A case that every later model must get right."
    )
    moderator = models.CharField(max_length=150)
    decided_at = models.DateTimeField()
    touched = models.BigIntegerField(db_default=CURRENT_TRANSACTION, editable=False)
    _change_reason: str  # simple_history writes it into the history row
    history = HistoricalRecords(
        excluded_fields=["corrected", "touched"], cascade_delete_history=True
    )

    class Meta:
        indexes = [models.Index(fields=["touched"], name="review_by_touch")]
