"""The functions of a product that people judge."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from simple_history.models import HistoricalRecords

from feedback.modalities import MODALITIES
from feedback.modalities.base import Modality
from feedback.querysets import TaskQuerySet
from feedback.task_settings import TaskSettings, options_of
from privacy.models import Project
from privacy.redaction import Rules


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
