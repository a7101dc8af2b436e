"""Acts of people on answers, and who works on them."""

from typing import TYPE_CHECKING

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from simple_history.models import HistoricalRecords

from config.database import CURRENT_TRANSACTION
from config.transitions import Transitions
from feedback.errors import TransitionRefused
from feedback.models.captured import Captured, Inference
from feedback.querysets import FeedbackQuerySet
from feedback.signals import SIGNALS

if TYPE_CHECKING:
    from feedback.models.review import Review


class Status(models.TextChoices):
    PENDING = "pending"
    FLAGGED = "flagged"
    REJECTED = "rejected"
    PROCESSED = "processed"
    FAILED = "failed"
    ERASED = "erased"


TRANSITIONS: Transitions = {
    "pending": frozenset({"processed", "failed", "flagged", "erased"}),  # flagged: undone
    "flagged": frozenset({"pending", "rejected", "erased"}),
    "rejected": frozenset({"flagged", "erased"}),
    "processed": frozenset({"flagged", "erased"}),
    "failed": frozenset({"pending", "rejected", "erased"}),
}
SOURCES = ["user", "audit", "import"]
QUEUES = ["process.text", "process.layout", "process.image"]
CONTENT = ["original", "corrected", "comment", "metadata", "session_id", "redactions", "rejections"]
# What follows from content, or says where it comes from: no decision, so not in history.
DERIVED = ["input_hash", "corrected_hash", "act_hash", "fingerprint", "quality_parts"]


class Feedback(Captured):
    """One act of one contributor on one inference. Its content is write-once."""

    inference = models.ForeignKey(
        Inference, models.PROTECT, related_name="feedback", db_index=False
    )
    signal = models.CharField(max_length=20, choices=[(name, name) for name in SIGNALS])
    correction_type = models.CharField(max_length=50, default="")
    original = models.JSONField()
    corrected = models.JSONField(null=True)
    comment = models.TextField(default="")
    status = models.CharField(max_length=10, choices=Status)
    flags = ArrayField(models.CharField(max_length=50), default=list)
    rejections = models.JSONField(default=list)
    quality = models.FloatField()
    quality_parts = models.JSONField(default=dict)
    edit_distance = models.FloatField(null=True)
    disagreement = models.FloatField(
        null=True, help_text="1 - the probability that the served model gave to `corrected`."
    )
    corrected_hash = models.BinaryField(max_length=32, null=True)
    act_hash = models.BinaryField(max_length=32, null=True)
    source = models.CharField(
        max_length=10, choices=[(name, name) for name in SOURCES], default="user"
    )
    queue = models.CharField(max_length=20, choices=[(name, name) for name in QUEUES])
    attempts = models.PositiveSmallIntegerField(default=0)
    ready_at = models.DateTimeField(db_default=Now())
    error = models.CharField(max_length=100, default="")
    exposure = models.PositiveIntegerField(
        null=True, editable=False, help_text="How often its input was served; none: not ranked."
    )
    worth = models.FloatField(
        db_default=0.0, editable=False, help_text="By which the review queue is ordered."
    )
    processed_at = models.DateTimeField(null=True)
    touched = models.BigIntegerField(db_default=CURRENT_TRANSACTION, editable=False)
    was_waiting = False  # in the queue, when a verb of review locked it
    was_approved = False  # by whoever decides now
    _change_reason: str  # simple_history writes it into the history row
    history = HistoricalRecords(
        excluded_fields=[
            *CONTENT,
            *DERIVED,
            "user_id",
            "edit_distance",
            "disagreement",
            "queue",
            "ready_at",
            "exposure",
            "worth",
            "touched",
        ],
        cascade_delete_history=True,
    )

    objects = FeedbackQuerySet.as_manager()

    if TYPE_CHECKING:
        review: "Review"

    class Meta:
        db_table = "feedback"
        verbose_name_plural = "feedback"
        permissions = [("retry_feedback", "Can retry or discard failed feedback")]
        constraints = [
            models.UniqueConstraint(fields=["project", "uuid"], name="one_feedback_an_id"),
            # The same act of the same person is stored once; null where rejected or nameless.
            models.UniqueConstraint(fields=["act_hash"], name="one_feedback_an_act"),
            models.CheckConstraint(
                condition=Q(status__in=Status.values), name="feedback_status_known"
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue", "ready_at"], name="feedback_ready", condition=Q(status="pending")
            ),
            models.Index(
                fields=["created_at"], name="feedback_flagged", condition=Q(status="flagged")
            ),
            models.Index(
                fields=["-worth", "number"], name="feedback_queue", condition=Q(status="flagged")
            ),
            models.Index(
                fields=["task", "-worth", "number"],
                name="feedback_queue_by_task",
                condition=Q(status="flagged"),
            ),
            models.Index(
                fields=["number"],
                name="feedback_unranked",
                condition=Q(status="flagged", exposure=None),
            ),
            models.Index(
                fields=["created_at"], name="feedback_failed", condition=Q(status="failed")
            ),
            GinIndex(fields=["flags"], name="feedback_by_flag", condition=~Q(flags=[])),
            models.Index(fields=["inference", "user_id"], name="feedback_by_inference"),
            models.Index(fields=["task", "input_hash", "corrected_hash"], name="feedback_by_input"),
            models.Index(fields=["project", "created_at"], name="feedback_by_project"),
            models.Index(fields=["project", "user_id"], name="feedback_by_user"),
            models.Index(fields=["task", "touched"], name="feedback_by_touch"),
        ]

    def __str__(self) -> str:
        return str(self.uuid)

    def move_to(self, status: str) -> None:
        """Change the status in memory; raise TransitionRefused where no rule allows it."""
        if status not in TRANSITIONS.get(self.status, frozenset()):
            raise TransitionRefused(f"{self.status} feedback cannot become {status}.")
        self.status = status


class FlaggedFeedback(Feedback):
    """The review queue: feedback that waits for a moderator."""

    class Meta:
        proxy = True
        default_permissions = ()  # those of feedback count
        verbose_name = "flagged feedback"
        verbose_name_plural = "review queue"


class Claim(models.Model):
    """The feedback that a worker has in hand; one that outlives its lease lost its worker."""

    queue = models.CharField(max_length=20)
    numbers = ArrayField(models.BigIntegerField())
    lease_until = models.DateTimeField()
