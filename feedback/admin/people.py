"""Contributors: how they stand, why, and a moderator's own word about them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from feedback import contributors
from feedback.admin.bulk import MOST_AT_ONCE
from feedback.admin.filters import TaskFilter
from feedback.admin.item import STATE_OF
from feedback.models import Contributor, Standing
from privacy.admin import ReadOnlyAdmin, age

MEANING = (
    "Trust is what the weights of this person's acts are multiplied by. Scores are renewed each "
    "hour; in the list of contributors a moderator can decide otherwise."
)


class ReasonForm(ActionForm):
    reason = forms.CharField(required=False, label="Reason:", max_length=200)


class HeldFilter(admin.BooleanFieldListFilter):
    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.title = "decision of a moderator"


@admin.register(Contributor)
class ContributorAdmin(ReadOnlyAdmin):
    project_path = "task__project"
    list_display = ["user_id", "task", "stands", "trusted", "acts", "agreement", "scored"]
    list_filter = ["standing", TaskFilter, ("is_held", HeldFilter)]
    list_select_related = ["task"]
    search_fields = ["user_id__startswith"]
    search_help_text = "A contributor's id or its beginning"
    ordering = ["-disagreed", "pk"]
    readonly_fields = ["why", "trusted", "agreement", "scored", "sent", "changes"]
    shown = ("user_id", "task", "standing", *readonly_fields)
    fieldsets = [(None, {"description": MEANING, "fields": shown})]
    actions = ["trust", "quarantine", "let_go"]
    action_form = ReasonForm
    most_at_once = MOST_AT_ONCE

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("feedback.change_contributor")

    @admin.display(description="Standing", ordering="standing")
    def stands(self, row: Contributor) -> str:
        state = STATE_OF.get(row.standing, "info")
        return format_html('<span class="state {}">{}</span>', state, row.standing)

    @admin.display()
    def why(self, row: Contributor) -> str:
        return row.explanation

    @admin.display(description="Trust", ordering="trust")
    def trusted(self, row: Contributor) -> str:
        return f"{row.trust:.2f}" + (" (decided)" if row.is_held else "")

    @admin.display(description="Agreed / not")
    def agreement(self, row: Contributor) -> str:
        return f"{row.agreed} / {row.disagreed}"

    @admin.display(description="Scored", ordering="scored_at")
    def scored(self, row: Contributor) -> str:
        return age(row.scored_at) if row.scored_at else "not yet"

    @admin.display(description="Feedback")
    def sent(self, row: Contributor) -> str:
        theirs = [("task", str(row.task.pk)), ("user_id__exact", row.user_id)]
        address = reverse("admin:feedback_feedback_changelist", query=theirs)
        return format_html('<a href="{}">Look at it, or accept what waits</a>', address)

    @admin.action(description="Trust, whatever the scores say", permissions=["decide"])
    def trust(self, request: HttpRequest, rows: QuerySet[Contributor]) -> None:
        self._hold(request, rows, Standing.TRUSTED)

    @admin.action(description="Quarantine, whatever the scores say", permissions=["decide"])
    def quarantine(self, request: HttpRequest, rows: QuerySet[Contributor]) -> None:
        self._hold(request, rows, Standing.QUARANTINED)

    @admin.action(description="Let the scores decide again", permissions=["decide"])
    def let_go(self, request: HttpRequest, rows: QuerySet[Contributor]) -> None:
        chosen = self._chosen(request, rows.filter(is_held=True))
        contributors.let_go(*chosen, by=request.user.get_username())
        self.message_user(request, f"{len(chosen)} judged again, from the next scores on.")

    def _hold(self, request: HttpRequest, rows: QuerySet[Contributor], standing: Standing) -> None:
        by, reason = request.user.get_username(), request.POST.get("reason", "").strip()
        chosen = self._chosen(request, rows)
        contributors.hold(*chosen, standing=standing, by=by, reason=reason)
        self.message_user(request, f"{len(chosen)} {standing.value} from now on, by your decision.")

    def _chosen(self, request: HttpRequest, rows: QuerySet[Contributor]) -> QuerySet[Contributor]:
        """Return as many of them as are done at once; say how many are left."""
        left = rows.count() - MOST_AT_ONCE
        if left > 0:
            said = f"{left:,} left alone: beyond {MOST_AT_ONCE} at once."
            self.message_user(request, said, messages.WARNING)
        return rows[:MOST_AT_ONCE]
