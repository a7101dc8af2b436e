"""Answers to check: what nobody reacted to, put before moderators one at a time."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from feedback import claims
from feedback.admin import showing, undoing
from feedback.admin.words import excerpt
from feedback.admin.worklist import Worklist
from feedback.worth import Answer, reason_of
from privacy.admin import age
from privacy.admin.paging import KeysetList
from training import checking
from training.admin.answering import SAID, AnswerForm
from training.models import AnswerToCheck
from training.querysets import CheckQuerySet

LIST = "admin:training_answertocheck_changelist"


class SliceFilter(admin.SimpleListFilter):
    title = "how it was chosen"
    parameter_name = "slice"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("random", "at random"), ("worth", "by its worth")]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows if self.value() is None else rows.filter(is_random=self.value() == "random")


@admin.register(AnswerToCheck)
class AnswerToCheckAdmin(Worklist):
    """The list, and the page of one, where a moderator says whether it is right."""

    kind = claims.ANSWER
    addresses = "training_check"
    item_page = "admin:training_answertocheck_change"
    project_path = "task__project"
    is_look_noted = False  # it is done by hand, of the answer's person
    list_display = ["what", "output", "task", "certainty", "why", "shown"]
    list_filter = ["task", SliceFilter]
    ordering = ["place", "pk"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("training.change_answertocheck")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetList

    def waiting(self, request: HttpRequest) -> QuerySet[Any]:
        rows: CheckQuerySet = super().get_queryset(request)  # type: ignore[assignment]
        return rows.waiting()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        is_list = request.resolver_match and request.resolver_match.view_name == LIST
        return self.waiting(request) if is_list else super().get_queryset(request)

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """Show one answer, or store what is said of it and go to the next."""
        check = self.get_object(request, object_id)
        if not self.has_view_permission(request, check):
            raise PermissionDenied
        if check is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined,no-any-return]
        by, may_answer = request.user.get_username(), self.has_change_permission(request)
        form = AnswerForm(check, request.POST or None)
        if request.method == "POST":
            if not may_answer:
                raise PermissionDenied
            if form.is_valid() and form.answer(by=by):
                undoing.remember(
                    request, SAID[form.cleaned_data["decision"]], [(check.pk, 0)], claims.ANSWER
                )
                return self.go_to(request, self.take_next(request, check))
            form.focus_first_error()
        self.note_look(request, check.inference)
        is_open = may_answer and check.status == "open"
        holder = self.holder(request, check) if is_open else None
        context = {
            **self.admin_site.each_context(request),
            **showing.of(check.inference, check.inference.output, None, changes=[]),
            "opts": self.opts,
            "title": f"Answer {check.inference.uuid}",
            "check": check,
            "why": self.why(check),
            "form": form,
            "holder": holder,
            "may_answer": is_open,
            **self.page_context(request, check),
        }
        return TemplateResponse(request, "admin/training/answertocheck/change_form.html", context)

    def take_back(self, row: AnswerToCheck, *, by: str) -> None:
        checking.undo(row, by=by)

    @admin.display(description="Input")
    def what(self, check: AnswerToCheck) -> str:
        return excerpt(check.inference.input) or str(check.inference.uuid)

    @admin.display(description="The model's answer")
    def output(self, check: AnswerToCheck) -> str:
        return excerpt(check.inference.output)

    @admin.display(description="Confidence")
    def certainty(self, check: AnswerToCheck) -> str:
        confidence = check.inference.confidence
        return "not given" if confidence is None else f"{confidence:.0%}"

    @admin.display(description="Why here")
    def why(self, check: AnswerToCheck) -> str:
        if check.is_random:
            return f"Drawn at random, {check.propensity:.2%} of what nobody reacted to"
        shown = check.inference
        reason = reason_of(Answer(check.exposure, shown.confidence, shown.probabilities))
        return f"{reason}; {check.alike:,} alike" if check.alike > 1 else reason

    @admin.display(description="Shown")
    def shown(self, check: AnswerToCheck) -> str:
        return age(check.inference.created_at)
