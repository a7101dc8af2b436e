"""Erasures with their receipts, and how long each kind of data is kept."""

from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join

from privacy import erasure, exporting, retention
from privacy.admin.parts import ReadOnlyAdmin, age
from privacy.models import (
    DAYS_KEPT,
    LEAST_ACCESS_LOG_DAYS,
    ErasureRequest,
    Kept,
    RetentionRule,
)

STATE_OF = {"done": "ok", "running": "info", "failed": "danger"}


@admin.register(ErasureRequest)
class ErasureRequestAdmin(ReadOnlyAdmin):
    """What is asked for, how far it is, and the proof; whose data it was is not told."""

    change_form_template = "admin/privacy/erasurerequest/change_form.html"
    is_look_noted = False
    list_display = ["named", "project", "stands", "progress", "requested_by", "created", "ended"]
    list_filter = ["status", "project"]
    list_select_related = ["project"]
    search_fields = ["uuid__startswith"]
    search_help_text = "An erasure's id or its beginning"
    ordering = ["-pk"]
    shown = (
        *("uuid", "project", "stands", "progress", "error", "requested_by", "created_at"),
        *("ended_at", "tombstone_until", "done"),
    )
    fields = readonly_fields = shown

    def get_urls(self) -> list[URLPattern]:
        return [
            path(
                "<int:pk>/receipt/",
                self.admin_site.admin_view(self.receipt),
                name="privacy_erasurerequest_receipt",
            ),
            path(
                "<int:pk>/retry/",
                self.admin_site.admin_view(self.retry),
                name="privacy_erasurerequest_retry",
            ),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **more: Any
    ) -> HttpResponse:
        may_retry = request.user.has_perm("privacy.change_erasurerequest")
        row = self.get_object(request, object_id)
        shown = {"title": f"Erasure {str(row)[:8]}", "subtitle": None, "may_retry": may_retry}
        more["extra_context"] = shown | (more.get("extra_context") or {})
        return super().change_view(request, object_id, *args, **more)

    def receipt(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self.get_object(request, str(pk))
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None or row.receipt is None:
            raise Http404
        return exporting.receipt_of(row)

    def retry(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Do the steps of a failed erasure once more; what was removed stays removed."""
        row = self.get_object(request, str(pk))
        if not request.user.has_perm("privacy.change_erasurerequest"):
            raise PermissionDenied
        if row is None or request.method != "POST":
            raise Http404
        if row.status == "failed":
            erasure.retry(row)
            messages.success(request, "A worker does its steps once more.")
        else:
            messages.info(request, f"Nothing was done: this erasure is {row.status}, not failed.")
        return HttpResponseRedirect(reverse("admin:privacy_erasurerequest_change", args=[pk]))

    @admin.display(description="Erasure")
    def named(self, row: ErasureRequest) -> str:
        return format_html('<span title="{}">{:.8}</span>', row.uuid, str(row.uuid))

    @admin.display(description="Status", ordering="status")
    def stands(self, row: ErasureRequest) -> str:
        return format_html('<span class="state {}">{}</span>', STATE_OF[row.status], row.status)

    @admin.display()
    def progress(self, row: ErasureRequest) -> str:
        ratio, doing = erasure.progress(row)
        return f"{ratio:.0%}" + (f": {doing}" if doing else "")

    @admin.display(description="Ended", ordering="ended_at")
    def ended(self, row: ErasureRequest) -> str:
        return age(row.ended_at) if row.ended_at else "not yet"

    @admin.display(description="What each step removed")
    def done(self, row: ErasureRequest) -> str:
        lines = [
            (step.says, ", ".join(f"{n:,} {label}" for label, n in counts.items()) or "nothing")
            for step in erasure.steps()
            if (counts := row.steps.get(step.name)) is not None
        ]
        return format_html_join("", "{}: {}<br>", lines) or "nothing yet"


def _in_words(table: str, number: int) -> str:
    named = apps.get_model(table)._meta
    return f"{number:,} {named.verbose_name if number == 1 else named.verbose_name_plural}"


class RetentionForm(forms.ModelForm):
    days = forms.IntegerField(min_value=1, max_value=retention.MOST_DAYS)
    reason = forms.CharField(max_length=100, help_text="Why it changes; the history keeps it.")

    def clean_days(self) -> int:
        days: int = self.cleaned_data["days"]
        kind = self.cleaned_data.get("kind", self.instance.kind)
        if kind == Kept.ACCESS_LOG and days < LEAST_ACCESS_LOG_DAYS:
            raise forms.ValidationError(f"This is kept for {LEAST_ACCESS_LOG_DAYS} days at least.")
        return days


@admin.register(RetentionRule)
class RetentionRuleAdmin(ReadOnlyAdmin):
    """Rules of projects; what has no rule is kept for the days of the default."""

    form = RetentionForm
    list_display = ["kept", "project", "days", "default"]
    list_filter = ["kind", "project"]
    list_select_related = ["project"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("privacy.add_retentionrule")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("privacy.change_retentionrule")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["changes"] if obj is None else ["project", "kind", "changes"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        may_edit = obj is None or self.has_change_permission(request, obj)
        history = [] if obj is None else ["changes"]
        return ["project", "kind", "days", *(["reason"] * may_edit), *history]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, *args: Any, **more: Any
    ) -> HttpResponse:
        """Ask before fewer days are saved, for what they remove does not come back."""
        rule = None if object_id is None else self.get_object(request, object_id)
        has_permission = self.has_add_permission if rule is None else self.has_change_permission
        if request.method == "POST" and "confirmed" not in request.POST and has_permission(request):
            form = self.get_form(request, rule)(request.POST, instance=rule)
            if form.is_valid() and (asked := self._ask(request, form)):
                return asked
        return super().changeform_view(request, object_id, *args, **more)

    def _ask(self, request: HttpRequest, form: Any) -> HttpResponse | None:
        """Return the page that says how many rows go; None where none ever do, or days are more."""
        rule, kind = form.instance, Kept(form.instance.kind)
        before = form.initial.get("days", DAYS_KEPT[kind])
        if rule.days >= before or kind == Kept.TOMBSTONE:
            return None
        try:
            counts = retention.would_go(rule.project, kind, rule.days)
        except OperationalError:  # it takes too long
            counts = None
        context = self.admin_site.each_context(request) | {
            "title": "Keep for fewer days",
            "rule": rule,
            "before": before,
            "counts": [_in_words(table, n) for table, n in (counts or {}).items() if n],
            "total": counts and sum(counts.values()),
            "form": form,
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/privacy/retentionrule/shorten.html", context)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, *args: Any) -> None:
        obj._change_reason = form.cleaned_data["reason"]
        super().save_model(request, obj, form, *args)

    @admin.display(description="What", ordering="kind")
    def kept(self, rule: RetentionRule) -> str:
        return rule.get_kind_display()

    @admin.display(description="Default days")
    def default(self, rule: RetentionRule) -> int:
        return DAYS_KEPT[Kept(rule.kind)]
