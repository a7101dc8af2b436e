"""The page of the numbers of review: how it is going, and what should be changed about it."""

from typing import NamedTuple

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from feedback.admin.words import WHY_FLAGGED
from feedback.models import Task
from feedback.review import numbers
from feedback.validation import DEFAULT_THRESHOLDS
from privacy import staff

CHOICES = (7, 30, 90)  # days


class Advice(NamedTuple):
    """What to look at, in words; `state` is "ok" or "attention"."""

    state: str
    words: str


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show the numbers; those of single moderators only to whoever may see reviews."""
    if not request.user.has_perm("feedback.view_feedback"):
        raise PermissionDenied
    rows = staff.within(Task.objects.select_related("project"), request.user)
    given = {task.pk: task for task in rows.order_by("project__slug", "slug")}
    chosen = next((pk for pk in given if str(pk) == request.GET.get("task")), None)
    days = next((n for n in CHOICES if str(n) == request.GET.get("days")), CHOICES[1])
    tasks = list(given) if chosen is None else [chosen]
    opened, flow = numbers.opened(tasks), numbers.flow(tasks)
    found = numbers.decided(tasks, days=days)
    flags = [(words_of(row), row, said_of(row)) for row in found.flags]
    told = [
        Advice("attention", f"\u201c{flag}\u201d is {said}.") for flag, _, said in flags if said
    ]
    context = {
        **admin.site.each_context(request),
        "title": "How review is going",
        "given": given.values(),
        "chosen": chosen,
        "days": days,
        "choices": CHOICES,
        "opened": [(given[row.task], row) for row in opened],
        "most_open": max((row.count for row in opened), default=0),
        "open": sum(row.count for row in opened),
        "escalated": sum(row.escalated for row in opened),
        "approved": sum(row.approved for row in opened),
        "flow": flow[::-1],
        "most_a_day": max(max(day.flagged, day.decided) for day in flow),
        "found": found,
        "most_read": numbers.MOST_READ,
        "flags": flags,
        "advice": [_about_flow(flow), *told],
        "least_of_two": numbers.LEAST_OF_TWO,
        "may_see_names": request.user.has_perm("feedback.view_review"),
    }
    return TemplateResponse(request, "admin/feedback/numbers.html", context)


def _about_flow(flow: list[numbers.Day]) -> Advice:
    week = flow[-numbers.WEEK.days :]
    flagged, decided = sum(day.flagged for day in week), sum(day.decided for day in week)
    growth = flagged - decided
    counts = f"{flagged:,} flagged and {decided:,} decided in 7 days"
    if growth > 0:
        return Advice("attention", f"The queue grows, by {growth:,}: {counts}.")
    return Advice("ok", f"The queue {'shrinks' if growth else 'does not grow'}: {counts}.")


def words_of(row: numbers.FlagShare) -> str:
    return WHY_FLAGGED.get(row.flag, row.flag)


def said_of(row: numbers.FlagShare) -> str:
    """Say what a flag's share tells, if it tells something."""
    has_threshold = row.flag in DEFAULT_THRESHOLDS
    if row.is_nearly_always_accepted:
        what = "change this flag's threshold" if has_threshold else "a task can do without it"
        return f"nearly always accepted: {what}"
    if row.is_nearly_always_rejected:
        what = "change this flag's threshold to find more" if has_threshold else "it finds its kind"
        return f"nearly always rejected: {what}"
    return ""
