"""Classification: a text, or an object of named texts, gets one of the task's labels."""

from collections.abc import Sequence

from config.errors import Problem
from config.json import JSON
from feedback.modalities.base import (
    Mark,
    Modality,
    check_labels,
    input_problem,
    mismatch,
)

MAX_TEXTS = 32


class Classification(Modality):
    name = "classification"
    queue = "process.text"
    has_label_output = True

    def check_task(self, labels: Sequence[str]) -> list[Problem]:
        return check_labels(labels, fewest=2)

    def validate_input(self, value: JSON) -> list[Problem]:
        if isinstance(value, dict) and not 1 <= len(value) <= MAX_TEXTS:
            return [input_problem("", f"An object has 1 to {MAX_TEXTS} texts.")]
        if not isinstance(value, str | dict):
            return [input_problem("", "A string, or an object of named texts.")]
        texts = {"": value} if isinstance(value, str) else _pointed(value)
        wrong = [pointer for pointer, text in texts.items() if not isinstance(text, str)]
        if wrong:
            return [input_problem(pointer, "Not a string.") for pointer in wrong]
        if not self.text_of(value).strip():
            return [input_problem("", "No text.")]
        return []

    def validate_output(
        self, value: JSON, *, labels: Sequence[str], input_: JSON = None
    ) -> list[Problem]:
        if isinstance(value, str) and value in labels:
            return []
        detail = "Not a label of the task." if isinstance(value, str) else "A label is a string."
        return [mismatch("", detail)]

    def text_of(self, value: JSON) -> str:
        if isinstance(value, dict):
            return "\n".join(str(value[key]) for key in sorted(value))
        return str(value)

    def spare(self, sent: JSON, redacted: JSON, labels: Sequence[str], mark: Mark) -> JSON:
        return sent if sent in labels else redacted

    def diff(self, original: JSON, corrected: JSON) -> list[dict[str, JSON]]:
        """Write the change as an RFC 6902 patch of the whole output."""
        if corrected == original:
            return []
        return [{"op": "replace", "path": "", "value": corrected}]

    def apply(self, original: JSON, diff: list[dict[str, JSON]]) -> JSON:
        return diff[0]["value"] if diff else original

    def edit_distance(self, original: JSON, corrected: JSON) -> float:
        return float(original != corrected)


def _pointed(texts: dict[str, JSON]) -> dict[str, JSON]:
    return {"/" + key.replace("~", "~0").replace("/", "~1"): value for key, value in texts.items()}
