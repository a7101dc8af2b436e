"""Projects and keys: what counts without a word or a token is set here, a key can be revoked."""

from typing import Any

import msgspec
from django import forms
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Count, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from privacy.admin.parts import ReadOnly, ReadOnlyAdmin, age
from privacy.limits import read_limits
from privacy.models import ApiKey, IdentitySecret, Project


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
    """What counts where a person said nothing, or shows no token, is decided here."""

    form = ProjectForm
    project_path = "pk"
    list_display = ["slug", "name", "consent_default", "identity_mode", "tasks", "created"]
    search_fields = ["slug", "name"]
    fields = [
        *("slug", "name", "consent_default", "identity_mode", "reason"),
        *("created_at", "changes"),
    ]
    readonly_fields = ["slug", "name", "created_at", "changes"]
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
