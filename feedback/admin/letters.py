"""Messages of streams that could not be stored, to look at."""

from django.contrib import admin
from django.template.loader import render_to_string
from django.utils.html import format_html

from config.json import Malformed, loads
from feedback.models import DeadLetter
from privacy.admin import ReadOnlyAdmin

MEANING = (
    "This message of a stream could not be stored. Mend what the detail names and send it again, "
    "as a new event."
)


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "why", "event", "created"]
    list_filter = ["code", "topic"]
    ordering = ["-created_at"]
    search_fields = ["event_id__exact", "source__startswith"]
    search_help_text = "An event's id, or a source or its beginning"
    list_per_page = 50
    readonly_fields = ["content_text"]
    place = ("topic", "partition", "offset")
    said = ("source", "event_id", "code", "detail", "content_text")
    fieldsets = [
        (None, {"description": MEANING, "fields": (place, *said, ("sent_at", "created_at"))})
    ]

    @admin.display(description="Why it was not stored")
    def why(self, letter: DeadLetter) -> str:
        return format_html("{}<br><code>{}</code>", letter.detail, letter.code)

    @admin.display(description="Event")
    def event(self, letter: DeadLetter) -> str:
        who = letter.event_id or "without an id"
        return f"{who} from {letter.source}" if letter.source else who

    @admin.display(description="Content, redacted")
    def content_text(self, letter: DeadLetter) -> str:
        try:
            value = loads(letter.content.encode())
        except Malformed:  # it never was JSON, or only its beginning is kept
            value = letter.content or "not kept"
        said = render_to_string("emend/content.html", {"value": value})
        return format_html('<div class="said">{}</div>', said)
