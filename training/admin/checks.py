"""Answers to check: what nobody reacted to, put before moderators one at a time."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from config.errors import EmendError
from feedback import claims
from feedback.admin import bulk, showing
from feedback.admin.words import excerpt
from feedback.worth import Answer, reason_of
from privacy.admin import ReadOnlyAdmin, age
from privacy.admin.paging import KeysetList
from privacy.paging import is_beyond
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
class AnswerToCheckAdmin(ReadOnlyAdmin):
    """The list, and the page of one, where a moderator says whether it is right."""

    project_path = "task__project"
    is_look_noted = False  # it is done by hand, of the answer's person
    list_display = ["what", "output", "task", "certainty", "why", "shown"]
    list_filter = ["task", SliceFilter]
    list_per_page = 50
    sortable_by = ()
    ordering = ["place", "pk"]
    change_list_template = "admin/training/answertocheck/change_list.html"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("training.change_answertocheck")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetList

    def waiting(self, request: HttpRequest) -> QuerySet[Any]:
        rows: CheckQuerySet = super().get_queryset(request)  # type: ignore[assignment]
        return rows.waiting()

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site.admin_view
        return [
            path("next/", site(self.next_view), name="training_check_first"),
            path("next/<int:pk>/", site(self.next_view), name="training_check_next"),
            path("claim/<int:pk>/", site(self.claim_view), name="training_check_claim"),
            path("undo/", site(self.undo_view), name="training_check_undo"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        claims.release(claims.ANSWER, by=request.user.get_username())
        context = {
            "title": "Answers to check",
            "undo": bulk.undoable(request, claims.ANSWER),
            "next_url": reverse("admin:training_check_first"),
        }
        return super().changelist_view(request, context | (extra_context or {}))

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
                bulk.remember(
                    request, SAID[form.cleaned_data["decision"]], [(check.pk, 0)], claims.ANSWER
                )
                return self._next(request, check)
            form.focus_first_error()
        self.note_look(request, check.inference)
        claim = None
        if check.status == "open" and may_answer:
            claim = claims.take(claims.ANSWER, check.pk, by=by)
        is_held = claim is not None and claim.moderator != by
        context = {
            **self.admin_site.each_context(request),
            **showing.of(check.inference, check.inference.output, None, changes=[]),
            "opts": self.opts,
            "title": f"Answer {check.inference.uuid}",
            "check": check,
            "why": self.why(check),
            "form": form,
            "holder": claim if is_held else None,
            "may_answer": may_answer and check.status == "open" and not is_held,
            "queue_url": reverse(LIST),
            "next_url": reverse("admin:training_check_next", args=[check.pk]),
            "claim_url": reverse("admin:training_check_claim", args=[check.pk]),
            "undo": bulk.undoable(request, claims.ANSWER),
        }
        return TemplateResponse(request, "admin/training/answertocheck/change_form.html", context)

    def next_view(self, request: HttpRequest, pk: int | None = None) -> HttpResponse:
        """Go to what comes next, after one or first of all; it is before nobody else."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        return self._next(request, super().get_queryset(request).filter(pk=pk).first())

    def claim_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Keep an answer before the moderator whose page shows it; 409 if it is not any more."""
        if request.method != "POST" or not self.has_change_permission(request):
            raise PermissionDenied
        rows = self.waiting(request).filter(pk=pk)
        is_held = claims.keep(claims.ANSWER, rows, by=request.user.get_username())
        return HttpResponse(status=204 if is_held else 409)

    def undo_view(self, request: HttpRequest) -> HttpResponse:
        """Take back what this moderator has just said, and go back to it."""
        if request.method != "POST" or not self.has_change_permission(request):
            raise PermissionDenied
        by = request.user.get_username()
        wanted = [pk for pk, _ in bulk.forget(request, claims.ANSWER)]
        check = super().get_queryset(request).filter(pk__in=wanted).first()
        if check is None:
            return HttpResponseRedirect(reverse(LIST))
        try:
            checking.undo(check, by=by)
            self.message_user(request, "Undone.")
        except EmendError as error:
            self.message_user(request, error.detail, "WARNING")
        return _go_to(check)

    def _next(self, request: HttpRequest, after: AnswerToCheck | None) -> HttpResponse:
        by = request.user.get_username()
        free = self.waiting(request).exclude(claims.held(claims.ANSWER, but=by))
        if after is not None:
            free = free.exclude(pk=after.pk)
            beyond = is_beyond(["place", "pk"], [after.place, after.pk])
            if found := claims.take_first(claims.ANSWER, free.filter(beyond), by=by):
                return _go_to(found)
        found = claims.take_first(claims.ANSWER, free, by=by)
        if found is None:
            claims.release(claims.ANSWER, by=by)
            return HttpResponseRedirect(reverse(LIST))
        return _go_to(found)

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


def _go_to(check: AnswerToCheck) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:training_answertocheck_change", args=[check.pk]))
