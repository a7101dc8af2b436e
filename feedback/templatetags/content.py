"""What the templates of review need of the admin."""

from collections.abc import Iterator
from typing import Any

from django import template

from config.errors import title_of
from config.json import JSON
from feedback.admin import words
from feedback.admin.showing import meaning_of
from feedback.admin.showing.tree import steps
from privacy.admin import age

register = template.Library()
register.filter("age", age)
register.filter("excerpt", words.excerpt)
register.filter("steps", steps)
register.filter("meaning_of", meaning_of)
register.filter("title_of", title_of)


@register.simple_tag(takes_context=True)
def content_pieces(context: dict[str, Any], value: JSON) -> Iterator[words.Piece]:
    """Return the pieces of content; the page says which placeholders its task's patterns leave."""
    return words.pieces(value, context.get("own_types", ()))


@register.filter
def in_words(decision: str) -> str:
    return words.DECIDED[decision]
