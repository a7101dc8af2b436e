"""What moderators read: codes in words, and content with its invisible characters made visible."""

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from config.json import JSON
from feedback.models import Decision, Feedback
from feedback.validation import FLAGS

WHY_FLAGGED = {code: rule.message for code, rule in FLAGS.items()}
REASONS = {
    "wrong": "The correction is wrong",
    "unrelated": "It is not about this answer",
    "vandalism": "Spam or vandalism",
    "abuse": "Abusive or offensive",
    "personal": "It tells personal things about someone",
    "other": "Another reason (say which)",
}
DONE = {
    "accept": "Accepted.",
    "edit": "Accepted with your correction.",
    "reject": "Rejected.",
    "escalate": "Escalated: it stays in the queue for somebody else.",
    "retry": "Put back into the queue of processing.",
}
DECIDED = {"accept": "Accepted", "reject": "Rejected", "escalate": "Escalated"}
EXCERPT_CHARACTERS = 80
# A stretch of text and whether it was changed.
Span: TypeAlias = tuple[str, bool]


def why(feedback: Feedback) -> list[str]:
    """Say why the feedback waits for a person."""
    words = [WHY_FLAGGED.get(flag, flag) for flag in feedback.flags]
    review = getattr(feedback, "review", None)
    if review is not None and review.decision == Decision.ESCALATE:
        words.append(f"Escalated by {review.moderator}")
    return words or ["Taken up again"]


@dataclass(frozen=True)
class Piece:
    """A stretch of text, or the name of one character that would not be seen."""

    text: str
    is_mark: bool = False


def pieces(value: JSON) -> Iterator[Piece]:
    """Split content so that no character of it hides or turns the text around it."""
    text = as_text(value)
    start = 0
    for index, character in enumerate(text):
        if _is_hidden(character):
            if start < index:
                yield Piece(text[start:index])
            yield Piece(f"U+{ord(character):04X}", is_mark=True)
            start = index + 1
    if start < len(text):
        yield Piece(text[start:])


def excerpt(value: JSON) -> str:
    """Return the beginning of content on one line, for lists."""
    parts = [f"{name}: {as_text(part)}".removeprefix(": ") for name, part in named_texts(value)]
    text = " ".join(" ".join(parts)[: 4 * EXCERPT_CHARACTERS].split())
    marked = "".join(piece.text for piece in pieces(text[:EXCERPT_CHARACTERS]))
    return marked + "…" if len(text) > EXCERPT_CHARACTERS else marked


def named_texts(value: Any) -> list[tuple[str, Any]]:
    """Return the parts of an input, or what each in a chat said; a plain text has no name."""
    match value:
        case {"messages": [*said], **rest} if not rest:
            return [(message["role"], message["content"]) for message in said]
        case dict():
            return list(value.items())
    return [("", value)]


def sides(original: str, spans: list[dict[str, Any]]) -> tuple[list[Span], list[Span]]:
    """Cut a text and its correction by the spans of their difference; changed ones are marked."""
    before: list[Span] = []
    after: list[Span] = []
    at = 0
    for span in spans:
        same = (original[at : span["start"]], False)
        before += [same, (span["removed"], True)]
        after += [same, (span["inserted"], True)]
        at = span["start"] + len(span["removed"])
    rest = (original[at:], False)
    return [*before, rest], [*after, rest]


def as_text(value: JSON) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, indent=2)


def _is_hidden(character: str) -> bool:
    """Match control, bidirectional, zero-width and private characters, and blank letters."""
    if character in "\n\r\t":
        return False
    is_blank_letter = character in "\u115f\u1160\u3164\uffa0\u2800"
    return is_blank_letter or unicodedata.category(character) in {"Cc", "Cf", "Co", "Zl", "Zp"}
