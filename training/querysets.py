"""Named questions about the rows of dataset versions."""

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import Exists, OuterRef, Q

from privacy.models import DataSubject, Purpose

if TYPE_CHECKING:
    from training.models import DatasetVersion


class IntervalQuerySet(models.QuerySet[Any]):
    def of_version(self, version: "DatasetVersion") -> "IntervalQuerySet":
        """Return what holds for a version, twins included."""
        number = version.version
        return self.filter(dataset=version.dataset_id, since_version__lte=number).filter(
            Q(until_version=None) | Q(until_version__gt=number)
        )


class CheckQuerySet(models.QuerySet[Any]):
    def waiting(self) -> "CheckQuerySet":
        """Return what moderators are to check, in the order of the lists, with answers and tasks.

        Somebody may have reacted, or withdrawn consent, since an answer was chosen.
        """
        withdrawn = DataSubject.objects.withdrawn(*Purpose).filter(
            project=OuterRef("task__project"), user_id=OuterRef("inference__user_id")
        )
        rows = self.filter(~Exists(withdrawn), status="open", inference__feedback=None)
        return rows.select_related("inference", "task__project").order_by("place", "pk")
