"""Named questions about the rows of dataset versions."""

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from training.models import DatasetVersion


class IntervalQuerySet(models.QuerySet[Any]):
    def of_version(self, version: "DatasetVersion") -> "IntervalQuerySet":
        """Return what holds for a version, twins included."""
        number = version.version
        return self.filter(dataset=version.dataset_id, since_version__lte=number).filter(
            Q(until_version=None) | Q(until_version__gt=number)
        )
