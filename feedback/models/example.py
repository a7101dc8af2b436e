"""What is trained on."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from config.database import CURRENT_TRANSACTION
from feedback.models.act import Feedback
from feedback.models.captured import Inference
from feedback.models.task import Task
from feedback.querysets import ExampleQuerySet


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
