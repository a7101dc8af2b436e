"""Text: a prompt or the messages of a chat gets a text."""

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import cast

from rapidfuzz.distance import Indel, Levenshtein

from config.errors import Problem
from config.json import JSON
from feedback.modalities.base import (
    Modality,
    check_labels,
    input_problem,
    mismatch,
)

MAX_MESSAGES = 1_000
MAX_ROLE_CHARS = 50
# Edits beyond these are not counted, which bounds the time: 50 ms for two texts of 64 KiB.
MAX_CHARACTER_EDITS = 8_192
MAX_WORD_EDITS = 2_048
# Each character of a text is in one of them. A word is compared with the space before it: spaces
# alone are alike everywhere, and would cut what was rewritten into shreds.
_WORD = re.compile(r"\s*\w+|\s+|[^\w\s]")
_PART = re.compile(r"\w+|\s+|[^\w\s]")


class Text(Modality):
    name = "text"
    queue = "process.text"

    def check_task(self, labels: Sequence[str]) -> list[Problem]:
        return check_labels(labels, fewest=0)

    def validate_input(self, value: JSON) -> list[Problem]:
        if isinstance(value, str):
            problems = []
        elif isinstance(value, dict) and set(value) == {"messages"}:
            problems = _find_message_problems(value["messages"])
        else:
            problems = [input_problem("", 'A string, or {"messages": [{"role", "content"}]}.')]
        if not problems and not any(map(str.strip, _contents(value))):
            problems = [input_problem("", "No text.")]
        return problems

    def validate_output(
        self, value: JSON, *, labels: Sequence[str], input_: JSON = None
    ) -> list[Problem]:
        return [] if isinstance(value, str) else [mismatch("", "A text is a string.")]

    def text_of(self, value: JSON) -> str:
        if isinstance(value, str):
            return value
        # What every conversation of a product begins with tells none of them from another.
        said = [m for m in _messages(value) if m["role"] != "system"]
        return "\n".join(f"{m['role']}: {m['content']}" for m in said)

    def written(self, value: JSON) -> list[str]:
        return [value] if isinstance(value, str) else []

    def diff(self, original: JSON, corrected: JSON) -> list[dict[str, JSON]]:
        """List what was replaced, word by word: `start` counts characters of the original.

        Texts that have less in common than MAX_WORD_EDITS leaves are one span.
        """
        before, after = _WORD.findall(str(original)), _WORD.findall(str(corrected))
        starts = [0, *accumulate(map(len, before))]
        return [
            _span(starts[old], "".join(before[old:old_end]), "".join(after[new:new_end]))
            for old, new, old_end, new_end in _changed(before, after)
        ]

    def apply(self, original: JSON, diff: list[dict[str, JSON]]) -> JSON:
        text, pieces, at = str(original), [], 0
        for span in diff:
            start = cast("int", span["start"])
            pieces += [text[at:start], str(span["inserted"])]
            at = start + len(str(span["removed"]))
        return "".join([*pieces, text[at:]])

    def edit_distance(self, original: JSON, corrected: JSON) -> float:
        """Return the Levenshtein distance over the longer text's length, in characters.

        More than MAX_CHARACTER_EDITS counts as a text that is new from end to end.
        """
        before, after = str(original), str(corrected)
        edits = Levenshtein.distance(before, after, score_cutoff=MAX_CHARACTER_EDITS)
        longest = max(len(before), len(after), 1)
        return 1.0 if edits > MAX_CHARACTER_EDITS else edits / longest


def _find_message_problems(messages: JSON) -> list[Problem]:
    if not isinstance(messages, list) or not 1 <= len(messages) <= MAX_MESSAGES:
        return [input_problem("/messages", f"A list of 1 to {MAX_MESSAGES} messages.")]
    for index, message in enumerate(messages):
        place = f"/messages/{index}"
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            return [input_problem(place, 'An object {"role", "content"}.')]
        role, content = message["role"], message["content"]
        if not isinstance(role, str) or not role.strip() or len(role) > MAX_ROLE_CHARS:
            return [input_problem(f"{place}/role", f"1 to {MAX_ROLE_CHARS} characters.")]
        if not isinstance(content, str):
            return [input_problem(f"{place}/content", "Not a string.")]
    return []


def _messages(value: JSON) -> list[dict[str, str]]:
    return cast("dict[str, list[dict[str, str]]]", value)["messages"]


def _contents(value: JSON) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [message["content"] for message in _messages(value)]


def _span(start: int, removed: str, inserted: str) -> dict[str, JSON]:
    """Leave out the words and spaces that both begin or end with."""
    old, new = _PART.findall(removed), _PART.findall(inserted)
    while old and new and old[0] == new[0]:
        start += len(old.pop(0))
        new.pop(0)
    while old and new and old[-1] == new[-1]:
        old.pop()
        new.pop()
    return {"start": start, "removed": "".join(old), "inserted": "".join(new)}


def _changed(before: list[str], after: list[str]) -> list[tuple[int, int, int, int]]:
    """Return the stretches that differ: (start before, start after, end before, end after)."""
    numbers: dict[str, int] = {}  # words as numbers: unlike hashes of words they never collide
    old = [numbers.setdefault(word, len(numbers)) for word in before]
    new = [numbers.setdefault(word, len(numbers)) for word in after]
    if Indel.distance(old, new, score_cutoff=MAX_WORD_EDITS) > MAX_WORD_EDITS:
        return [(0, 0, len(old), len(new))]
    stretches: list[tuple[int, int, int, int]] = []
    # By the longest common subsequence: substitutions would pair words that have nothing in common.
    for step in Indel.opcodes(old, new):
        if step.tag == "equal":
            continue
        here = (step.src_start, step.dest_start)
        if stretches and stretches[-1][2:] == here:  # a replacement runs on as an insertion
            here = stretches.pop()[:2]
        stretches.append((*here, step.src_end, step.dest_end))
    return stretches
