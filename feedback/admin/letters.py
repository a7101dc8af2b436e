"""Messages of streams that could not be stored, to look at."""

from django.contrib import admin
from django.template.loader import render_to_string

from feedback.models import DeadLetter
from privacy.admin import ReadOnlyAdmin


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "code", "detail", "source", "event_id", "created"]
    list_filter = ["code", "topic"]
    ordering = ["-created_at"]
    search_fields = ["event_id__exact", "source__startswith"]
    list_per_page = 50
    fields = [
        *("topic", "partition", "offset", "source", "event_id", "code", "detail"),
        *("content_text", "created_at"),
    ]
    readonly_fields = ["content_text"]

    @admin.display(description="Content")
    def content_text(self, letter: DeadLetter) -> str:
        return render_to_string("emend/content.html", {"value": letter.content})
