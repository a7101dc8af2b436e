"""The form in which a moderator says whether an answer is right."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.db import transaction

from config.errors import EmendError
from feedback import claims
from feedback.admin.correcting import CorrectionForm
from feedback.admin.words import as_text
from training import checking
from training.models import AnswerToCheck

SAID = {
    "right": "Said to be right.",
    "edit": "Corrected.",
    "wrong": "Said to be wrong.",
}
SIGNAL_OF = {"right": "up", "edit": "correction", "wrong": "down"}


class AnswerForm(CorrectionForm):
    """What a moderator says of an answer: the button that was pressed says it."""

    decision = forms.ChoiceField(choices=[(name, name) for name in SAID])

    def __init__(self, check: AnswerToCheck, sent: Mapping[str, Any] | None) -> None:
        shown = check.inference.output
        super().__init__(check.task, shown, None, sent)
        self.check = check
        self.said = as_text(shown)
        self.fields["note"].help_text = "Kept with your answer."

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        is_said = data.get("decision") != "edit" and self.is_changed
        if is_said and data["corrected"] != self.said:
            self.add_error("corrected", "You said what is right: use Correct it, or put it back.")
        return data

    def answer(self, *, by: str) -> bool:
        """Store the answer; return False, with the errors on the form, if it is refused."""
        data = self.cleaned_data
        corrected = data["corrected"] if data["decision"] == "edit" else None
        try:
            with transaction.atomic():
                claims.require_free(claims.ANSWER, self.check.pk, by=by)
                checking.answer(
                    self.check,
                    by=by,
                    signal=SIGNAL_OF[data["decision"]],  # type: ignore[arg-type]
                    corrected=corrected,
                    comment=data["note"].strip(),
                )
        except EmendError as error:
            self.refuse(error)
        return self.is_valid()
