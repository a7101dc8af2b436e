"""What is taken out for one task: types, phone regions, own terms and own patterns."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, takewhile
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from config.errors import Problem
from privacy.redaction.detectors import ALL, DETECTORS, Detector
from privacy.redaction.found import LATIN, LIKELY, Finding, Place
from privacy.redaction.phones import is_region

TERM = "TERM"
# A detector outside the request adds these.
RESERVED = ALL | {TERM, "PERSON", "ADDRESS"}
_NAME = re.compile(r"[A-Z][A-Z0-9_]{1,30}")
_MAX_LENGTH = 500
# A mark, two digits together or a digit in a word. The first class alone decides the speed.
_POSSIBLE = r"[\d@:=\uff20\uff1a\uff1d](?:(?<!\d)|(?=\W{0,3}\d|[^\W\d])|(?<=[^\W\d]\d))"
_UUID = r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"
# RE2's `\C` takes a single byte: half a letter.
_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\C")
# How deep terms are sorted into a tree; no list of names needs more.
_DEPTH = 30
# Where a pattern matches nothing at all, each place of every text would be a finding.
_EMPTY_MATCH_SAMPLES = ["", "a-B 1"]

Single: TypeAlias = tuple[str, re.Pattern[str], Callable[[Place], list[Finding]]]


@dataclass(frozen=True)
class Rules:
    """`regions` are ISO 3166 codes; `patterns` are pairs of a name and an RE2 pattern."""

    types: frozenset[str] = ALL
    regions: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()


def check_rules(rules: Rules) -> list[Problem]:
    """Return what an operator got wrong."""
    return [Problem(pointer, "redaction.bad_rule", detail) for pointer, detail in _wrong(rules)]


def _wrong(rules: Rules) -> Iterator[tuple[str, str]]:
    if unknown := sorted(rules.types - ALL):
        yield "/redact_types", f"Unknown: {', '.join(unknown)}. Known: {', '.join(sorted(ALL))}."
    for number, region in enumerate(rules.regions):
        if not is_region(region):
            yield f"/phone_regions/{number}", "No country with a numbering plan (ISO 3166)."
    for number, term in enumerate(rules.terms):
        if len(term) > _MAX_LENGTH or len(re.findall(r"\w", term)) < 2:
            yield f"/redact_terms/{number}", f"2 letters or digits, at most {_MAX_LENGTH} marks."
    for name, pattern in rules.patterns:
        pointer = f"/redact_patterns/{name.replace('~', '~0').replace('/', '~1')}"
        if not _NAME.fullmatch(name) or name in RESERVED:
            yield pointer, "A name has 2 to 31 of A-Z, 0-9 and _, and is none of Emend's types."
        elif detail := _wrong_pattern(pattern):
            yield pointer, detail


def _wrong_pattern(pattern: str) -> str | None:
    if len(pattern) > _MAX_LENGTH:
        return f"Longer than {_MAX_LENGTH} characters."
    if _BYTE.search(pattern):
        return r"\C would split a letter."
    samples = pa.array(_EMPTY_MATCH_SAMPLES)
    try:
        pc.replace_substring_regex(samples, pattern=pattern, replacement="")
        left = pc.replace_substring_regex(samples, pattern=f"({pattern})", replacement=r"<\1>")
    except pa.ArrowInvalid as error:
        return f"Not an RE2 pattern: {error}"
    return "It matches where nothing is." if any("<>" in str(text) for text in left) else None


@lru_cache(maxsize=256)
def plan(rules: Rules) -> "Plan":
    return Plan(rules)


class Plan:
    """The rules of one task, compiled."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        names = [*sorted(RESERVED), *(re.escape(name) for name, _ in rules.patterns)]
        # What stands in a text already; nothing in it is looked at again.
        self.placeholder = re.compile(rf"(\[(?:{'|'.join(names)})\])")
        detectors = [
            (name, detector)
            for name, detector in DETECTORS.items()
            if not (rules.types | {LIKELY}).isdisjoint(detector.types)
        ]
        term = _any_of(rules.terms) if rules.terms else "(?!)"
        if rules.terms:
            detectors.append((TERM, Detector(term, _find_term, (TERM,), is_word=True)))
        words = [f"(?P<{name}>{d.anchor})" for name, d in detectors if d.is_word]
        marks = [f"(?P<{name}>{d.anchor})" for name, d in detectors if not d.is_word]
        # The one combined scan. Most words are left at the first look ahead.
        self.anchor = re.compile(
            rf"{self.placeholder.pattern}|(?<!{LATIN})(?:"
            rf"(?=[^\s\d@:]{{0,128}}+[\d@:])(?:{_or(marks)})|{_or(words)})"
        )
        # No rule but a term may look into these.
        self.uuid = re.compile(rf"(?<![^\W_])(?={_UUID}(?![^\W_]))(?!{term}).{{36}}")
        single = [(name, re.compile(d.anchor), d.find) for name, d in detectors]
        # By name of a detector: itself and those that come after it.
        self.rules_from: dict[str | None, list[Single]] = {
            name: single[number:] for number, (name, _) in enumerate(detectors)
        }
        self.kinds = rules.types | {TERM, LIKELY}
        # A text without any of these holds no finding: most texts are done after this one look.
        self.possible = re.compile(_POSSIBLE)
        self.terms = re.compile(term) if rules.terms else None

    def replace_own(self, texts: list[str], counts: dict[str, int]) -> list[str]:
        """Put the names of own patterns in the place of their matches.

        All texts go through a pattern at once: RE2 compiles it for each call.
        """
        for name, pattern in self.rules.patterns:
            pieces = [self.placeholder.split(text) for text in texts]
            flat = pa.array([part for split in pieces for part in split[::2]], pa.string())
            found = pc.sum(pc.count_substring_regex(flat, pattern)).as_py()
            if found:
                counts[name] = counts.get(name, 0) + found
                flat = pc.replace_substring_regex(flat, pattern=pattern, replacement=f"[{name}]")
                parts = iter(flat.to_pylist())
                texts = [
                    "".join(part if n % 2 else next(parts) for n, part in enumerate(split))
                    for split in pieces
                ]
        return texts


def _or(patterns: list[str]) -> str:
    return "|".join(patterns) or "(?!)"


def _any_of(terms: tuple[str, ...]) -> str:
    """Match any term as whole words, in any case, the longest first."""
    # The one letter whose small form is two marks.
    plain = {" ".join(term.replace("\u0130", "i").lower().split()) for term in terms}
    tree = _tree(sorted(plain)).replace(r"\ ", r"\s{1,3}")
    return rf"(?<![^\W_])(?i:{tree})(?![^\W_])"


def _tree(terms: list[str], depth: int = 0) -> str:
    """Write sorted terms by what they begin with: a scan tries a few letters, not every term."""
    # What the first and the last begin with, all do.
    pairs = zip(terms[0], terms[-1], strict=False)
    start = "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    rest = [term[len(start) :] for term in terms]
    if depth < _DEPTH and len(terms) > 1:
        branches = [_tree(list(group), depth + 1) for _, group in groupby(rest, lambda t: t[:1])]
    else:
        branches = [re.escape(term) for term in rest]
    return f"{re.escape(start)}(?:{'|'.join(reversed(branches))})"


def _find_term(place: Place) -> list[Finding]:
    return [(TERM, place.start, place.end)]
