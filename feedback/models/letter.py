"""Messages that became nothing."""

from django.db import models
from django.db.models.functions import Now

from feedback.models.captured import ID_LENGTH
from privacy.models import Project


class DeadLetter(models.Model):
    """A message of a stream that could not be stored as feedback, and why; redacted."""

    topic = models.CharField(max_length=249)
    partition = models.PositiveIntegerField()
    offset = models.PositiveBigIntegerField()
    sent_at = models.DateTimeField(help_text="By the broker's clock; 1970 where it keeps none.")
    project = models.ForeignKey(
        Project, models.PROTECT, null=True, related_name="+", editable=False
    )
    user_id = models.CharField(  # noqa: DJ001  absent is not ""
        max_length=ID_LENGTH, null=True, editable=False, help_text="Whose act it names, if any."
    )
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
