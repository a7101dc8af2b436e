"""Where a page of a long list begins: after the last row of the page before (keyset paging)."""

from typing import Any

from django.db.models import Q

MOST_COUNTED = 10_000  # from it on "10,000+" says enough, and to count on takes long


def counted(number: int, most: int = MOST_COUNTED) -> str:
    """Write a number of rows that were counted up to a limit."""
    return f"{number:,}" if number < most else f"{most:,}+"


def is_beyond(order: list[str], values: list[Any]) -> Q:
    """Match the rows that come after one with these values, in such an order (keyset paging).

    That the first column is not before is said apart, for the index is read from there on.
    """
    first = order[0].lstrip("-")
    bound = Q(**{f"{first}__{'lte' if order[0].startswith('-') else 'gte'}": values[0]})
    beyond, same = Q(), Q()
    for name, value in zip(order, values, strict=True):
        side = "lt" if name.startswith("-") else "gt"
        beyond |= same & Q(**{f"{name.lstrip('-')}__{side}": value})
        same &= Q(**{name.lstrip("-"): value})
    return bound & beyond
