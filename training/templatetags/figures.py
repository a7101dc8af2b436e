"""How figures that may be very small are written on pages."""

from decimal import Decimal

from django import template

register = template.Library()


@register.filter
def two_digits(figure: float) -> str:
    """Write two significant digits, never as a power of ten: what is not zero does not look so."""
    return f"{Decimal(f'{figure:.1e}'):f}"
