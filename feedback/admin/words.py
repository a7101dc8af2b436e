"""What moderators read: codes in words, and content with its invisible characters made visible."""

import json
import re
import unicodedata
from collections.abc import Container, Iterator
from typing import Any, NamedTuple

from config.json import JSON
from feedback.models import Decision, Feedback
from feedback.validation import FLAGS
from privacy.redaction.rules import RESERVED

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
    "escalate": "Escalated: it waits in the queue for somebody else.",
    "approve": "Accepted by you. Others are still to accept the same.",
    "retry": "Put back into the queue of processing.",
    "discard": "Discarded.",
}
DECIDED = {
    "accept": "Accepted",
    "reject": "Rejected",
    "escalate": "Escalated",
    "approve": "Accepted by one",
    "undone": "Undone",
}
EXCERPT_CHARACTERS = 80
# Of an unchanged stretch this much is kept beside a change: about twelve words.
KEPT_CHARACTERS = 72
MOST_MARKS = 1_000  # in one text; what has more is an attack on the page
_HEAD = re.compile(rf"(?s).{{{KEPT_CHARACTERS}}}\S{{0,20}}")
_TAIL = re.compile(rf"(?s)\S{{0,20}}.{{{KEPT_CHARACTERS}}}\Z")
# How each kind of piece is marked, and what its mark means.
_MARKS = {
    "hidden": ("mark", "A character that would not be seen"),
    "space": ("mark space", "A space that is not the usual one"),
    "folded": ("mark", "Combining marks beyond the third"),
    "redacted": ("redacted", "Personal data was removed here"),
}
JOINERS = ("\u200c", "\u200d")
_COMBINING = "".join(
    mark for mark in map(chr, range(0x300, 0x1F000)) if unicodedata.category(mark)[0] == "M"
)
# Printable by their category, and blank: fillers, joiners, selectors of variants.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
# What may need a mark: a placeholder, tags (a hidden copy of ASCII), a pile of combining marks,
# and single characters; those of the large scripts that never do are passed over for speed.
_CANDIDATE = re.compile(
    r"\[(?P<type>[A-Z][A-Z0-9_]{1,30})\]"
    "|(?P<tags>[\U000e0000-\U000e007f]+)"
    f"|(?P<flood>(?<=[{_COMBINING}]{{3}})[{_COMBINING}]+)"
    "|[^\x20-\x7e\n\u00c0-\u02ff\u3041-\u3096\u4e00-\u9fff\uac00-\ud7a3]"
)


def why(feedback: Feedback) -> list[str]:
    """Say why the feedback waits for a person."""
    words = [WHY_FLAGGED.get(flag, flag) for flag in feedback.flags]
    review = getattr(feedback, "review", None)
    if review is not None and review.decision == Decision.ESCALATE:
        words.append(f"Escalated by {review.moderator}")
    if review is not None and review.decision == Decision.APPROVE:
        words.append(f"Accepted by {review.moderator}; others are to accept the same")
    return words or ["Taken up again"]


class Piece(NamedTuple):
    """A stretch of text, or the name of what would not be seen or is not what it was."""

    text: str
    kind: str = ""

    @property
    def is_mark(self) -> bool:
        return self.kind != ""

    @property
    def css(self) -> str:
        return _MARKS[self.kind][0]

    @property
    def title(self) -> str:
        return _MARKS[self.kind][1]


def pieces(value: JSON, own_types: Container[str] = ()) -> Iterator[Piece]:
    """Split content so that no character of it hides or turns the text around it.

    Placeholders of redaction are pieces of their own; `own_types` are those of a task's patterns.
    """
    text = as_text(value).replace("\r\n", "\n")
    at = count = 0
    for found in _CANDIDATE.finditer(text):
        mark = _mark_of(found, text, own_types)
        if mark is None:
            continue
        if at < found.start():
            yield Piece(text[at : found.start()])
        count += 1
        if count > MOST_MARKS:
            yield Piece(f"{len(text) - found.start():,} more characters not shown", "hidden")
            return
        yield mark
        at = found.end() if found[0] != "\t" else found.start()  # a tab still sets things apart
    if at < len(text):
        yield Piece(text[at:])


