"""From an act of a person to a training-ready example."""

import uuid
from typing import TYPE_CHECKING

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from simple_history.models import HistoricalRecords

from config.database import CURRENT_TRANSACTION
from config.transitions import Transitions
from feedback.errors import TransitionRefused
from feedback.modalities import MODALITIES
from feedback.modalities.base import Modality
from feedback.querysets import ExampleQuerySet, FeedbackQuerySet, InferenceQuerySet, TaskQuerySet
from feedback.signals import SIGNALS
from feedback.task_settings import TaskSettings, options_of
from privacy.models import ApiKey, Project
from privacy.redaction import Rules

ID_LENGTH = 128


class Task(models.Model):
    """One model-backed function of a product."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="tasks", db_index=False)
    slug = models.SlugField(max_length=100)
    modality = models.CharField(max_length=20, choices=[(name, name) for name in MODALITIES])
    labels = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    correction_types = ArrayField(models.CharField(max_length=50), default=list, blank=True)
    settings = models.JSONField(default=dict, blank=True)
    weekly_users = models.PositiveIntegerField(
        default=0, editable=False, help_text="People who were shown an answer in the last week."
    )
    rewrite_distance = models.FloatField(
        null=True, editable=False, help_text="99.5% of this task's corrections change less."
    )
    measured_at = models.DateTimeField(null=True, editable=False)
    approving_ratio = models.FloatField(
        null=True, editable=False, help_text="How often honest people say that an answer is right."
    )
    disagreeing_ratio = models.FloatField(
        null=True, editable=False, help_text="How often honest people say that it is wrong."
    )
    silence_estimate = models.FloatField(
        null=True, editable=False, help_text="What silence weighs by the audited answers."
    )
    scored_at = models.DateTimeField(null=True, editable=False)
    silence_until = models.DateTimeField(
        null=True, editable=False, help_text="Silence about earlier answers was counted."
    )
    retrain_every_hours = models.PositiveIntegerField(
        null=True, blank=True, help_text="Retrain this often; empty: not by time."
    )
    retrain_after_examples = models.PositiveIntegerField(
        null=True, blank=True, help_text="Retrain after so many new examples; empty: not by number."
    )
    next_retrain_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    history = HistoricalRecords(
        excluded_fields=[
            *("next_retrain_at", "weekly_users", "rewrite_distance", "measured_at", "scored_at"),
            *("approving_ratio", "disagreeing_ratio", "silence_estimate", "silence_until"),
        ]
    )

    objects = TaskQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "slug"], name="one_task_a_slug")]

    def __str__(self) -> str:
        return self.slug

    @property
    def options(self) -> TaskSettings:
        """The settings with their defaults filled in."""
        return options_of(self.settings)[0]

    @property
    def redaction(self) -> Rules:
        """What is redacted from the task's content."""
        return options_of(self.settings)[1]

    @property
    def kind(self) -> Modality:
        return MODALITIES[self.modality]

    @property
    def silence_weight(self) -> float:
        """What an answer nobody reacted to weighs: as set, else as audits found, else nothing."""
        fixed = self.options.silence_weight
        return fixed if fixed is not None else self.silence_estimate or 0.0


