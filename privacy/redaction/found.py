"""What a rule gets to judge, and what it answers."""

from dataclasses import dataclass
from typing import TypeAlias

# A letter or digit of the Latin script. Beside one a number is a part of a longer name; other
# scripts put no space there.
LATIN = r"[0-9A-Za-z\u00c0-\u024f]"
# Type, start, end. LIKELY in place of a type: nothing is replaced, but a person should look.
Finding: TypeAlias = tuple[str, int, int]
LIKELY = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A match of a rule's anchor in a text.

    `before` is what stands before it, redacted so far; `regions` are the phone regions.
    """

    text: str
    start: int
    end: int
    before: str
    regions: tuple[str, ...]

    @property
    def run(self) -> str:
        return self.text[self.start : self.end]


def words(patterns: list[str]) -> str:
    """Match any of the words in any case, whole; each begins with a plain letter.

    The regular expression engine skips an alternative whose first mark is a plain class, so words
    are sorted by first letter: a scan spends a tenth of the time.
    """
    by_letter: dict[str, list[str]] = {}
    for pattern in sorted(patterns, key=len, reverse=True):
        by_letter.setdefault(pattern[0].lower(), []).append(pattern[1:])
    firsts = [f"[{a.upper()}{a}](?i:{'|'.join(rest)})" for a, rest in by_letter.items()]
    return rf"(?:{'|'.join(firsts)})(?![^\W_])"
