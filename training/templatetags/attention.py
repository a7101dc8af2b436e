"""The dashboard, for the admin's index."""

from typing import Any

from django import template
from django.utils import timezone

from feedback.models import FiguresMark, Status
from training.dashboard.charts import charts
from training.dashboard.needs import needs
from training.dashboard.scope import scope_of
from training.dashboard.stages import opened, stages

register = template.Library()


@register.simple_tag(takes_context=True)
def dashboard(context: dict[str, Any]) -> dict[str, Any]:
    """Return the stages, what needs this person, and the charts, of the tasks they chose."""
    request = context["request"]
    scope = scope_of(request.user, request.GET.get("of", ""))
    flagged, failed = opened(scope, Status.FLAGGED), opened(scope, Status.FAILED)
    projects = {task.project_id for task in scope.tasks}
    measured = FiguresMark.objects.filter(project__in=projects).order_by("-measured_at").first()
    return {
        "scope": scope,
        "stages": stages(scope, flagged),
        "needs": needs(scope, flagged, failed),
        "charts": charts(scope),
        "measured_at": measured and measured.measured_at,
    }


@register.filter
def lasting(seconds: float | None) -> str:
    """Write a stretch of time with its unit."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:.2f} s"


@register.filter
def took(run: Any) -> str:
    """Write how long a run has lasted since it was asked for."""
    return lasting(((run.ended_at or timezone.now()) - run.created_at).total_seconds())
