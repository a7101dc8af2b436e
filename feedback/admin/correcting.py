"""A form in which a moderator says what is right: a label to choose, or a text to mend."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django import forms

from config.errors import EmendError, Problem
from config.json import JSON, Malformed, loads
from feedback.admin.words import as_text, pieces, unhidden
from feedback.models import Task

MOST_NOTED = 400
FIELD_OF = {"/corrected": "corrected", "/reason": "ground"}
IN_WORDS = {"feedback.no_change": "This is what the model said."}
KEYS = {"data-key": "e", "data-enter": "edit"}


class CorrectionForm(forms.Form):
    """Of the decisions, `edit` needs the correction."""

    decision: forms.Field
    is_cleaned = forms.BooleanField(required=False)
    corrected = forms.ChoiceField(
        required=False, label="What is right", widget=forms.Select(attrs=KEYS)
    )
    note = forms.CharField(
        required=False,
        max_length=MOST_NOTED,
        label="Note",
        help_text="Kept with the decision; after a rejection the contributor may read it.",
        widget=forms.Textarea(attrs={"rows": 2, "data-key": "n"}),
    )

    def __init__(
        self, task: Task, original: JSON, proposed: JSON, sent: Mapping[str, Any] | None
    ) -> None:
        super().__init__(sent)
        self.original = original
        if task.kind.has_label_output:
            labels = [(label, label) for label in task.labels]
            self.fields["corrected"].choices = [("", "Choose a label"), *labels]  # type: ignore[attr-defined]
            self.proposed = str(proposed or "")
        else:
            self.fields["corrected"] = _written()
            written = as_text(original if proposed is None else proposed)
            self.proposed = _as_sent(written)
        self.initial["corrected"] = self.proposed

    @property
    def hidden(self) -> list[tuple[str, int]]:
        """Count what the field holds and does not show, by name."""
        found = Counter(p.text for p in pieces(self.proposed) if p.kind in ("hidden", "space"))
        return found.most_common()

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        data["corrected"] = _as_sent(data.get("corrected", ""))
        if data.get("is_cleaned"):
            data["corrected"] = unhidden(data["corrected"])
        self.is_changed = data["corrected"] not in ("", self.proposed)
        is_emptied = self.proposed and "corrected" in self.data and not data["corrected"]
        if is_emptied and data.get("decision") in ("accept", "right"):
            self.add_error("corrected", "Say what is right, or put back what stood here.")
        if self.is_changed and data.get("decision") == "accept":
            data["decision"] = "edit"  # what stands in the field is what is meant
        if data.get("decision") == "edit":
            self._read_corrected(data)
        return data

    def refuse(self, error: EmendError) -> None:
        """Say beside the fields why what was decided is refused."""
        for problem in error.errors or [Problem("", error.code, error.detail)]:
            field = FIELD_OF.get(problem.pointer)
            words = IN_WORDS.get(problem.code, problem.detail)
            self.add_error(field if field in self.fields else None, words)

    def focus_first_error(self) -> None:
        """Let the page open at the field that needs another look."""
        wrong = [name for name in self.fields if name in self.errors]
        for name in wrong[:1]:
            self.fields[name].widget.attrs["autofocus"] = True

    def _read_corrected(self, data: dict[str, Any]) -> None:
        if not data["corrected"]:
            self.add_error("corrected", "Choose what is right.")
        elif data["corrected"] == _as_sent(as_text(self.original)):
            data["corrected"] = self.original  # which is refused as no change, ends of lines or not
        elif not isinstance(self.original, str):
            try:
                data["corrected"] = loads(data["corrected"].encode())
            except Malformed as error:
                self.add_error("corrected", f"Not an object as it was: {error.detail}")


def _as_sent(text: str) -> str:
    """Write ends of lines as they are meant, however a browser sends them."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _written() -> forms.CharField:
    """Return the field of a correction that is no label."""
    widget = forms.Textarea(attrs={"rows": 4, "dir": "auto", **KEYS})
    return forms.CharField(required=False, strip=False, label="What is right", widget=widget)
