"""What is thought of the people who act."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from simple_history.models import HistoricalRecords

from config.database import CURRENT_TRANSACTION
from feedback.models.captured import ID_LENGTH
from feedback.models.task import Task


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
