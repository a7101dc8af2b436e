"""People: what is held of one, who looked, and what may be done for them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join

from config.errors import EmendError, NotFound, Unavailable
from privacy import access_log, erasure, exporting, holders, subjects
from privacy.access_log import Action
from privacy.admin.looks import staff_of
from privacy.admin.parts import ReadOnly, ReadOnlyAdmin, age
from privacy.models import AccessRecord, Consent, DataSubject
from privacy.staff import projects_of
from privacy.tombstones import WITHHELD, digest_of

LOOKS = 20


def words_of(record: AccessRecord) -> str:
    return dict(Action.choices).get(record.action, record.action)


class ConsentInline(ReadOnly, admin.TabularInline):
    model = Consent
    fields = ["purpose", "is_granted", "decided_at", "method", "text_version", "language"]
    extra = 0
    verbose_name_plural = "Consents (what is not listed follows the project's default)"


@dataclass(frozen=True)
class Deed:
    """What staff may do for a person, and how the page that asks first says it."""

    verb: str
    permission: str
    consequence: str
    do: Callable[[HttpRequest, DataSubject], HttpResponseBase]
    is_final: bool = True


def _download(request: HttpRequest, subject: DataSubject) -> HttpResponseBase:
    file = exporting.export(subject.project, subject.user_id, is_zip=True)
    access_log.note(subject.project, subject.user_id, Action.EXPORT, staff_of(request))
    return exporting.streamed(file)


def _anonymise(request: HttpRequest, subject: DataSubject) -> HttpResponseBase:
    access_log.note(subject.project, subject.user_id, Action.ANONYMIZE, staff_of(request))
    subjects.anonymise(subject.project, subject.user_id)
    messages.success(request, "Nothing leads to this person any more.")
    return HttpResponseRedirect(reverse("admin:privacy_datasubject_change", args=[subject.pk]))


def _erase(request: HttpRequest, subject: DataSubject) -> HttpResponseBase:
    access_log.note(subject.project, subject.user_id, Action.ERASURE, staff_of(request))
    asked = erasure.request(project=subject.project, user_id=subject.user_id, by=staff_of(request))
    messages.success(request, "The erasure is under way: nothing new of this person is stored.")
    if not request.user.has_perm("privacy.view_erasurerequest"):
        return HttpResponseRedirect(reverse("admin:privacy_datasubject_changelist"))
    return HttpResponseRedirect(reverse("admin:privacy_erasurerequest_change", args=[asked.pk]))


DEEDS = {
    "download": Deed(
        "Download what is held of",
        "privacy.change_datasubject",
        "A zip archive with all records and pictures. That you took it is noted, and the person "
        "can see that somebody of the staff did.",
        _download,
        is_final=False,
    ),
    "anonymise": Deed(
        "Anonymise",
        "privacy.change_datasubject",
        "What this person sent stays and loses its link to them for ever. It cannot be undone, "
        "and what has no link can neither be shown to them nor erased for them later.",
        _anonymise,
    ),
    "erase": Deed(
        "Erase",
        "privacy.delete_datasubject",
        "All that is held of this person is removed and nothing new is stored. Versions lose "
        "their rows, and models that learned from them are replaced or withdrawn. It cannot be "
        "undone. At the end there is a signed receipt.",
        _erase,
    ),
}


@admin.register(DataSubject)
class DataSubjectAdmin(ReadOnlyAdmin):
    is_look_noted = False  # as one at acts
    change_form_template = "admin/privacy/datasubject/change_form.html"
    list_display = ["user_id", "project", "said", "created"]
    list_filter = ["project"]
    list_select_related = ["project"]
    search_fields = ["user_id__startswith"]
    search_help_text = "A user_id or its beginning"
    shown = ("user_id", "project", "held", "is_anonymous", "anonymized_at", "created_at", "looks")
    fields = readonly_fields = shown
    inlines = [ConsentInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        people = super().get_queryset(request).exclude(user_id=WITHHELD)
        return people.prefetch_related("consents")

    def get_urls(self) -> list[URLPattern]:
        act = self.admin_site.admin_view(self.act)
        own = path("<int:pk>/deeds/<str:name>/", act, name="privacy_datasubject_act")
        return [own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **more: Any
    ) -> HttpResponse:
        subject = self.get_object(request, object_id)
        if subject is not None and self.has_view_permission(request, subject):
            project, user_id = subject.project, subject.user_id
            access_log.note(project, user_id, Action.STAFF, staff_of(request))
        deeds = [
            (reverse("admin:privacy_datasubject_act", args=[object_id, name]), deed)
            for name, deed in DEEDS.items()
            if subject is not None and request.user.has_perm(deed.permission)
        ]
        shown = {"title": f"User {subject}", "subtitle": None, "deeds": deeds}
        more["extra_context"] = shown | (more.get("extra_context") or {})
        return super().change_view(request, object_id, *args, **more)

    def act(self, request: HttpRequest, pk: int, name: str) -> HttpResponseBase:
        """Ask first, naming who it is about and how much; then do it."""
        subject = self.get_object(request, str(pk))
        deed = DEEDS.get(name)
        if subject is None or deed is None:
            raise Http404
        if not request.user.has_perm(deed.permission):
            raise PermissionDenied
        if request.method == "POST":
            return self._do(request, subject, deed)
        context = self.admin_site.each_context(request) | {
            "title": f"{deed.verb} {subject}",
            "what": f"{deed.verb} {subjects.named(subject.project, subject.user_id)}",
            "deed": deed,
            "subject": subject,
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/privacy/datasubject/act.html", context)

    def _do(self, request: HttpRequest, subject: DataSubject, deed: Deed) -> HttpResponseBase:
        try:
            return deed.do(request, subject)
        except NotFound:
            messages.error(request, "This person is being erased already.")
        except EmendError as refusal:
            later = " Try again in a minute." if isinstance(refusal, Unavailable) else ""
            messages.error(request, f"{refusal.title}. Nothing was done.{later}")
        return HttpResponseRedirect(reverse("admin:privacy_datasubject_change", args=[subject.pk]))

    @admin.display(description="Consent")
    def said(self, subject: DataSubject) -> str:
        words = [
            f"{consent.purpose} {'granted' if consent.is_granted else 'withdrawn'}"
            for consent in subject.consents.all()
        ]
        return ", ".join(words) or f"by default {subject.project.consent_default}"

    @admin.display(description="What is held")
    def held(self, subject: DataSubject) -> str:
        counts = holders.counted(subject.project, subject.user_id)
        return ", ".join(f"{n:,} {what}" for n, what in subjects.in_words(counts)) or "nothing"

    @admin.display(description="Who looked, took or changed")
    def looks(self, subject: DataSubject) -> str:
        digest = digest_of(subject.project, subject.user_id)
        records = AccessRecord.objects.filter(project=subject.project, subject_digest=digest)
        rows = [
            (age(record.created_at), words_of(record), record.by)
            for record in records.order_by("-pk")[:LOOKS]
        ]
        return format_html_join("", "{}: {} ({})<br>", rows) or "nobody"


@admin.register(AccessRecord)
class AccessRecordAdmin(ReadOnlyAdmin):
    """The people in it are known by a keyed hash: a search makes the same hash of a user_id."""

    list_display = ["created", "what", "by", "project", "person"]
    list_filter = ["action", "project"]
    list_select_related = ["project"]
    search_fields = ["by__startswith"]
    search_help_text = "A whole user_id, or who looked"
    ordering = ["-pk"]
    shown = ("created_at", "what", "by", "project", "person")
    fields = readonly_fields = shown

    def get_search_results(
        self, request: HttpRequest, rows: QuerySet[Any], term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not term:
            return rows, False
        digests = [digest_of(project, term) for project in projects_of(request.user)]
        return rows.filter(Q(subject_digest__in=digests) | Q(by__startswith=term)), False

    @admin.display(ordering="action")
    def what(self, record: AccessRecord) -> str:
        return words_of(record)

    @admin.display(description="Person")
    def person(self, record: AccessRecord) -> str:
        return bytes(record.subject_digest).hex()[:12]
