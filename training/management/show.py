"""How commands show progress and trees."""

import sys
from collections.abc import Iterator
from typing import Any

BAR_CHARACTERS = 40
LISTED = 5  # of values in a list; --json has them all


def bar(ratio: float) -> None:
    """Draw progress on the terminal; nothing where standard error is not one."""
    if sys.stderr.isatty():
        done = round(ratio * BAR_CHARACTERS)
        sys.stderr.write(f"\r[{'#' * done:<{BAR_CHARACTERS}}] {ratio:4.0%}")
        sys.stderr.flush()


def clear_bar() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r" + " " * (BAR_CHARACTERS + 7) + "\r")
        sys.stderr.flush()


def tree(value: Any, indent: str = "") -> Iterator[str]:
    """Yield a document as indented lines."""
    for key, child in value.items():
        if isinstance(child, dict) and child:
            yield f"{indent}{key}"
            yield from tree(child, indent + "  ")
        elif isinstance(child, list) and child and isinstance(child[0], dict):
            yield f"{indent}{key}"
            for item in child:
                yield from _item(item, indent + "  ")
        else:
            yield f"{indent}{key}: {_short(child)}"


def _item(item: dict[str, Any], indent: str) -> Iterator[str]:
    lines = tree(item, indent + "  ")
    yield f"{indent}- {next(lines).strip()}"
    yield from lines


def _short(value: Any) -> str:
    if isinstance(value, list):
        more = f" and {len(value) - LISTED} more" if len(value) > LISTED else ""
        value = ", ".join(map(str, value[:LISTED])) + more
    return "-" if value in (None, "", {}) else str(value)
