"""Names and addresses by an optional detector, outside the request.

A detector is a function from a text to findings: type, start and end. It is named by a dotted path
and only then imported, as `privacy.redaction.presidio.find` is.
"""

import re
from collections.abc import Callable
from typing import TypeAlias

from config.json import JSON
from privacy.redaction import Redacted
from privacy.redaction.found import Finding
from privacy.redaction.walk import walk

Find: TypeAlias = Callable[[str], list[Finding]]
_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z0-9_]{1,30}\]")


def replace_found(value: JSON, find: Find) -> Redacted:
    """Copy a JSON value with `[PERSON]` and the like in place of what `find` finds in its texts.

    Where findings overlap the one that begins first counts, and of those the longest; what touches
    a placeholder is left. Keys stay: a name of a field is no name of a person.
    """
    counts: dict[str, int] = {}

    def rewrite(text: str | int, _: str) -> str | int:
        return _replace(text, find(text), counts) if isinstance(text, str) else text

    return Redacted(walk(value, rewrite, has_keys=False), counts, is_sensitive=False)


def _replace(text: str, findings: list[Finding], counts: dict[str, int]) -> str:
    taken = [match.span() for match in _PLACEHOLDER.finditer(text)]
    pieces, kept = [], 0
    for kind, start, end in sorted(findings, key=lambda found: (found[1], -found[2])):
        is_free = all(end <= low or start >= high for low, high in taken)
        if kept <= start < end and is_free:
            pieces += [text[kept:start], f"[{kind}]"]
            counts[kind] = counts.get(kind, 0) + 1
            kept = end
    return "".join([*pieces, text[kept:]])
