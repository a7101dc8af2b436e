"""JSON as a tree for templates: a flat list of steps, so that no template calls itself."""

import json
from collections.abc import Iterator
from typing import NamedTuple

from config.json import JSON
from feedback.modalities.base import is_number

MOST_STEPS = 500  # the rest is counted, not shown: the page must open
SMALL = 12


class Step(NamedTuple):
    """Open or close an object or list, or show a value; `kind` says which."""

    kind: str  # open, close, text, value, more
    key: str = ""
    value: JSON = None
    note: str = ""
    is_open: bool = False


def steps(value: JSON) -> Iterator[Step]:
    """Walk a value from outside to inside; small objects and lists are open, large ones folded."""
    waiting = _inside(value)[1:] or [("", value)]
    shown = 0
    while waiting:
        item = waiting.pop()
        if item is None:
            yield Step("close")
            continue
        shown += 1
        if shown <= MOST_STEPS:
            yield _step(*item)
            waiting += _inside(item[1])
        elif shown == MOST_STEPS + 1:
            yield Step("more")


def _step(key: str, value: JSON) -> Step:
    if isinstance(value, str):
        return Step("text", key, value)
    if not isinstance(value, dict | list) or not _inside(value):
        return Step("value", key, json.dumps(value))
    noun = ("entry", "entries") if isinstance(value, dict) else ("item", "items")
    note = f"{len(value):,} {noun[len(value) != 1]}"
    return Step("open", key, note=note, is_open=len(value) <= SMALL)


def _inside(value: JSON) -> list[tuple[str, JSON] | None]:
    """Return what stands in a value and its end, the last first: as a stack takes it.

    Nothing for what stands on one line: a plain value, nothing at all, four numbers of a box.
    """
    if not value or not isinstance(value, dict | list):
        return []
    if isinstance(value, list) and len(value) <= SMALL and all(map(is_number, value)):
        return []
    named = value.items() if isinstance(value, dict) else enumerate(value)
    return [None, *reversed([(str(key), child) for key, child in named])]
