"""The review queue, and the list of all feedback."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html

from config.errors import EmendError
from feedback import review
from feedback.admin import item
from feedback.admin.words import DONE, WHY_FLAGGED, excerpt, why
from feedback.models import Feedback, Status, Task
from feedback.signals import SIGNALS
from privacy.admin import ReadOnlyAdmin

MOST_AT_ONCE = 500  # a decision takes some milliseconds, and somebody waits for the page


class QueueFilter(admin.SimpleListFilter):
    """A filter that the pages of items understand as well."""

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return item.narrowed(rows, {str(self.parameter_name): self.value()})


class TaskFilter(QueueFilter):
    title = parameter_name = "task"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        tasks = Task.objects.select_related("project").order_by("project__slug", "slug")
        return [(str(task.pk), f"{task.project} / {task}") for task in tasks]


class SignalFilter(QueueFilter):
    title = parameter_name = "signal"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in SIGNALS]


class FlagFilter(QueueFilter):
    title = "why flagged"
    parameter_name = "flag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(WHY_FLAGGED.items())


@admin.register(Feedback)
class FeedbackAdmin(ReadOnlyAdmin):
    """All feedback; its content is write-once, and decisions go through feedback.review."""

    list_display = ["what", "change", "task", "signal", "status", "contributor", "grade", "created"]
    list_filter = ["status", TaskFilter, SignalFilter, FlagFilter, "source", "is_verified"]
    list_select_related = ["task", "inference", "review"]
    ordering = ["-created_at", "-number"]
    search_fields = ["user_id__startswith", "uuid__startswith"]
    search_help_text = "A contributor's id, or a feedback's id or its beginning"
    list_per_page = 50
    actions = ["accept", "retry"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("feedback.change_feedback")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.queue_view)
        return [path("queue/", view, name="feedback_queue"), *super().get_urls()]

    def queue_view(self, request: HttpRequest) -> HttpResponse:
        return ReviewQueue(self.model, self.admin_site).changelist_view(request)

    @admin.display(description="Input")
    def what(self, feedback: Feedback) -> str:
        return excerpt(feedback.inference.input) or str(feedback.uuid)

    @admin.display(description="Change")
    def change(self, feedback: Feedback) -> str:
        if feedback.corrected is None:
            return excerpt(feedback.original)
        return f"{excerpt(feedback.original)} → {excerpt(feedback.corrected)}"

    @admin.display(description="Contributor", ordering="user_id")
    def contributor(self, feedback: Feedback) -> str:
        who = feedback.user_id or "not named"
        return who if feedback.is_verified else f"{who} (not verified)"

    @admin.display(description="Quality", ordering="quality")
    def grade(self, feedback: Feedback) -> str:
        return f"{feedback.quality:.2f}"

    @admin.action(description="Accept what nobody has decided, as it is", permissions=["change"])
    def accept(self, request: HttpRequest, rows: QuerySet[Feedback]) -> None:
        """Let through what was flagged, and what no version takes for want of a user token."""
        waits = Q(status=Status.FLAGGED) | Q(status=Status.PROCESSED, is_verified=False)
        undecided = rows.filter(waits, review=None)
        teaching = undecided.exclude(signal="down", corrected__isnull=True)
        count, done = rows.count(), self._each(request, review.accept, teaching[:MOST_AT_ONCE])
        left = f"{count - done} left alone: decided, in need of nothing, without a word of what "
        left += f"is right, or beyond {MOST_AT_ONCE} at once."
        self.message_user(request, f"{done} accepted. {left if count > done else ''}")

    @admin.action(description="Try failed feedback again", permissions=["change"])
    def retry(self, request: HttpRequest, rows: QuerySet[Feedback]) -> None:
        count, done = rows.count(), self._each(request, review.retry, rows)
        self.message_user(request, f"Put back into the queue of processing: {done}.")
        if count > done:
            words = f"Left alone, for they have not failed: {count - done}."
            self.message_user(request, words, messages.WARNING)

    def _each(
        self, request: HttpRequest, verb: Callable[..., Any], rows: QuerySet[Feedback]
    ) -> int:
        """Carry a decision out for each of the rows; return how many it was not refused for."""
        done = 0
        for feedback in rows:
            try:
                verb(feedback, by=request.user.get_username())
            except EmendError:
                continue
            done += 1
        return done

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one feedback, or carry out a decision about it and go to the next."""
        feedback = self.get_object(request, object_id)
        if not self.has_view_permission(request, feedback):
            raise PermissionDenied
        if feedback is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined,no-any-return]
        form = item.DecisionForm(feedback, request.POST or None)
        if request.method == "POST":
            if not self.has_change_permission(request, feedback):
                raise PermissionDenied
            by = request.user.get_username()
            if form.is_valid() and form.decide(by=by):
                return self._decided(request, feedback, form.cleaned_data["decision"])
            form.focus_first_error()
        self.note_look(request, feedback)
        following = item.next_in_queue(feedback, request.GET, by=request.user.get_username())
        context = {
            **self.admin_site.each_context(request),
            **item.shown(feedback, request.GET),
            "opts": self.opts,
            "title": f"Feedback {feedback.uuid}",
            "form": form,
            "queue_url": self._queue_url(request),
            "next_url": following and self._item_url(request, following),
            "may_decide": self.has_change_permission(request, feedback),
        }
        template = "admin/feedback/feedback/change_form.html"
        return TemplateResponse(request, template, context)

    def _decided(
        self, request: HttpRequest, feedback: Feedback, decision: str
    ) -> HttpResponseRedirect:
        """Say what was done, with the way back, and go to the next item of the queue."""
        done = format_html(
            '{} <a href="{}">Look at {} again</a>',
            DONE[decision],
            self._item_url(request, feedback),
            str(feedback.uuid)[:8],
        )
        self.message_user(request, done)
        following = item.next_in_queue(feedback, request.GET, by=request.user.get_username())
        if following is None:
            return HttpResponseRedirect(self._queue_url(request))
        return HttpResponseRedirect(self._item_url(request, following))

    def _item_url(self, request: HttpRequest, feedback: Feedback) -> str:
        address = reverse("admin:feedback_feedback_change", args=[feedback.pk])
        return address + item.kept(request.GET)

    def _queue_url(self, request: HttpRequest) -> str:
        return reverse("admin:feedback_queue") + item.kept(request.GET)


class QueueList(ChangeList):
    def url_for_result(self, result: Any) -> str:
        return super().url_for_result(result) + item.kept(self.params)


class ReviewQueue(FeedbackAdmin):
    """The same rows, but only what waits for a decision; reached by FeedbackAdmin.queue_view."""

    list_display = ["what", "change", "task", "signal", "reason", "contributor", "grade", "created"]
    list_filter = [TaskFilter, SignalFilter, FlagFilter]
    ordering = ["created_at", "number"]
    actions = []
    change_list_template = "admin/feedback/feedback/queue.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).filter(status=Status.FLAGGED)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return QueueList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"title": "Review queue", "processed_today": processed_today}
        return super().changelist_view(request, context | (extra_context or {}))

    @admin.display(description="Why flagged")
    def reason(self, feedback: Feedback) -> str:
        return "; ".join(why(feedback))


def processed_today() -> int:
    """Count what was processed since midnight UTC."""
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return Feedback.objects.filter(status=Status.PROCESSED, processed_at__gte=midnight).count()
