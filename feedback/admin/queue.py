"""The review queue, and the list of all feedback."""

from functools import partial
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, Q, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.generic import RedirectView

from feedback import claims, review
from feedback.admin import bulk, item, numbers, undoing
from feedback.admin.correcting import MOST_NOTED
from feedback.admin.filters import (
    AlikeFilter,
    FlagFilter,
    OrderFilter,
    SignalFilter,
    StateFilter,
    TaskFilter,
    WhoseFilter,
    by_ids,
)
from feedback.admin.showing.summary import summary
from feedback.admin.waiting import Desk, order_of, searched
from feedback.admin.words import REASONS, excerpt, why
from feedback.admin.worklist import Worklist
from feedback.errors import TransitionRefused
from feedback.models import (
    Contributor,
    Feedback,
    FlaggedFeedback,
    HourFigures,
    Review,
    SecondLook,
    Status,
)
from feedback.review.ranking import reason_of_place
from privacy import staff
from privacy.admin import ReadOnlyAdmin
from privacy.admin.paging import KeysetList
from privacy.paging import MOST_COUNTED

LIST = "admin:feedback_flaggedfeedback_changelist"


class DecisionsForm(ActionForm):
    """What is decided about many at once; a rejection needs its reason."""

    ground = forms.ChoiceField(
        required=False,
        label="Reason:",
        choices=[("", "none"), *REASONS.items()],
        widget=forms.Select(attrs={"data-required-for": "reject"}),
    )
    # The pattern refuses a note of blanks, as the server does.
    note = forms.CharField(
        required=False,
        label="Note:",
        max_length=MOST_NOTED,
        widget=forms.TextInput(attrs={"data-required-for": "reject other", "pattern": r".*\S.*"}),
    )
    label = forms.CharField(
        required=False,
        label="Accept as:",
        widget=forms.TextInput(attrs={"placeholder": "a label, where none is given", "size": 24}),
    )


