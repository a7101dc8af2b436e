"""Second looks: decisions drawn at random, put before another moderator who isn't shown them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from config.errors import EmendError
from feedback import claims, review
from feedback.admin import item, undoing
from feedback.admin.showing.summary import summary
from feedback.admin.waiting import Desk
from feedback.admin.words import excerpt
from feedback.admin.worklist import Worklist
from feedback.models import SecondLook
from privacy.admin import age
from privacy.admin.paging import KeysetList

NOTED = {
    True: "Noted: you would accept it. It stands as it was decided.",
    False: "Noted: you would reject it. It stands as it was decided.",
}


class LookForm(forms.Form):
    """The verdict: the button that was pressed says it."""

    decision = forms.ChoiceField(choices=[("accept", "accept"), ("reject", "reject")])


class JudgedFilter(admin.SimpleListFilter):
    title = "judged again"
    parameter_name = "judged"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("same", "both said the same"), ("differ", "the two differ")]

    def choices(self, changelist: ChangeList) -> Any:
        first, *rest = super().choices(changelist)
        yield first | {"display": "not yet: waits for you"}
        yield from rest

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return rows.waiting_for(request.user.get_username())  # type: ignore[attr-defined,no-any-return]
        judged = rows.filter(is_second_yes__isnull=False)
        same = judged.filter(is_second_yes=F("is_first_yes"))
        differ = judged.exclude(is_second_yes=F("is_first_yes"))
        return {"same": same, "differ": differ}.get(str(self.value()), rows.none())


class LookList(KeysetList):
    def url_for_result(self, result: Any) -> str:
        """Lead from what is judged to the feedback, where both verdicts are shown."""
        if result.is_second_yes is None:
            return super().url_for_result(result)
        return reverse("admin:feedback_feedback_change", args=[result.feedback_id])


@admin.register(SecondLook)
class SecondLookAdmin(Worklist):
    """What waits for this moderator's second look, and the page of one."""

    kind = claims.LOOK
    addresses = "feedback_look"
    item_page = "admin:feedback_secondlook_change"
    project_path = "feedback__project"
    list_display = ["what", "change", "task", "signal", "verdicts", "drawn"]
    list_filter = [JudgedFilter]
    list_select_related = ["feedback__task__project", "feedback__inference"]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("feedback.view_feedback")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("feedback.change_feedback")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Refuse to filter by what is hidden."""
        return lookup == JudgedFilter.parameter_name

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        is_judged = request.GET.get("judged")
        return ["-judged_at", "-pk"] if is_judged else ["drawn_at", "pk"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LookList

    def waiting(self, request: HttpRequest) -> QuerySet[Any]:
        rows = self._given(request).waiting_for(request.user.get_username())  # type: ignore[attr-defined]
        return rows.select_related(*self.list_select_related)  # type: ignore[no-any-return]

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """Show one as if nobody had decided it, or store what is said and go to the next."""
        look = self.get_object(request, object_id)
        if not self.has_view_permission(request, look):
            raise PermissionDenied
        if look is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined,no-any-return]
        if request.method == "POST":
            return self._judged(request, look)
        feedback = look.feedback
        if not self.waiting(request).filter(pk=look.pk).exists():
            page = reverse("admin:feedback_feedback_change", args=[feedback.pk])
            return HttpResponseRedirect(page)
        self.note_look(request, feedback)
        may_judge = self.has_change_permission(request)
        context = {
            **self.admin_site.each_context(request),
            **item.shown(feedback, Desk(request.user, {})),
            # What would tell how it was decided.
            "decisions": [],
            "sent": [],
            "weight": None,
            "is_blind": True,
            **self.page_context(request, look),
            "opts": self.opts,
            "title": f"Second look at {feedback.uuid}",
            "look": look,
            "holder": self.holder(request, look) if may_judge else None,
            "may_judge": may_judge,
        }
        return TemplateResponse(request, "admin/feedback/secondlook/change_form.html", context)

    def _judged(self, request: HttpRequest, look: SecondLook) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        form, by = LookForm(request.POST), request.user.get_username()
        if not form.is_valid():
            return self.go_to(request, look)
        is_yes = form.cleaned_data["decision"] == "accept"
        try:
            claims.require_free(claims.LOOK, look.pk, by=by)
            review.second.judge(look, by=by, is_yes=is_yes)
            # What the first said is told later: it must not be a reason for an undo.
            undoing.remember(request, NOTED[is_yes], [(look.pk, 0)], claims.LOOK)
        except EmendError as error:
            self.message_user(request, error.detail, messages.WARNING)
        return self.go_to(request, self.take_next(request, look))

    def take_back(self, row: SecondLook, *, by: str) -> None:
        review.second.undo(row, by=by)

    @admin.display(description="Input")
    def what(self, look: SecondLook) -> str:
        return excerpt(look.feedback.inference.input) or str(look.feedback.uuid)

    @admin.display(description="Change")
    def change(self, look: SecondLook) -> str:
        return summary(look.feedback)

    @admin.display(description="Task")
    def task(self, look: SecondLook) -> str:
        return str(look.feedback.task)

    @admin.display(description="Signal")
    def signal(self, look: SecondLook) -> str:
        return look.feedback.signal

    @admin.display(description="Verdicts")
    def verdicts(self, look: SecondLook) -> str:
        if look.is_second_yes is None:
            return "shown once you have judged"
        said = {look.first: look.is_first_yes, look.second: look.is_second_yes}
        return ", ".join(f"{name}: {'accept' if yes else 'reject'}" for name, yes in said.items())

    @admin.display(description="Decided")
    def drawn(self, look: SecondLook) -> str:
        return age(look.drawn_at)
