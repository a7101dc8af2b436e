"""Decisions that another moderator judges again."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from feedback.models.act import Feedback
from feedback.querysets import SecondLookQuerySet


class SecondLook(models.Model):
    """A verdict drawn at random, to be judged again by somebody who is not shown the first.

    Cohen's kappa is measured on these alone. They change nothing about the feedback.
    """

    feedback = models.OneToOneField(Feedback, models.CASCADE, related_name="second_look")
    first = models.CharField(max_length=150, help_text="Who decided it.")
    is_first_yes = models.BooleanField()
    drawn_at = models.DateTimeField(db_default=Now(), editable=False)
    second = models.CharField(max_length=150, default="", help_text="Who judged it again.")
    is_second_yes = models.BooleanField(null=True, help_text="None as long as nobody has.")
    judged_at = models.DateTimeField(null=True)
    objects = SecondLookQuerySet.as_manager()

    class Meta:
        verbose_name = "second look"
        indexes = [
            models.Index(
                fields=["drawn_at", "id"],
                name="second_look_waiting",
                condition=Q(is_second_yes=None),
            ),
            models.Index(fields=["judged_at"], name="second_look_judged"),
        ]
