"""What needs a person, for the first line of the admin."""

from datetime import datetime
from typing import Any

from django import template
from django.db.models import Count, Min

from feedback.models import Feedback, Status
from training.models import Run

register = template.Library()


@register.simple_tag
def attention() -> dict[str, Any]:
    """Count flagged and failed feedback, and tasks whose newest run was refused."""
    flagged: dict[str, int | datetime | None] = Feedback.objects.flagged().aggregate(
        n=Count("pk"), oldest_at=Min("created_at")
    )
    newest_runs = Run.objects.exclude(ended_at=None).order_by("task", "-ended_at").distinct("task")
    return {
        "flagged": flagged["n"],
        "oldest_at": flagged["oldest_at"],
        "failed": Feedback.objects.filter(status=Status.FAILED).count(),
        "refused": [run for run in newest_runs.select_related("task") if run.status == "refused"],
    }
