"""Take personal data out of text and JSON before the first write. Pure: values in, copies out."""

import re
from collections import Counter
from collections.abc import Sequence

from config.json import JSON
from privacy.redaction.detectors import DETECTORS

__all__ = ["redact", "redact_text"]

# How many characters before a candidate may speak for or against it.
_CONTEXT = 200
# A text without any of these holds no finding: most texts are done after this one look.
_POSSIBLE = re.compile(r"[\d@:]")
_ANCHOR = re.compile("|".join(f"(?P<{name}>{d.anchor})" for name, d in DETECTORS.items()))


def redact_text(text: str, *, regions: Sequence[str] = ()) -> tuple[str, dict[str, int]]:
    """Put `[EMAIL]` and the like in place of findings, and count them by type.

    `regions` (ISO 3166, two letters) are those whose national phone numbers count as found.
    Redacting the result again changes nothing.
    """
    counts: Counter[str] = Counter()
    return _redact_text(text, regions, counts), dict(counts)


def redact(value: JSON, *, regions: Sequence[str] = ()) -> tuple[JSON, dict[str, int]]:
    """Copy a JSON value with all its strings and keys redacted, and count findings by type.

    Two keys that become the same one are told apart by a number: nothing is dropped.
    """
    counts: Counter[str] = Counter()
    return _redact(value, regions, counts), dict(counts)


def _redact(value: JSON, regions: Sequence[str], counts: Counter[str]) -> JSON:
    # Recursion is safe here: config.json admits no more than 32 levels.
    if isinstance(value, str):
        return _redact_text(value, regions, counts)
    if isinstance(value, list):
        return [_redact(child, regions, counts) for child in value]
    if not isinstance(value, dict):
        return value
    result: dict[str, JSON] = {}
    for key, child in value.items():
        clean = name = _redact_text(key, regions, counts)
        number = 1
        while name in result or (name != key and name in value):
            number += 1
            name = f"{clean} ({number})"
        result[name] = _redact(child, regions, counts)
    return result


def _redact_text(text: str, regions: Sequence[str], counts: Counter[str]) -> str:
    # A placeholder changes what stands beside the next candidate, so look until nothing is found.
    while _POSSIBLE.search(text):
        redacted = _scan(text, regions, counts)
        if redacted == text:
            break
        text = redacted
    return text


def _scan(text: str, regions: Sequence[str], counts: Counter[str]) -> str:
    # All that stands before a candidate is seen as it reads redacted: a chain of findings, each of
    # which lays the next one bare, is done in one pass.
    pieces, kept_from, position, left = [], 0, 0, ""
    while match := _ANCHOR.search(text, position):
        start, position = match.span()
        before = (left + text[max(kept_from, start - _CONTEXT) : start])[-_CONTEXT:]
        find = DETECTORS[match.lastgroup or ""].find
        findings = find(text, start, position, before, regions)
        for kind, low, high in findings:
            pieces += [text[kept_from:low], f"[{kind}]"]
            counts[kind] += 1
            kept_from = high
        if findings:
            recent = (piece[-_CONTEXT:] for piece in pieces[-2 * len(findings) :])
            left = "".join([left, *recent])[-_CONTEXT:]
            text = "]" + text[kept_from:]
            kept_from = position = 1
    return "".join([*pieces, text[kept_from:]])