class ListOfFeedback(ReadOnlyAdmin):
    """What lists of feedback have in common; content is write-once, decisions are review's."""

    list_select_related = ["task__project", "inference", "review"]
    search_help_text = "A contributor's id, or a feedback's id or its beginning"
    search_fields = ["user_id__startswith", "uuid__startswith"]
    most_at_once = bulk.MOST_AT_ONCE

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("feedback.view_feedback")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("feedback.change_feedback")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        may_retry = request.user.has_perm("feedback.retry_feedback")
        return may_retry or self.has_change_permission(request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetList

    @admin.display(description="Input")
    def what(self, feedback: Feedback) -> str:
        return excerpt(feedback.inference.input) or str(feedback.uuid)

    @admin.display(description="Change")
    def change(self, feedback: Feedback) -> str:
        return summary(feedback)

    @admin.display(description="Contributor")
    def contributor(self, feedback: Feedback) -> str:
        who = feedback.user_id or "not named"
        return who if feedback.is_verified else f"{who} (not verified)"

    @admin.display(description="Quality")
    def grade(self, feedback: Feedback) -> str:
        return f"{feedback.quality:.2f}"

    @admin.action(description="Accept what nobody has decided, as it is", permissions=["change"])
    def accept(self, request: HttpRequest, rows: QuerySet[Feedback]) -> None:
        """Let through what was flagged, and what no version takes for want of a user token.

        What does not say what is right is accepted as the label that the moderator names.
        """
        by, label = request.user.get_username(), request.POST.get("label", "").strip()
        total = rows.order_by()[:MOST_COUNTED].count()
        undecided = Q(review=None) | Q(review__decision__in=["escalate", "approve"])
        is_new = Q(status=Status.PROCESSED, is_verified=False, review=None)
        waits = rows.filter((Q(status=Status.FLAGGED) & undecided) | is_new)
        says = Q(corrected__isnull=False) | ~Q(signal="down") | Q(review__corrected__isnull=False)
        fit = waits if label else waits.filter(says)
        left = total - fit.order_by()[:MOST_COUNTED].count()
        done = bulk.each(fit, partial(_accept, by=by, label=label), by=by)
        if left:
            done.skipped["decided, in need of nothing, or without a word of what is right"] += left
        self._tell(request, done, "accepted")

    def _tell(self, request: HttpRequest, done: bulk.Done, verb: str) -> None:
        """Say what became of each; what was done may be undone for some seconds."""
        said, final = done.words(verb), len(done.rows) - len(done.decisions)
        review.hold_back([row.pk for row in done.rows])
        if done.decisions:
            said += f" {final:,} of them cannot be undone." if final else ""
            undoing.remember(request, said, done.decisions)
        else:
            undoing.begin_anew(request)
            self.message_user(request, said, messages.INFO if done.rows else messages.WARNING)


@admin.register(Feedback)
class FeedbackAdmin(ListOfFeedback):
    """All feedback, and the page of one, where it is decided."""

    list_display = ["what", "change", "task", "signal", "status", "contributor", "grade", "created"]
    list_filter = ["status", TaskFilter, SignalFilter, FlagFilter, "source", "is_verified"]
    list_per_page = 50
    sortable_by = ()
    ordering = ["-number"]  # which is by age, and an index
    actions = ["accept", "retry"]

    def get_urls(self) -> list[URLPattern]:
        queue = RedirectView.as_view(pattern_name=LIST, query_string=True)
        return [path("queue/", queue, name="feedback_queue"), *super().get_urls()]

    @property
    def queue(self) -> "ReviewQueue":
        return cast("ReviewQueue", self.admin_site.get_model_admin(FlaggedFeedback))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = self.queue.page_context(request) | (extra_context or {})
        return super().changelist_view(request, context)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (by_ids(queryset, term) if term else queryset), False

    @admin.action(description="Try failed feedback again", permissions=["retry"])
    def retry(self, request: HttpRequest, rows: QuerySet[Feedback]) -> None:
        by = request.user.get_username()
        done = bulk.each(rows, partial(review.retry, by=by), by=by)
        self.message_user(request, done.words("put back into the queue of processing"))

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
        desk = Desk.of(request)
        may_decide = self.has_change_permission(request, feedback)
        was_waiting = feedback.status == Status.FLAGGED
        form = item.DecisionForm(feedback, request.POST or None)
        if request.method == "POST":
            is_mended = request.POST.get("decision") in item.MENDED
            if not (self.has_retry_permission(request) if is_mended else may_decide):
                raise PermissionDenied
            if form.is_valid() and form.decide(by=desk.by):
                return self._decided(request, form, was_waiting=was_waiting)
            if not Feedback.objects.filter(pk=feedback.pk).exists():
                self.message_user(request, review.GONE, messages.WARNING)
                return self.queue.go_to(request, None)
            form.focus_first_error()
        self.note_look(request, feedback)
        is_taken_up = may_decide and was_waiting
        context = {
            **self.admin_site.each_context(request),
            **item.shown(feedback, desk, form.standing),
            "opts": self.opts,
            "title": f"Feedback {feedback.uuid}",
            "form": form,
            **self.queue.page_context(request, feedback),
            **({} if was_waiting else {"queue_url": reverse("admin:feedback_feedback_changelist")}),
            "holder": self.queue.holder(request, feedback) if is_taken_up else None,
            "may_decide": may_decide,
            "may_retry": self.has_retry_permission(request),
        }
        template = "admin/feedback/feedback/change_form.html"
        return TemplateResponse(request, template, context)

    def _decided(
        self, request: HttpRequest, form: item.DecisionForm, *, was_waiting: bool
    ) -> HttpResponseRedirect:
        """Say what was done, with the way back; go to the next item of the queue, if it was one."""
        feedback = form.feedback
        if form.record is not None:
            undoing.remember(request, form.said, [(feedback.pk, form.record)])
        else:
            undoing.begin_anew(request)
            page = reverse("admin:feedback_feedback_change", args=[feedback.pk])
            again = format_html(' <a href="{}">Look at it again</a>', page) if was_waiting else ""
            self.message_user(request, format_html("{}{}", form.said, again))
        following = self.queue.take_next(request, feedback) if was_waiting else feedback
        return self.queue.go_to(request, following)


def _accept(feedback: Feedback, *, by: str, label: str) -> Review:
    standing = review.standing(feedback)
    said = standing and standing.corrected
    if label and said is None and feedback.corrected is None and feedback.signal == "down":
        if not feedback.task.kind.has_label_output:
            raise TransitionRefused("its task has no labels")
        said = label
    is_pinned = standing is not None and standing.is_pinned
    return review.accept(feedback, by=by, corrected=said, is_pinned=is_pinned, wait=review.OF_MANY)


class QueueList(KeysetList):
    def url_for_result(self, result: Any) -> str:
        address = reverse("admin:feedback_feedback_change", args=[result.pk])
        return address + Desk(None, self.params).address


@admin.register(FlaggedFeedback)
class ReviewQueue(Worklist, ListOfFeedback):
    """What waits for a decision, what is worth most first."""

    kind = claims.FEEDBACK
    addresses = "feedback_queue"
    item_page = "admin:feedback_feedback_change"
    list_display = [
        *("what", "change", "task", "signal", "reason", "trusted", "grade", "created"),
    ]
    list_filter = [
        *(TaskFilter, SignalFilter, FlagFilter, StateFilter, AlikeFilter, WhoseFilter, OrderFilter),
    ]
    search_help_text = "Words of the input or the correction, or a contributor's or feedback's id"
    actions = ["accept", "reject", "escalate"]
    action_form = DecisionsForm
    has_counts = True
    preserve_filters = False  # its items' addresses have their own

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        return [*order_of(request.GET)]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        people = Contributor.objects.filter(task=OuterRef("task"), user_id=OuterRef("user_id"))
        flagged = super().get_queryset(request).filter(status=Status.FLAGGED)
        rows: QuerySet[Any] = flagged.annotate(trust=Subquery(people.values("trust")))
        return rows

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return searched(queryset, search_term), False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return QueueList

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(numbers.page)
        return [path("numbers/", page, name="feedback_numbers"), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {
            "title": "Review queue",
            "processed_today": partial(processed_today, request.user),
            "looks": partial(second_looks, request.user),
            "may_decide": self.has_change_permission(request),
            "has_projects": staff.projects_of(request.user).exists,
        }
        return super().changelist_view(request, context | (extra_context or {}))

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return HttpResponseRedirect(reverse("admin:feedback_feedback_change", args=[object_id]))

    def waiting(self, request: HttpRequest) -> QuerySet[Any]:
        return staff.within(Feedback.objects.flagged(), request.user)

    def offered(self, request: HttpRequest) -> QuerySet[Any]:
        return Desk.of(request).offered

    def view_of(self, request: HttpRequest) -> str:
        return Desk.of(request).address

    def take_next(self, request: HttpRequest, after: Any) -> Any:
        """Take up what comes next; where nothing is left for them, say why the rest waits."""
        following = super().take_next(request, after)
        if following is None and Desk.of(request).queue.exists():
            messages.info(
                request, "What is left is open before others, or waits for another moderator."
            )
        return following

    def undo(self, request: HttpRequest) -> Any:
        done = bulk.undo(request)
        self.message_user(request, done.words("undone"))
        return done.rows[0] if len(done.rows) == 1 else None

    @admin.display(description="Why flagged")
    def reason(self, feedback: Feedback) -> str:
        said, place = "; ".join(why(feedback)), reason_of_place(feedback)
        return format_html('{}<br><span class="quiet">{}</span>', said, place)

    @admin.display(description="Contributor")
    def trusted(self, feedback: Any) -> str:
        trust = "not scored yet" if feedback.trust is None else f"trust {feedback.trust:.2f}"
        said = '{}<br><span class="quiet">{}</span>'
        return format_html(said, self.contributor(feedback), trust)

    @admin.action(description="Reject, for the reason beside", permissions=["change"])
    def reject(self, request: HttpRequest, rows: QuerySet[Feedback]) -> None:
        ground, note = request.POST.get("ground", ""), request.POST.get("note", "").strip()
        if ground not in REASONS or (ground == "other" and not note):
            self.message_user(
                request,
                "Nothing rejected: choose a reason, and for another one say it in the note.",
                messages.ERROR,
            )
            return
        reason = item.reason_in_words(ground, note[:MOST_NOTED])
        by = request.user.get_username()
        done = bulk.each(rows, partial(review.reject, by=by, reason=reason), by=by)
        self._tell(request, done, "rejected")

    @admin.action(description="Escalate to somebody else", permissions=["change"])
    def escalate(self, request: HttpRequest, rows: QuerySet[Feedback]) -> None:
        by = request.user.get_username()
        done = bulk.each(rows, partial(review.escalate, by=by), by=by)
        self._tell(request, done, "escalated")


def second_looks(user: Any) -> int:
    """Count what waits for a second look of this moderator."""
    waiting = SecondLook.objects.waiting_for(user.get_username())
    return staff.within(waiting, user, "feedback__project").count()


def processed_today(user: Any) -> int:
    """Count what came since midnight UTC and is processed, as the figures by the hour have it."""
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    hours = HourFigures.objects.filter(hour__gte=midnight)
    of_user = staff.within(hours, user, "task__project")
    return of_user.aggregate(n=Sum("processed"))["n"] or 0
