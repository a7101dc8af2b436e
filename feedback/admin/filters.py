"""Filters of lists of feedback: each choice says how many rows it would leave."""

from collections import Counter
from string import hexdigits
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from feedback.admin.waiting import narrowed
from feedback.admin.words import WHY_FLAGGED
from feedback.models import Task
from feedback.signals import SIGNALS
from privacy import staff
from privacy.paging import MOST_COUNTED

UUID_DIGITS = 32
COLUMNS = ("task_id", "signal", "flags", "review__decision")  # of the filters that count


def by_ids(rows: QuerySet[Any], term: str) -> QuerySet[Any]:
    """Keep what a contributor of this id sent, or what has an id of this beginning: by indexes."""
    is_it, digits = Q(user_id=term), term.replace("-", "").lower()
    if digits and len(digits) <= UUID_DIGITS and set(digits) <= set(hexdigits):
        ends = [UUID(digits.ljust(UUID_DIGITS, filler)) for filler in "0f"]
        is_it |= Q(uuid__range=ends)
    return rows.filter(is_it)


class QueueFilter(admin.SimpleListFilter):
    """A filter that the pages of items understand as well."""

    column: str  # whose values are the choices

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return narrowed(rows, {str(self.parameter_name): self.value()})

    def choices(self, changelist: ChangeList) -> Any:
        """Yield the choices that would leave rows, with their number."""
        values = self._values(changelist)
        found = None if values is None else self.tally(values)
        is_more = values is not None and len(values) >= MOST_COUNTED
        first, *rest = super().choices(changelist)
        yield first
        for choice, (value, _) in zip(rest, self.lookup_choices, strict=True):
            if found is None:
                yield choice
            elif found[str(value)] or choice["selected"]:
                yield choice | {"number": found[str(value)], "is_more": is_more}

    def _values(self, changelist: ChangeList) -> list[Any] | None:
        """Return the values of the rows that the other filters leave, up to a limit."""
        if not getattr(changelist.model_admin, "has_counts", False) or changelist.query:
            return None  # to search the texts once for each filter takes too long
        if self.value() is None:  # it leaves what is listed: read once for all such filters
            if not hasattr(changelist, "listed"):
                listed = changelist.queryset.order_by().values(*COLUMNS)
                changelist.listed = list(listed[:MOST_COUNTED])  # type: ignore[attr-defined]
            return [row[self.column] for row in changelist.listed]  # type: ignore[attr-defined]
        rows = changelist.get_queryset(
            self.request, exclude_parameters=self.expected_parameters()
        ).order_by()
        return list(rows.values_list(self.column, flat=True)[:MOST_COUNTED])

    def tally(self, values: list[Any]) -> Counter[str]:
        return Counter(str(value) for value in values)

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        self.request = request
        super().__init__(request, *args)


class TaskFilter(QueueFilter):
    title = parameter_name = "task"
    column = "task_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        tasks = staff.within(Task.objects.select_related("project"), request.user)
        ordered = tasks.order_by("project__slug", "slug")
        return [(str(task.pk), f"{task.project} / {task}") for task in ordered]


class SignalFilter(QueueFilter):
    title = parameter_name = column = "signal"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in SIGNALS]


class FlagFilter(QueueFilter):
    title = "why flagged"
    parameter_name = "flag"
    column = "flags"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(WHY_FLAGGED.items())

    def tally(self, values: list[Any]) -> Counter[str]:
        return Counter(flag for flags in values for flag in flags)


class StateFilter(QueueFilter):
    title = "decided so far"
    parameter_name = "state"
    column = "review__decision"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("new", "by nobody"), ("escalate", "escalated"), ("approve", "accepted by one")]

    def tally(self, values: list[Any]) -> Counter[str]:
        return Counter("new" if value is None else str(value) for value in values)


class OrderFilter(QueueFilter):
    title = parameter_name = "order"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("oldest", "oldest first")]

    def choices(self, changelist: ChangeList) -> Any:
        first, *rest = admin.SimpleListFilter.choices(self, changelist)
        yield first | {"display": "most worth first"}
        yield from rest


class OneFilter(QueueFilter):
    """What is like one act: it is chosen on that act's page, and shown here to be taken off."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        number = str(self.used_parameters.get(str(self.parameter_name)) or "")
        return [(number, "as the one that you came from")] if number else []

    def choices(self, changelist: ChangeList) -> Any:
        return admin.SimpleListFilter.choices(self, changelist)


class AlikeFilter(OneFilter):
    title = "the same input"
    parameter_name = "alike"


class WhoseFilter(OneFilter):
    title = "the same contributor"
    parameter_name = "whose"
