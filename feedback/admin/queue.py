"""The review queue, and the list of all feedback."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.generic import RedirectView

from feedback import claims, review
from feedback.admin import bulk, item, numbers
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
from feedback.models import Contributor, Feedback, FlaggedFeedback, Review, Status
from feedback.review.ranking import reason_of_place
from privacy import staff
from privacy.admin import ReadOnlyAdmin
from privacy.admin.paging import KeysetList
from privacy.paging import MOST_COUNTED

LIST = "admin:feedback_flaggedfeedback_changelist"


class DecisionsForm(ActionForm):
    """What is decided about many at once; a rejection needs its reason."""

    ground = forms.ChoiceField(
        required=False, label="Reason:", choices=[("", "none"), *REASONS.items()]
    )
    note = forms.CharField(required=False, label="Note:", max_length=MOST_NOTED)


class ListOfFeedback(ReadOnlyAdmin):
    """What lists of feedback have in common; content is write-once, decisions are review's."""

    list_select_related = ["task__project", "inference", "review"]
    search_help_text = "A contributor's id, or a feedback's id or its beginning"
    search_fields = ["user_id__startswith", "uuid__startswith"]
    list_per_page = 50
    sortable_by = ()
    change_list_template = "admin/feedback/feedback/change_list.html"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("feedback.view_feedback")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("feedback.change_feedback")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        may_retry = request.user.has_perm("feedback.retry_feedback")
        return may_retry or self.has_change_permission(request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        undo_url = reverse("admin:feedback_queue_undo") + Desk.of(request).address
        context = {"undo": bulk.undoable(request), "undo_url": undo_url}
        return super().changelist_view(request, context | (extra_context or {}))

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
        """Let through what was flagged, and what no version takes for want of a user token."""
        by = request.user.get_username()
        total = rows.order_by()[:MOST_COUNTED].count()
        undecided = Q(review=None) | Q(review__decision__in=["escalate", "approve"])
        is_new = Q(status=Status.PROCESSED, is_verified=False, review=None)
        waits = rows.filter((Q(status=Status.FLAGGED) & undecided) | is_new)
        says = Q(corrected__isnull=False) | ~Q(signal="down") | Q(review__corrected__isnull=False)
        fit = waits.filter(says)
        left = total - fit.order_by()[:MOST_COUNTED].count()
        done = bulk.each(fit, partial(_accept, by=by), by=by)
        if left:
            done.skipped["decided, in need of nothing, or without a word of what is right"] += left
        self._tell(request, done, "accepted")

    def _tell(self, request: HttpRequest, done: bulk.Done, verb: str) -> None:
        """Say what became of each; what was done may be undone for some seconds."""
        said = done.words(verb)
        if done.decisions:
            review.hold_back([pk for pk, _ in done.decisions])
            bulk.remember(request, said, done.decisions)
        else:
            self.message_user(request, said, messages.INFO if done.rows else messages.WARNING)


@admin.register(Feedback)
class FeedbackAdmin(ListOfFeedback):
    """All feedback, and the page of one, where it is decided."""

    list_display = ["what", "change", "task", "signal", "status", "contributor", "grade", "created"]
    list_filter = ["status", TaskFilter, SignalFilter, FlagFilter, "source", "is_verified"]
    ordering = ["-number"]  # which is by age, and an index
    actions = ["accept", "retry"]

    def get_urls(self) -> list[URLPattern]:
        queue = RedirectView.as_view(pattern_name=LIST, query_string=True)
        return [path("queue/", queue, name="feedback_queue"), *super().get_urls()]

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
        form = item.DecisionForm(feedback, request.POST or None)
        if request.method == "POST":
            is_retry = request.POST.get("decision") == "retry"
            if not (self.has_retry_permission(request) if is_retry else may_decide):
                raise PermissionDenied
            if form.is_valid() and form.decide(by=desk.by):
                return self._decided(request, desk, form)
            form.focus_first_error()
        self.note_look(request, feedback)
        holder = item.taken_up(feedback, by=desk.by) if may_decide else None
        context = {
            **self.admin_site.each_context(request),
            **item.shown(feedback, desk),
            "opts": self.opts,
            "title": f"Feedback {feedback.uuid}",
            "form": form,
            "queue_url": reverse(LIST) + desk.address,
            "next_url": reverse("admin:feedback_queue_next", args=[feedback.pk]) + desk.address,
            "claim_url": reverse("admin:feedback_queue_claim", args=[feedback.pk]),
            "holder": holder,
            "may_decide": may_decide,
            "may_retry": self.has_retry_permission(request),
            "undo": bulk.undoable(request),
            "undo_url": reverse("admin:feedback_queue_undo") + desk.address,
        }
        template = "admin/feedback/feedback/change_form.html"
        return TemplateResponse(request, template, context)

    def _decided(
        self, request: HttpRequest, desk: Desk, form: item.DecisionForm
    ) -> HttpResponseRedirect:
        """Say what was done, with the way back, and go to the next item of the queue."""
        feedback = form.feedback
        address = reverse("admin:feedback_feedback_change", args=[feedback.pk]) + desk.address
        if form.record is None:
            look = format_html('{} <a href="{}">Look at it again</a>', form.said, address)
            self.message_user(request, look)
        else:
            bulk.remember(request, form.said, [(feedback.pk, form.record)])
        return _go_on(request, desk, feedback)


def _accept(feedback: Feedback, *, by: str) -> Review:
    said = item.approved_before(feedback)
    return review.accept(feedback, by=by, corrected=said, wait=review.OF_MANY)


def _go_on(request: HttpRequest, desk: Desk, after: Feedback | None) -> HttpResponseRedirect:
    """Go to what comes next; where nothing is left for this moderator, say why others wait."""
    following = desk.take_next(after=after)
    if following is None and desk.queue.exists():
        messages.info(
            request, "What is left is open before others, or waits for another moderator."
        )
    return _go_to(desk, following)


def _go_to(desk: Desk, feedback: Feedback | None) -> HttpResponseRedirect:
    if feedback is None:
        return HttpResponseRedirect(reverse(LIST) + desk.address)
    address = reverse("admin:feedback_feedback_change", args=[feedback.pk])
    return HttpResponseRedirect(address + desk.address)


class QueueList(KeysetList):
    def url_for_result(self, result: Any) -> str:
        address = reverse("admin:feedback_feedback_change", args=[result.pk])
        return address + Desk(None, self.params).address


@admin.register(FlaggedFeedback)
class ReviewQueue(ListOfFeedback):
    """What waits for a decision, what is worth most first."""

    list_display = [
        *("what", "change", "task", "signal", "reason", "trusted", "grade", "created"),
    ]
    list_filter = [
        *(TaskFilter, SignalFilter, FlagFilter, StateFilter, AlikeFilter, WhoseFilter, OrderFilter),
    ]
    search_help_text = "Words of the input or the correction, or a contributor's or feedback's id"
    actions = ["accept", "reject", "escalate"]
    action_form = DecisionsForm
    change_list_template = "admin/feedback/feedback/queue.html"
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
        site = self.admin_site.admin_view
        return [
            path("next/", site(self.next_view), name="feedback_queue_first"),
            path("next/<int:pk>/", site(self.next_view), name="feedback_queue_next"),
            path("claim/<int:pk>/", site(self.claim_view), name="feedback_queue_claim"),
            path("undo/", site(self.undo_view), name="feedback_queue_undo"),
            path("numbers/", site(numbers.page), name="feedback_numbers"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        claims.release(claims.FEEDBACK, by=request.user.get_username())
        context = {
            "title": "Review queue",
            "processed_today": partial(processed_today, request.user),
            "next_url": reverse("admin:feedback_queue_first") + Desk.of(request).address,
        }
        return super().changelist_view(request, context | (extra_context or {}))

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return HttpResponseRedirect(reverse("admin:feedback_feedback_change", args=[object_id]))

    def next_view(self, request: HttpRequest, pk: int | None = None) -> HttpResponse:
        """Go to what comes next, after one or first of all; it is before nobody else."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        desk = Desk.of(request)
        own = staff.within(Feedback.objects.all(), request.user)
        return _go_on(request, desk, own.filter(pk=pk).first())

    def claim_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Keep an item before the moderator whose page shows it; 409 if it is not any more."""
        if request.method != "POST" or not self.has_change_permission(request):
            raise PermissionDenied
        rows = staff.within(Feedback.objects.flagged(), request.user)
        is_held = claims.keep(claims.FEEDBACK, rows.filter(pk=pk), by=request.user.get_username())
        return HttpResponse(status=204 if is_held else 409)

    def undo_view(self, request: HttpRequest) -> HttpResponse:
        """Take back what this moderator has just decided, and go back to it."""
        if request.method != "POST" or not self.has_change_permission(request):
            raise PermissionDenied
        desk = Desk.of(request)
        done = bulk.undo(request)
        self.message_user(request, done.words("undone"))
        return _go_to(desk, done.rows[0] if len(done.rows) == 1 else None)

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


def processed_today(user: Any) -> int:
    """Count what was processed since midnight UTC."""
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    done = Feedback.objects.filter(status=Status.PROCESSED, processed_at__gte=midnight)
    return staff.within(done, user).count()
