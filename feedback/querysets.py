"""Named questions about inferences, feedback and examples."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from feedback.normalise import split_of
from privacy.models import Scope

if TYPE_CHECKING:
    from feedback.models import Task

MEASURED_AFTER = timedelta(seconds=10)
# After it can be undone no more; what is older nobody remembers.
SECOND_LOOK_AFTER, SECOND_LOOK_WAITS = timedelta(minutes=5), timedelta(days=14)
LARGE = 10_000  # weekly users; to count them takes a while
LARGE_MEASURED_AFTER = timedelta(minutes=5)


class TaskQuerySet(models.QuerySet[Any]):
    def to_measure(self) -> "TaskQuerySet":
        """Return tasks with traffic since their figures were counted; large ones more seldom."""
        # What was captured shortly before may have been processed since.
        since = OuterRef("measured_at") - timedelta(minutes=1)
        shown = apps.get_model("feedback", "Inference").objects.filter(task=OuterRef("pk"))
        said = apps.get_model("feedback", "Feedback").objects.filter(
            project=OuterRef("project_id"), task=OuterRef("pk"), created_at__gt=since
        )
        is_old = Q(measured_at__lt=Now() - MEASURED_AFTER) & (
            Q(weekly_users__lt=LARGE) | Q(measured_at__lt=Now() - LARGE_MEASURED_AFTER)
        )
        has_news = Q(Exists(shown.filter(created_at__gt=since))) | Q(Exists(said))
        return self.filter((Q(measured_at=None) & Q(Exists(shown))) | (is_old & has_news))


class InferenceQuerySet(models.QuerySet[Any]):
    def silent(self, task: "Task", until: datetime) -> "InferenceQuerySet":
        """Return answers shown up to `until` that nobody reacted to.

        Only what Emend or the product's server says it answered: what a publishable key made up
        no moderator ever sees, whoever it was made up for.
        """
        return self.filter(task=task, created_at__lte=until, feedback=None).served()

    def served(self) -> "InferenceQuerySet":
        """Return answers whose sender is the product's own server."""
        return self.filter(Q(api_key=None) | Q(api_key__scope=Scope.MANAGE), is_verified=True)


class FeedbackQuerySet(models.QuerySet[Any]):
    def pending(self) -> "FeedbackQuerySet":
        return self.filter(status="pending")

    def flagged(self) -> "FeedbackQuerySet":
        return self.filter(status="flagged")

    def ready(self, queue: str) -> "FeedbackQuerySet":
        """Return rows of a queue that a worker may claim now, oldest first."""
        return self.pending().filter(queue=queue, ready_at__lte=Now()).order_by("ready_at")


class SecondLookQuerySet(models.QuerySet[Any]):
    def waiting_for(self, moderator: str) -> "SecondLookQuerySet":
        """Return what this moderator may judge again, oldest first, unless it waits once more."""
        decided = apps.get_model("feedback", "HistoricalReview").objects.filter(
            feedback=OuterRef("feedback"), moderator=moderator
        )
        drawn = (Now() - SECOND_LOOK_WAITS, Now() - SECOND_LOOK_AFTER)
        rows = self.filter(~Exists(decided), is_second_yes=None, drawn_at__range=drawn)
        return rows.exclude(feedback__status="flagged").order_by("drawn_at", "pk")


class ExampleQuerySet(models.QuerySet[Any]):
    def sides_of(
        self, task_id: int, hashes: Iterable[bytes], wish: str | None = None
    ) -> dict[bytes, str]:
        """Return the side of the split for inputs: none that is known ever changes sides.

        A new one goes where `wish` ("train" or "holdout") says, else where its hash says.
        """
        wanted = set(hashes)
        known = self.filter(task=task_id, input_hash__in=wanted).order_by("input_hash", "pk")
        first = known.distinct("input_hash").values_list("input_hash", "split")
        sides = {bytes(input_hash): side for input_hash, side in first}
        return {h: sides.get(h) or wish or split_of(h) for h in wanted}
