"""What products send: answers of models, pictures, and what acts have in common with them."""

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from feedback.models.task import Task
from feedback.querysets import InferenceQuerySet
from privacy.models import ApiKey, Project

ID_LENGTH = 128


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
