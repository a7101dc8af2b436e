"""A form in which a moderator says what is right: a label to choose, or a text to mend."""

from collections.abc import Mapping
from typing import Any

from django import forms

from config.errors import EmendError, Problem
from config.json import JSON, Malformed, loads
from feedback.admin.words import as_text
from feedback.models import Task

MOST_NOTED = 400
FIELD_OF = {"/corrected": "corrected", "/reason": "ground"}
KEYS = {"data-key": "e", "data-enter": "edit"}


class CorrectionForm(forms.Form):
    """Of the decisions, `edit` needs the correction."""

    decision: forms.Field
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
        else:
            self.fields["corrected"] = _written(original if proposed is None else proposed)

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data.get("decision") == "edit":
            self._read_corrected(data)
        return data

    def refuse(self, error: EmendError) -> None:
        """Say beside the fields why what was decided is refused."""
        for problem in error.errors or [Problem("", error.code, error.detail)]:
            field = FIELD_OF.get(problem.pointer)
            self.add_error(field if field in self.fields else None, problem.detail)

    def focus_first_error(self) -> None:
        """Let the page open at the field that needs another look."""
        wrong = [name for name in self.fields if name in self.errors]
        for name in wrong[:1]:
            self.fields[name].widget.attrs["autofocus"] = True

    def _read_corrected(self, data: dict[str, Any]) -> None:
        data["corrected"] = data.get("corrected", "").replace("\r\n", "\n")  # as browsers send it
        if not data["corrected"]:
            self.add_error("corrected", "Choose what is right.")
        elif not isinstance(self.original, str):
            try:
                data["corrected"] = loads(data["corrected"].encode())
            except Malformed as error:
                self.add_error("corrected", f"Not an object as it was: {error.detail}")


def _written(proposed: JSON) -> forms.CharField:
    """Return the field of a correction that is no label: what is proposed, to be mended."""
    widget = forms.Textarea(attrs={"rows": 4, "dir": "auto", **KEYS})
    field = forms.CharField(required=False, strip=False, label="What is right", widget=widget)
    field.initial = as_text(proposed)
    return field
