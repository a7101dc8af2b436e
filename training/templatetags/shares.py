"""How shares and differences of shares are written on pages."""

from django import template

register = template.Library()


@register.filter
def percent(share: float) -> str:
    return f"{100 * share:.1f}%"


@register.filter
def points(difference: float) -> str:
    """Write a difference of two shares, in percentage points with its sign."""
    return f"{100 * difference:+.1f}"


@register.filter
def across(share: float) -> str:
    """Write a place on an axis from 0 to 100 as SVG reads it, whatever the language."""
    return f"{100 * share:.2f}"