class Captured(models.Model):
    """What inferences and feedback have in common: who sent it, when, and for which project.

    The id that clients know is unique in a project only, so it is not the primary key.
    """

    number = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(default=uuid.uuid4, db_column="id", editable=False)
    # Other indexes begin with project and task. The task vouches for the project, and keys are
    # revoked, never deleted: a constraint would lock their rows at each capture.
    project = models.ForeignKey(
        Project, models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    task = models.ForeignKey(Task, models.PROTECT, related_name="+", db_index=False)
    api_key = models.ForeignKey(
        ApiKey, models.SET_NULL, null=True, related_name="+", db_index=False, db_constraint=False
    )
    user_id = models.CharField(max_length=ID_LENGTH, null=True)  # noqa: DJ001  absent is not ""
    is_verified = models.BooleanField()
    session_id = models.CharField(max_length=ID_LENGTH, default="")
    metadata = models.JSONField(default=dict)
    redactions = models.JSONField(default=dict)
    input_hash = models.BinaryField(max_length=32)
    fingerprint = models.BinaryField(max_length=32)
    occurred_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        abstract = True


class Inference(Captured):
    """One output of a model, which may be corrected."""

    input = models.JSONField()
    output = models.JSONField()
    is_sensitive = models.BooleanField(
        db_default=False, help_text="Personal data or a secret may remain in it."
    )
    confidence = models.FloatField(null=True)
    model_version = models.CharField(max_length=200, default="")
    arm = models.CharField(max_length=20, default="")
    probabilities = models.JSONField(
        null=True, help_text="Of each label, where Emend itself answered: calibrated."
    )
    target_type = models.CharField(max_length=50, default="")
    target_id = models.CharField(max_length=ID_LENGTH, default="")
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, related_name="children", db_index=False
    )

    objects = InferenceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "uuid"], name="one_inference_an_id"),
            models.CheckConstraint(
                condition=Q(confidence=None) | Q(confidence__gte=0, confidence__lte=1),
                name="confidence_is_a_probability",
            ),
        ]
        indexes = [
            models.Index(fields=["task", "created_at"], name="inference_by_task"),
            models.Index(fields=["task", "input_hash", "user_id"], name="inference_by_input"),
            models.Index(
                fields=["task", "user_id"],
                name="inference_by_user",
                condition=Q(user_id__isnull=False),
            ),
            models.Index(
                fields=["parent"], name="inference_by_parent", condition=Q(parent__isnull=False)
            ),
            models.Index(
                fields=["project", "target_type", "target_id"],
                name="inference_by_target",
                condition=~Q(target_id=""),
            ),
        ]

    def __str__(self) -> str:
        return str(self.uuid)


class Image(models.Model):
    """A picture that a person or a product uploaded; its bytes are in storage under their hash."""

    number = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(default=uuid.uuid4, db_column="id", editable=False)
    project = models.ForeignKey(Project, models.PROTECT, related_name="+", db_index=False)
    api_key = models.ForeignKey(
        ApiKey, models.SET_NULL, null=True, related_name="+", db_index=False
    )
    user_id = models.CharField(max_length=ID_LENGTH, null=True)  # noqa: DJ001  absent is not ""
    is_verified = models.BooleanField()
    sha256 = models.CharField(max_length=64)
    media_type = models.CharField(max_length=20)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    difference_hash = models.BigIntegerField(
        help_text="64 bits as a signed number; alike pictures differ in few of them."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "uuid"], name="one_image_an_id"),
        ]
        indexes = [models.Index(fields=["project", "user_id"], name="image_by_user")]

    def __str__(self) -> str:
        return str(self.uuid)


class Status(models.TextChoices):
    PENDING = "pending"
    FLAGGED = "flagged"
    REJECTED = "rejected"
    PROCESSED = "processed"
    FAILED = "failed"
    ERASED = "erased"


