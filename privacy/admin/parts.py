"""What the admin of every app is made of: ages, history, lists of rows that verbs alone change."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from django.contrib import admin
from django.db.models import ForeignKey, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.timesince import timesince

from privacy.admin.looks import NotedLooks
from privacy.models import Project
from privacy.staff import projects_of, within

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


class GivenFilter(admin.RelatedFieldListFilter):
    """Offer only rows whose own list shows them: nothing of a project that was not given."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        related = model_admin.admin_site.get_model_admin(field.related_model)
        return field.get_choices(
            include_blank=False,
            ordering=self.field_admin_ordering(field, request, model_admin),
            limit_choices_to={"pk__in": related.get_queryset(request).values("pk")},
        )


admin.FieldListFilter.register(lambda f: bool(f.remote_field), GivenFilter, take_priority=True)


class ReadOnlyAdmin(ReadOnly, NotedLooks, admin.ModelAdmin):
    """A list of such rows, of the projects given to whoever looks."""

    project_path = "project"  # from a row to its project
    show_facets = admin.ShowFacets.NEVER

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return within(super().get_queryset(request), request.user, self.project_path)

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **more: Any
    ) -> Any:
        if db_field.related_model is Project:
            more["queryset"] = projects_of(request.user)
        return super().formfield_for_foreignkey(db_field, request, **more)

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
