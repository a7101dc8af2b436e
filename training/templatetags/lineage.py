"""The picture of a feedback's way, for the page of review."""

from django import template

from feedback.models import Feedback
from training import drawing, lineage

register = template.Library()


@register.simple_tag
def way_of(feedback: Feedback) -> str:
    """Draw what became of a feedback."""
    return drawing.picture(lineage.of_feedback(feedback, has_keys=True))