def excerpt(value: JSON) -> str:
    """Return the beginning of content on one line, for lists: its texts, where it has any."""
    named = named_texts(value)
    told = [(name, part) for name, part in named if isinstance(part, str)] or named
    parts = [f"{name}: {as_text(part)}".removeprefix(": ") for name, part in told]
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


class Span(NamedTuple):
    """A stretch of a text: `state` is "changed", "folded" or "" (the same on both sides)."""

    text: str
    state: str = ""


def sides(original: str, spans: list[dict[str, Any]]) -> tuple[list[Span], list[Span]]:
    """Cut a text and its correction by the spans of their difference; long same ones are folded."""
    before: list[Span] = []
    after: list[Span] = []
    at = 0
    for span in spans:
        same = _folded(original[at : span["start"]], is_first=at == 0)
        before += [*same, Span(span["removed"], "changed")]
        after += [*same, Span(span["inserted"], "changed")]
        at = span["start"] + len(span["removed"])
    rest = _folded(original[at:], is_last=True) if spans else [Span(original)]
    return [*before, *rest], [*after, *rest]


def _folded(same: str, *, is_first: bool = False, is_last: bool = False) -> list[Span]:
    """Fold the middle of a long stretch; at the ends of the text only one side has a change."""
    head, tail = _HEAD.match(same), _TAIL.search(same[-2 * KEPT_CHARACTERS :])
    if len(same) <= 4 * KEPT_CHARACTERS or head is None or tail is None:
        return [Span(same)]
    start = 0 if is_first else head.end()
    end = len(same) if is_last else len(same) - len(tail[0])
    return [Span(same[:start]), Span(same[start:end], "folded"), Span(same[end:])]


def as_text(value: JSON) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, indent=2)


def unhidden(text: str) -> str:
    """Take out what would not be seen, and make all spaces the usual one."""

    def usual(found: re.Match[str]) -> str:
        before = text[max(0, found.start() - 1) : found.start()]
        if found[0] in JOINERS and before >= "\u0600" and unicodedata.category(before)[0] in "LM":
            return found[0]  # it is spelling, in Arabic script and those of India
        mark = _mark_of(found, text, ())
        kind = mark.kind if mark is not None and found[0] != "\t" else ""
        return {"hidden": "", "space": " "}.get(kind, found[0])

    return _CANDIDATE.sub(usual, text)


def _mark_of(found: re.Match[str], text: str, own_types: Container[str]) -> Piece | None:
    """Return what stands for a candidate, or None if it is shown as it is."""
    character = found[0]
    if found["type"]:
        is_type = found["type"] in RESERVED or found["type"] in own_types
        return Piece(character, "redacted") if is_type else None
    if found["tags"]:
        said = "".join(chr(ord(tag) - 0xE0000) for tag in character).strip("\0\1\x7f")
        return Piece(f"hidden tags: {said}", "hidden")
    if found["flood"]:
        return Piece(f"+{len(character)} marks", "folded")
    if character == "\t":
        return Piece("\N{RIGHTWARDS ARROW TO BAR}", "space")
    is_seen = character.isprintable() and not _BLANK.match(character)
    if is_seen or _is_of_emoji(character, text, found.start()):
        return None
    kind = "space" if unicodedata.category(character) == "Zs" else "hidden"
    return Piece(f"U+{ord(character):04X}", kind)


def _is_of_emoji(character: str, text: str, at: int) -> bool:
    """Match the joiner between two pictures, and the selector after a sign: seen in the emoji."""
    before, after = text[max(0, at - 1) : at], text[at + 1 : at + 2]
    if not before or character not in "\u200d\ufe0e\ufe0f":
        return False
    if character != "\u200d":
        return unicodedata.category(before)[0] in "NPS"
    is_picture = before == "\ufe0f" or unicodedata.category(before) in {"So", "Sk"}
    return is_picture and after != "" and unicodedata.category(after) == "So"
