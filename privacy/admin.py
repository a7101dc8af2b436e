"""Projects, keys and people, to look at; a key can be revoked, a project set to enforce tokens."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
from django import forms
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Count, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.timesince import timesince

from privacy.limits import read_limits
from privacy.models import ApiKey, Consent, DataSubject, IdentitySecret, Project

admin.site.site_header = admin.site.site_title = "Emend"
admin.site.index_title = "Overview"
admin.site.site_url = None
admin.site.enable_nav_sidebar = False  # lists need the width; the header leads everywhere


def age(moment: datetime | None) -> str:
    """Say how long ago (or until when) a time is, with the exact one on hover."""
    if moment is None:
        return "never"
    now = timezone.now()
    is_past = moment <= now
    is_now = abs(now - moment) < timedelta(minutes=1)
    words = timesince(moment, now, depth=1) if is_past else timesince(now, moment, depth=1)
    exact = moment.astimezone(timezone.get_current_timezone())
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        exact.isoformat(),
        exact.strftime("%Y-%m-%d %H:%M:%S %Z"),
        "just now" if is_now else f"{words} ago" if is_past else f"in {words}",
    )


def _differences(newer: Any, older: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield what two history rows have different: name, before, after; settings one by one."""
    for change in newer.diff_against(older, foreign_keys_are_objs=True).changes:
        if not (isinstance(change.old, dict) and isinstance(change.new, dict)):
            yield change.field, change.old, change.new
            continue
        for name in sorted(change.old | change.new):
            before, after = change.old.get(name), change.new.get(name)
            if before != after:
                yield name, before, after


class ReadOnly:
    """Rows that change through verbs alone: nothing is added, edited or deleted here."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ReadOnly, admin.ModelAdmin):
    """A list of such rows."""

    show_facets = admin.ShowFacets.NEVER

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        title = capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title} | (extra_context or {}))

    @admin.display(description="Age", ordering="created_at")
    def created(self, row: Any) -> str:
        return age(row.created_at)

    @admin.display(description="History")
    def changes(self, row: Any) -> str:
        """Show who changed what, when and why; only for models that have a history."""
        records = list(row.history.select_related("history_user")[:50])
        for newer, older in pairwise(records):
            newer.delta = list(_differences(newer, older))
        return render_to_string("emend/history.html", {"records": records})


class IdentitySecretInline(ReadOnly, admin.TabularInline):
    model = IdentitySecret
    fields = ["created_at", "expires_at"]
    readonly_fields = ["created_at", "expires_at"]
    extra = 0
    verbose_name_plural = "Identity secrets (one without an end holds until the next is made)"


class ProjectForm(forms.ModelForm):
    reason = forms.CharField(max_length=100, help_text="Why it changes; the history keeps it.")


@admin.register(Project)
class ProjectAdmin(ReadOnlyAdmin):
    """What a project takes without a user token is decided here."""

    form = ProjectForm
    list_display = ["slug", "name", "consent_default", "identity_mode", "tasks", "created"]
    search_fields = ["slug", "name"]
    fields = [
        *("slug", "name", "consent_default", "identity_mode", "reason"),
        *("created_at", "changes"),
    ]
    readonly_fields = ["slug", "name", "consent_default", "created_at", "changes"]
    inlines = [IdentitySecretInline]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("privacy.change_project")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, *args: Any) -> None:
        obj._change_reason = form.cleaned_data["reason"]
        super().save_model(request, obj, form, *args)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        projects: QuerySet[Any] = super().get_queryset(request).annotate(task_count=Count("tasks"))
        return projects

    @admin.display(ordering="task_count")
    def tasks(self, project: Any) -> int:
        return int(project.task_count)


class ApiKeyForm(forms.ModelForm):
    class Meta:
        widgets = {"limits": forms.Textarea(attrs={"rows": 3})}
        help_texts = {
            "limits": (
                "In place of the defaults, within a second: by subject (key, contributor, session,"
                " address) and window (burst, rate, quota), null for no limit."
                ' Like {"contributor": {"burst": 40, "quota": null}}.'
            )
        }

    def clean_limits(self) -> Any:
        given = self.cleaned_data["limits"] or {}
        try:
            read_limits(self.instance.scope, given)
        except msgspec.ValidationError as error:
            raise forms.ValidationError(f"These limits cannot be read: {error}.") from None
        return given


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Keys are made by `manage.py create_api_key`, which shows them once; limits may change."""

    form = ApiKeyForm
    list_display = ["name", "project", "scope", "prefix", "state", "created", "expires"]
    list_filter = ["project", "scope"]
    list_select_related = ["project"]
    search_fields = ["name", "prefix"]
    shown = (
        *("name", "project", "scope", "prefix", "origins", "limits", "state"),
        *("created_at", "expires_at", "earlier"),
    )
    fields = shown
    readonly_fields = tuple(name for name in shown if name != "limits")
    actions = ["revoke"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("privacy.change_apikey")

    has_revoke_permission = has_change_permission

    @admin.display()
    def state(self, key: ApiKey) -> str:
        now = timezone.now()
        if key.revoked_at is not None and key.revoked_at <= now:
            return "revoked"
        return "expired" if key.expires_at is not None and key.expires_at <= now else "usable"

    @admin.display(ordering="expires_at")
    def expires(self, key: ApiKey) -> str:
        return age(key.expires_at)

    @admin.display(description="The earlier key works until")
    def earlier(self, key: ApiKey) -> str:
        return "there is none" if key.previous_until is None else age(key.previous_until)

    @admin.action(description="Revoke selected keys", permissions=["revoke"])
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> HttpResponse | None:
        """Ask first, for a revoked key never works again."""
        living = keys.filter(revoked_at=None).select_related("project")
        if "confirmed" not in request.POST:
            context = self.admin_site.each_context(request)
            context |= {"title": "Revoke keys", "keys": living, "opts": self.opts}
            return TemplateResponse(request, "admin/privacy/apikey/revoke.html", context)
        names = [str(key) for key in living]
        staff = request.user.pk
        LogEntry.objects.log_actions(staff, living, action_flag=CHANGE, change_message="Revoked.")  # type: ignore[arg-type]
        living.update(revoked_at=Now())
        self.message_user(request, f"Revoked {len(names)}: {', '.join(names) or 'none'}.")
        return None


class ConsentInline(ReadOnly, admin.TabularInline):
    model = Consent
    fields = ["purpose", "is_granted", "decided_at"]
    extra = 0
    verbose_name_plural = "Consents (what is not listed follows the project's default)"


@admin.register(DataSubject)
class DataSubjectAdmin(ReadOnlyAdmin):
    list_display = ["user_id", "project", "said", "created"]
    list_filter = ["project"]
    list_select_related = ["project"]
    search_fields = ["user_id__startswith"]
    fields = ["user_id", "project", "created_at"]
    inlines = [ConsentInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("consents")

    @admin.display(description="Consent")
    def said(self, subject: DataSubject) -> str:
        words = [
            f"{consent.purpose} {'granted' if consent.is_granted else 'withdrawn'}"
            for consent in subject.consents.all()
        ]
        return ", ".join(words) or f"by default {subject.project.consent_default}"
