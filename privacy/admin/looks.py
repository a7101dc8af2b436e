"""Whoever of the staff opens the page of a row that names a person is noted."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from privacy import access_log


def staff_of(request: HttpRequest) -> str:
    return access_log.staff(request.user.get_username())


class NotedLooks(admin.ModelAdmin):
    is_look_noted = True  # False where whose it is is not shown, or the page notes it itself

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **more: Any
    ) -> HttpResponse:
        if self.is_look_noted and hasattr(self.model, "user_id"):
            row = self.get_object(request, object_id)
            if row is not None and self.has_view_permission(request, row):
                self.note_look(request, row)
        return super().change_view(request, object_id, *args, **more)

    def note_look(self, request: HttpRequest, row: Any) -> None:
        """Note whose acts are looked at; a row without a project is of one through its task."""
        project = row.project if hasattr(row, "project") else row.task.project
        if project is not None:  # a message that names no project names nobody who is known
            access_log.note_look(project, row.user_id, staff_of(request))
