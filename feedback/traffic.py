"""What is usual for a task: how many people it serves, how far its corrections go.

Capture holds each act against these figures, and must not count to know them.
"""

import math
from datetime import timedelta

from django.db.models import Count
from django.db.models.functions import Now

from feedback.models import Feedback, Inference, Status, Task

NEAREST_CORRECTIONS = 5_000
FEWEST_CORRECTIONS = 200
REWRITE_QUANTILE = 0.995


def waiting_seconds() -> float | None:
    """Return 0.0 if a task's figures are older than its traffic, else None."""
    return 0.0 if Task.objects.to_measure().exists() else None


def measure_tasks() -> None:
    """Count again for every task that served or was corrected since it was counted."""
    for task in Task.objects.to_measure():
        measure(task)


def measure(task: Task) -> None:
    """Write the people served in a week, and the distance that few corrections pass."""
    week = Inference.objects.filter(task=task, created_at__gt=Now() - timedelta(days=7))
    figures = week.aggregate(users=Count("user_id", distinct=True))
    corrections = Feedback.objects.filter(
        project=task.project_id, task=task, status=Status.PROCESSED, edit_distance__isnull=False
    ).order_by("-created_at", "-number")
    distances = corrections.values_list("edit_distance", flat=True)[:NEAREST_CORRECTIONS]
    Task.objects.filter(pk=task.pk).update(
        weekly_users=figures["users"],
        rewrite_distance=rewrite_distance(sorted(distances)),
        measured_at=Now(),
    )


def rewrite_distance(ordered: list[float]) -> float | None:
    """Return the 99.5th percentile (nearest rank) of sorted distances; None where too few."""
    if len(ordered) < FEWEST_CORRECTIONS:
        return None
    return ordered[math.ceil(REWRITE_QUANTILE * len(ordered)) - 1]
