"""What counts as personal data: for each type an anchor to scan for, and a rule that decides."""

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from stdnum import iban

from privacy.redaction import numbers
from privacy.redaction.numbers import Finding

Rule: TypeAlias = Callable[[str, int, int, str, Sequence[str]], list[Finding]]


@dataclass(frozen=True)
class Detector:
    """One pattern of the combined scan; `find` judges a match of it.

    It gets the text, start and end, what stands before (redacted so far) and the phone regions.
    """

    anchor: str
    find: Rule


_VERSION_BEFORE = re.compile(
    r"(?:\b(?:v|ver|version|build|release|firmware|driver|sections?|chapter|clause|paragraph|rev)"
    r"\W{1,3}|§\s?)$",
    re.IGNORECASE,
)
_CONTEXT = 24
_IBAN_LENGTHS = range(34, 14, -1)


def _find_email(text: str, start: int, end: int, *_: object) -> list[Finding]:
    name = text[start:end].partition("@")[0]
    if name.startswith(".") or ".." in name:
        # Dots before the name end a sentence or a list: keep them.
        start += len(name) - len(re.split(r"^\.+|\.{2,}", name)[-1])
    return [("EMAIL", start, end)] if text[start] != "@" else []


def _find_iban(text: str, start: int, end: int, *_: object) -> list[Finding]:
    """Try the longest piece first: words may follow the number without a mark."""
    places = [place for place in range(start, end) if text[place].isalnum()]
    compact = "".join(text[place] for place in places).upper()
    for length in _IBAN_LENGTHS:
        if length > len(places):
            continue
        last = places[length - 1] + 1
        if text[last : last + 1].isalnum() or not _is_mod_97(compact[:length]):
            continue
        if iban.is_valid(compact[:length], check_country=False):
            return [("IBAN", start, last)]
    return []


def _is_mod_97(compact: str) -> bool:
    """Check the digits of ISO 7064 before the far slower look at the country's own structure."""
    return int("".join(str(int(mark, 36)) for mark in compact[4:] + compact[:4])) % 97 == 1


def _find_ipv4(text: str, start: int, end: int, before: str, *_: object) -> list[Finding]:
    if _VERSION_BEFORE.search(before[-_CONTEXT:]):
        return []
    return _find_ip(text, start, end)


def _find_ipv6(text: str, start: int, end: int, *_: object) -> list[Finding]:
    groups = [group for group in text[start:end].split(":") if group]
    # `a::b` is an address too, but far more often a name in code or a slice.
    if len(groups) < 8 and (len(groups) < 2 or max(map(len, groups)) < 3):
        return []
    return _find_ip(text, start, end)


def _find_ip(text: str, start: int, end: int) -> list[Finding]:
    try:
        ipaddress.ip_address(text[start:end])
    except ValueError:
        return []
    return [("IP_ADDRESS", start, end)]


# Anchors begin at a boundary and bound every repeat, so that a scan stays linear in the text.
DETECTORS = {
    "email": Detector(
        r"(?<![\w.%+'-])[\w.%+'-]{1,64}@(?![1-9]x\.)(?:[^\W_](?:[\w-]{0,62})\.){1,8}"
        r"(?:xn--[a-z0-9-]{2,59}|[^\W\d_]{2,24})(?![^\W_]|-\w)",
        _find_email,
    ),
    "iban": Detector(
        r"(?<![^\W_])[A-Za-z]{2}[0-9]{2}(?:[ \u00a0-]?[A-Za-z0-9]){11,30}",
        _find_iban,
    ),
    "ipv6": Detector(
        r"(?<![\w:.])(?=[0-9A-Fa-f:]*:)(?:[0-9A-Fa-f]{0,4}:){2,7}"
        r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{0,4})(?![\w:]|\.\w)",
        _find_ipv6,
    ),
    "ipv4": Detector(
        r"(?<![\w.])(?<!\w/)[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?!\w|\.\d)",
        _find_ipv4,
    ),
    "number": Detector(numbers.ANCHOR, numbers.find),
}
