"""How the work of the bells went, for the page of background work."""

from django.db import models


class BellRun(models.Model):
    """The last run of one task, written over by the next."""

    task = models.CharField(max_length=100, primary_key=True)
    began_at = models.DateTimeField()
    seconds = models.FloatField()
    fault = models.CharField(max_length=100, help_text="The class of what it raised, if it did.")
    place = models.CharField(max_length=63, help_text="The session's name in PostgreSQL.")

    def __str__(self) -> str:
        return self.task