TRANSITIONS: Transitions = {
    "pending": frozenset({"processed", "failed", "erased"}),
    "flagged": frozenset({"pending", "rejected", "erased"}),
    "rejected": frozenset({"flagged", "erased"}),
    "processed": frozenset({"flagged", "erased"}),
    "failed": frozenset({"pending", "erased"}),
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
    processed_at = models.DateTimeField(null=True)
    touched = models.BigIntegerField(db_default=CURRENT_TRANSACTION, editable=False)
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


class Claim(models.Model):
    """The feedback that a worker has in hand; one that outlives its lease lost its worker."""

    queue = models.CharField(max_length=20)
    numbers = ArrayField(models.BigIntegerField())
    lease_until = models.DateTimeField()


class Standing(models.TextChoices):
    PROBATION = "probation", "on probation: too few acts to judge by"
    TRUSTED = "trusted", "trusted"
    QUARANTINED = "quarantined", "quarantined: each act is looked at, none is trained on"


class Contributor(models.Model):
    """What is thought of one person's acts on one task; their history says since when.

    `trust` is what weights are multiplied by. Only verified acts are scored: anybody may send
    others in that person's name.
    """

    task = models.ForeignKey(Task, models.PROTECT, related_name="contributors", db_index=False)
    user_id = models.CharField(max_length=ID_LENGTH)
    standing = models.CharField(max_length=12, choices=Standing, default=Standing.PROBATION)
    trust = models.FloatField(default=1.0)
    is_held = models.BooleanField(
        default=False, help_text="A moderator decided; scores do not change it."
    )
    reason = models.CharField(max_length=200, default="", blank=True)
    honesty = models.FloatField(null=True)
    evidence = models.FloatField(null=True)
    acts = models.PositiveIntegerField(default=0)
    agreed = models.PositiveIntegerField(default=0)
    disagreed = models.PositiveIntegerField(default=0)
    scored_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    touched = models.BigIntegerField(db_default=CURRENT_TRANSACTION, editable=False)
    _change_reason: str  # simple_history writes it into the history row
    history = HistoricalRecords(
        excluded_fields=[
            *("user_id", "honesty", "evidence", "acts", "agreed", "disagreed", "scored_at"),
            *("created_at", "touched"),
        ],
        cascade_delete_history=True,
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "user_id"], name="one_contributor_a_task"),
            models.CheckConstraint(
                condition=Q(standing__in=Standing.values), name="contributor_standing_known"
            ),
        ]
        indexes = [
            models.Index(
                fields=["task", "user_id"],
                name="contributor_quarantined",
                condition=Q(standing="quarantined"),
            ),
            models.Index(fields=["task", "touched"], name="contributor_by_touch"),
        ]

    def __str__(self) -> str:
        return self.user_id

    @property
    def explanation(self) -> str:
        """Say in words why the person stands as they do."""
        if self.is_held:
            return f"A moderator decided: {self.reason}" if self.reason else "A moderator decided."
        if self.honesty is None:
            return "Not scored yet."
        told = ["Nothing said yet that could be judged"]
        if self.acts:
            agreed = f"Agreed with what is thought right {self.agreed} times, {self.disagreed} not"
            told = [agreed, f"honest with probability {self.honesty:.2f} by {self.acts} acts"]
        return "; ".join([*told, *filter(None, [self.reason])]) + "."


class DeadLetter(models.Model):
    """A message of a stream that could not be stored as feedback, and why; redacted."""

    topic = models.CharField(max_length=249)
    partition = models.PositiveIntegerField()
    offset = models.PositiveBigIntegerField()
    sent_at = models.DateTimeField(help_text="By the broker's clock; 1970 where it keeps none.")
    source = models.CharField(max_length=500, default="")
    event_id = models.CharField(max_length=500, default="")
    code = models.CharField(max_length=100)
    detail = models.CharField(max_length=500)
    content = models.TextField(default="", help_text="The beginning of the message, redacted.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                # A topic that is made anew counts from 0 again.
                fields=["topic", "partition", "offset", "sent_at"],
                name="one_dead_letter_a_message",
            )
        ]

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


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


class Example(models.Model):
    """One training-ready row. Its content is write-once; a later decision makes a new example."""

    task = models.ForeignKey(Task, models.PROTECT, related_name="examples", db_index=False)
    feedback = models.ForeignKey(Feedback, models.CASCADE, null=True, related_name="examples")
    inference = models.ForeignKey(Inference, models.CASCADE, null=True, related_name="examples")
    source = models.CharField(max_length=10)  # feedback, audit, import or silence
    signal = models.CharField(max_length=20, default="")
    input = models.JSONField()
    output = models.JSONField()
    rejected_output = models.JSONField(null=True)
    case = models.CharField(max_length=10, default="")  # golden, regression or none
    is_pinned = models.BooleanField(default=False)
    input_hash = models.BinaryField(max_length=32)
    base_weight = models.FloatField(
        help_text="The signal's weight times the quality of the change; of silence 1."
    )
    split = models.CharField(max_length=10)
    review_history_id = models.BigIntegerField(
        null=True, help_text="The decision that admitted it; none: admitted automatically."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    superseded_at = models.DateTimeField(null=True)
    touched = models.BigIntegerField(db_default=CURRENT_TRANSACTION, editable=False)

    objects = ExampleQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["feedback"], name="one_current_example", condition=Q(superseded_at=None)
            ),
            models.UniqueConstraint(
                fields=["inference"], name="one_silent_example", condition=Q(source="silence")
            ),
        ]
        indexes = [
            models.Index(fields=["task", "created_at"], name="example_by_task"),
            models.Index(fields=["task", "input_hash"], name="example_by_input"),
            models.Index(
                fields=["task", "input_hash"],
                name="example_golden",
                condition=Q(case="golden", superseded_at=None),
            ),
            models.Index(fields=["task", "touched"], name="example_by_touch"),
        ]
