"""How much came in and what became of it, by the hour: the dashboard counts no feedback itself."""

from django.db import models

from feedback.models.task import Task
from privacy.models import Project


class HourFigures(models.Model):
    """Figures of one task: of what was captured in an hour, and of decisions made in it.

    How many were open is what the last measuring in that hour found; none: nothing was measured.
    """

    task = models.ForeignKey(Task, models.CASCADE, related_name="hours", db_index=False)
    hour = models.DateTimeField()
    captured = models.PositiveIntegerField(db_default=0)
    signals = models.JSONField(default=dict, help_text="The same by signal.")
    flagged = models.PositiveIntegerField(db_default=0)
    processed = models.PositiveIntegerField(db_default=0)
    decided = models.PositiveIntegerField(db_default=0)
    p50_seconds = models.FloatField(null=True, help_text="From ready to processed, the median.")
    p99_seconds = models.FloatField(null=True)
    last_captured_at = models.DateTimeField(null=True)
    last_processed_at = models.DateTimeField(null=True)
    last_decided_at = models.DateTimeField(null=True)
    open_flagged = models.PositiveIntegerField(null=True)
    open_pending = models.PositiveIntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "hour"], name="one_row_an_hour")]


class FiguresMark(models.Model):
    """Up to which transaction a project's feedback is counted in its figures."""

    project = models.OneToOneField(
        Project, models.CASCADE, primary_key=True, related_name="figures"
    )
    seen_to = models.BigIntegerField(help_text="Transactions from this one on may not be counted.")
    measured_at = models.DateTimeField()
