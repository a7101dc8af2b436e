"""Named questions about the rows of dataset versions."""

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from training.models import DatasetVersion


class MembershipQuerySet(models.QuerySet[Any]):
    def of_version(self, version: "DatasetVersion") -> "MembershipQuerySet":
        """Return what is in a version, twins included."""
        number = version.version
        return self.filter(dataset=version.dataset_id, since_version__lte=number).filter(
            Q(until_version=None) | Q(until_version__gt=number)
        )

    def permitted(self) -> "MembershipQuerySet":
        """Leave out people who have withdrawn consent to training since the version was built."""
        examples = apps.get_model("feedback", "Example").objects
        return self.filter(example__in=examples.permitted())

    def rows(self) -> "MembershipQuerySet":
        """Return one membership for each distinct row, ordered by row hash.

        Of twins the one that gates ask most of: pinned, then regression, then golden.
        """
        rank = ("-example__is_pinned", "-example__case", "example_id")
        return self.order_by("row_hash", *rank).distinct("row_hash")
