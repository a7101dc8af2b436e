"""Named questions about inferences, feedback and examples."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from feedback.normalise import split_of
from feedback.signals import EXPLICIT, IMPLICIT
from privacy.models import DataSubject, Purpose, Scope

if TYPE_CHECKING:
    from feedback.models import Task

MEASURED_AFTER = timedelta(seconds=10)
LARGE = 10_000  # weekly users; to count them takes a while
LARGE_MEASURED_AFTER = timedelta(minutes=5)


def _withdrawn(prefix: str) -> Exists:
    """Match rows of a person who does not let models be trained on their data."""
    person = {"project": OuterRef(f"{prefix}project"), "user_id": OuterRef(f"{prefix}user_id")}
    return Exists(DataSubject.objects.filter(**person).withdrawn(Purpose.TRAINING))


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
    def silent(self, task: "Task") -> "InferenceQuerySet":
        """Return answers that nobody reacted to within the task's hours of silence.

        Only what Emend or the product's server says it answered: what a publishable key made up
        no moderator ever sees, whoever it was made up for.
        """
        shown_by = Now() - timedelta(hours=task.options.silence_hours)
        return self.filter(task=task, created_at__lte=shown_by, feedback=None).served()

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

    def permitted(self) -> "ExampleQuerySet":
        """Return examples of which nobody, who wrote or was answered, has withdrawn consent."""
        of_feedback = Q(feedback__isnull=False)
        return (
            self.exclude(of_feedback & _withdrawn("feedback__"))
            .exclude(of_feedback & _withdrawn("feedback__inference__"))
            .exclude(Q(source="silence") & _withdrawn("inference__"))
        )

    def trainable(self, *, as_of: datetime) -> "ExampleQuerySet":
        """Return what a version built at `as_of` may take.

        Current examples of processed feedback, verified or accepted by a moderator, the latest
        explicit act of each person on each inference; starting data; silence nobody broke.
        """
        is_accepted = Q(feedback__review__decision="accept")
        from_feedback = Q(feedback__status="processed") & (
            is_accepted | (Q(feedback__is_verified=True) & ~Q(self._of_quarantined()))
        )
        from_silence = Q(source="silence", inference__feedback=None)
        return (
            self.permitted()
            .filter(created_at__lte=as_of, superseded_at=None)
            .filter(Q(source="import") | from_feedback | from_silence)
            .exclude(self._outdone())
        )

    def _of_quarantined(self) -> Exists:
        """Match examples of people in quarantine: only what a moderator accepts is trained on."""
        contributor = apps.get_model("feedback", "Contributor")
        person = {"task": OuterRef("task"), "user_id": OuterRef("feedback__user_id")}
        return Exists(contributor.objects.filter(**person, standing="quarantined"))

    def _outdone(self) -> Q:
        """Match examples that another act of the same person on the same answer replaces.

        What is not verified replaces nothing: anybody could have sent it in that person's name.
        """
        feedback = apps.get_model("feedback", "Feedback")
        explicit = feedback.objects.filter(
            Q(is_verified=True) | Q(review__decision="accept"),
            inference=OuterRef("feedback__inference"),
            user_id=OuterRef("feedback__user_id"),
            status="processed",
            signal__in=EXPLICIT,
        )
        is_later = Q(Exists(explicit.filter(number__gt=OuterRef("feedback__number"))))
        return is_later | (Q(signal__in=IMPLICIT) & Q(Exists(explicit)))
