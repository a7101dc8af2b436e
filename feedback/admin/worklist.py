"""A list whose items are put before moderators one at a time: its addresses besides the pages."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from config.errors import EmendError
from feedback import claims
from feedback.admin import undoing
from feedback.models import ReviewClaim
from privacy import staff
from privacy.admin import ReadOnlyAdmin


class Worklist(ReadOnlyAdmin):
    """What comes next, to keep what is open, to take back what was just said."""

    kind: str  # of its claims
    addresses: str  # how the names of its addresses begin
    item_page: str  # the name of the address of an item
    list_per_page = 50
    sortable_by = ()

    def waiting(self, request: HttpRequest) -> QuerySet[Any]:
        """Return what waits: it may be kept by whoever has it open."""
        raise NotImplementedError

    def offered(self, request: HttpRequest) -> QuerySet[Any]:
        """Return what this moderator is given next, in order."""
        return self.waiting(request)

    def take_back(self, row: Any, *, by: str) -> None:
        """Take back what somebody has just said of a row, or raise why not."""
        raise NotImplementedError

    def undo(self, request: HttpRequest) -> Any:
        """Take back what this session said last; return the row, if it was about just one."""
        wanted = [pk for pk, _ in undoing.forget(request, self.kind)]
        row = self._given(request).filter(pk__in=wanted).first()
        if row is not None:
            try:
                self.take_back(row, by=request.user.get_username())
                self.message_user(request, "Undone.")
            except EmendError as error:
                self.message_user(request, error.detail, messages.WARNING)
        return row

    def holder(self, request: HttpRequest, row: Any) -> ReviewClaim | None:
        """Put a row before whoever asks; return whose it is, if it is somebody else's."""
        by = request.user.get_username()
        claim = claims.take(self.kind, row.pk, by=by)
        return None if claim.moderator == by else claim

    def view_of(self, request: HttpRequest) -> str:
        """Return the end of an address that keeps the filters."""
        return ""

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site.admin_view
        return [
            path("next/", site(self.next_view), name=f"{self.addresses}_first"),
            path("next/<int:pk>/", site(self.next_view), name=f"{self.addresses}_next"),
            path("claim/<int:pk>/", site(self.claim_view), name=f"{self.addresses}_claim"),
            path("undo/", site(self.undo_view), name=f"{self.addresses}_undo"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        own = self.page_context(request) | {"next_url": self._address(request, "first")}
        return super().changelist_view(request, own | (extra_context or {}))

    def page_context(self, request: HttpRequest, row: Any = None) -> dict[str, Any]:
        """Return what the list and the pages of its items lead to."""
        found = {
            "undo": undoing.undoable(request, self.kind),
            "undo_url": self._address(request, "undo"),
        }
        if row is not None:
            found |= {
                "queue_url": self._list(request),
                "next_url": self._address(request, "next", row.pk),
                "claim_url": self._address(request, "claim", row.pk),
            }
        return found

    def next_view(self, request: HttpRequest, pk: int | None = None) -> HttpResponse:
        """Go to what comes next, after one or first of all; it is before nobody else."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        after = self._given(request).filter(pk=pk).first()
        return self.go_to(request, self.take_next(request, after))

    def claim_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Keep an item before the moderator whose page shows it; 409 if it is not any more."""
        if request.method != "POST" or not self.has_change_permission(request):
            raise PermissionDenied
        row = self.waiting(request).filter(pk=pk)
        is_held = claims.keep(self.kind, row, by=request.user.get_username())
        return HttpResponse(status=204 if is_held else 409)

    def undo_view(self, request: HttpRequest) -> HttpResponse:
        """Take back what this moderator has just said, and go back to it."""
        if request.method != "POST" or not self.has_change_permission(request):
            raise PermissionDenied
        return self.go_to(request, self.undo(request))

    def take_next(self, request: HttpRequest, after: Any) -> Any:
        by = request.user.get_username()
        return claims.take_next(self.kind, self.offered(request), by=by, after=after)

    def go_to(self, request: HttpRequest, row: Any) -> HttpResponseRedirect:
        """Go to the page of an item, or to the list if there is none."""
        if row is None:
            return HttpResponseRedirect(self._list(request))
        return HttpResponseRedirect(reverse(self.item_page, args=[row.pk]) + self.view_of(request))

    def _given(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model._default_manager.all()
        return staff.within(rows, request.user, self.project_path)

    def _list(self, request: HttpRequest) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
        return reverse(name) + self.view_of(request)

    def _address(self, request: HttpRequest, name: str, *args: Any) -> str:
        return reverse(f"admin:{self.addresses}_{name}", args=args) + self.view_of(request)
