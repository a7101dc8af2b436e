"""What a person made of an answer, in one line of a list."""

from collections import Counter
from typing import Any

from feedback.admin.words import excerpt
from feedback.models import Feedback

PARTS = {"image": "another picture", "prompt": "another prompt"}


def summary(feedback: Feedback) -> str:
    """Say what is changed; of an answer without a correction, what it was."""
    shown = excerpt(_named(feedback.original))
    if feedback.corrected is None or feedback.edit_distance is None:
        return shown
    if feedback.task.kind.has_label_output or isinstance(feedback.original, str):
        return f"{shown} → {excerpt(feedback.corrected)}"
    if feedback.task.modality == "layout":
        return _boxes(feedback.task.kind.diff(feedback.original, feedback.corrected))
    told = [words for part, words in PARTS.items() if part in feedback.corrected]
    regions = len(feedback.corrected.get("regions", []))
    return ", ".join([*told, *([f"{regions} marked"] if regions else [])])


def _boxes(changes: list[dict[str, Any]]) -> str:
    counted = Counter(str(change["change"]) for change in changes)
    return ", ".join(f"{n} {name}" for name, n in counted.items()) or "the same boxes"


def _named(value: Any) -> Any:
    """Leave the numbers of boxes and ids of pictures out: they say nothing in a line."""
    match value:
        case {"boxes": [*boxes]}:
            return f"{len(boxes)} boxes"
        case {"image": _}:
            return "a picture"
    return value
