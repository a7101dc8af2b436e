"""Classification: a text, or an object of named texts, gets one of the task's labels."""

from collections.abc import Sequence

from config.errors import Problem
from config.json import JSON
from feedback.modalities.base import ExampleDraft, examples_of

MAX_TEXTS = 32
MAX_LABELS = 1_000
MAX_LABEL_CHARS = 128


class Classification:
    """Implement `base.Modality`."""

    name = "classification"
    queue = "process.text"
    has_label_output = True

    def check_task(self, labels: Sequence[str]) -> list[Problem]:
        problems = []
        if not 2 <= len(labels) <= MAX_LABELS:
            problems.append(_label_problem("/labels", f"Between 2 and {MAX_LABELS} are needed."))
        for index, label in enumerate(labels):
            if not label or label != label.strip() or len(label) > MAX_LABEL_CHARS:
                detail = f"A label has 1 to {MAX_LABEL_CHARS} characters, no space at either end."
                problems.append(_label_problem(f"/labels/{index}", detail))
        if len(set(labels)) < len(labels):
            problems.append(_label_problem("/labels", "Labels must differ."))
        return problems

    def validate_input(self, value: JSON) -> list[Problem]:
        if isinstance(value, dict) and not 1 <= len(value) <= MAX_TEXTS:
            return [_input_problem("", f"An object has 1 to {MAX_TEXTS} texts.")]
        if not isinstance(value, str | dict):
            return [_input_problem("", "A string, or an object of named texts.")]
        texts = {"": value} if isinstance(value, str) else _pointed(value)
        wrong = [pointer for pointer, text in texts.items() if not isinstance(text, str)]
        if wrong:
            return [_input_problem(pointer, "Not a string.") for pointer in wrong]
        if not self.text_of(value).strip():
            return [_input_problem("", "No text.")]
        return []

    def validate_output(self, value: JSON, *, labels: Sequence[str]) -> list[Problem]:
        if isinstance(value, str) and value in labels:
            return []
        detail = "Not a label of the task." if isinstance(value, str) else "A label is a string."
        return [Problem("", "feedback.schema_mismatch", detail)]

    def text_of(self, value: JSON) -> str:
        if isinstance(value, dict):
            return "\n".join(str(value[key]) for key in sorted(value))
        return str(value)

    def diff(self, original: JSON, corrected: JSON) -> list[dict[str, JSON]]:
        """Write the change as an RFC 6902 patch of the whole output."""
        if corrected == original:
            return []
        return [{"op": "replace", "path": "", "value": corrected}]

    def edit_distance(self, original: JSON, corrected: JSON) -> float:
        return float(original != corrected)

    def to_examples(self, signal: str, original: JSON, corrected: JSON) -> list[ExampleDraft]:
        return examples_of(signal, original, corrected)


def _pointed(texts: dict[str, JSON]) -> dict[str, JSON]:
    return {"/" + key.replace("~", "~0").replace("/", "~1"): value for key, value in texts.items()}


def _label_problem(pointer: str, detail: str) -> Problem:
    return Problem(pointer, "feedback.invalid_labels", detail)


def _input_problem(pointer: str, detail: str) -> Problem:
    return Problem(pointer, "feedback.invalid_input", detail)
