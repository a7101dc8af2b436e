"""What the templates of review need of the admin."""

from django import template

from feedback.admin import words
from privacy.admin import age

register = template.Library()
register.filter("age", age)
register.filter("pieces", words.pieces)
register.filter("named_texts", words.named_texts)


@register.filter
def in_words(decision: str) -> str:
    return words.DECIDED[decision]
