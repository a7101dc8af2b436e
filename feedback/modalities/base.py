"""What every modality can do, and what they share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from config.errors import Problem
from config.json import JSON
from feedback.signals import SIGNALS, Case


@dataclass(frozen=True)
class ExampleDraft:
    """One training-ready row before it is stored; a rejected output makes it a pair as well."""

    output: JSON
    rejected_output: JSON
    case: Case


class Modality(Protocol):
    """One kind of input and output. Pointers of problems are relative to the value judged."""

    @property
    def name(self) -> str: ...

    @property
    def queue(self) -> str:
        """Name the queue that processes this kind, so that a slow kind delays no other."""

    @property
    def has_label_output(self) -> bool:
        """Say whether outputs come from a closed list, which holds no personal data."""

    def check_task(self, labels: Sequence[str]) -> list[Problem]:
        """Judge a task's labels."""

    def validate_input(self, value: JSON) -> list[Problem]: ...

    def validate_output(self, value: JSON, *, labels: Sequence[str]) -> list[Problem]:
        """Judge the shape of an output or of `corrected`."""

    def text_of(self, value: JSON) -> str:
        """Read a valid input as the text that a model reads."""

    def diff(self, original: JSON, corrected: JSON) -> list[dict[str, JSON]]: ...

    def edit_distance(self, original: JSON, corrected: JSON) -> float:
        """Measure the work of the correction, from 0 (none) to 1 (all of it)."""

    def to_examples(self, signal: str, original: JSON, corrected: JSON) -> list[ExampleDraft]:
        """Draft what an act becomes; `corrected` is the moderator's where there is one."""


def examples_of(signal: str, original: JSON, corrected: JSON) -> list[ExampleDraft]:
    """Draft the example of an act whose output is one value."""
    if corrected is not None:
        return [ExampleDraft(output=corrected, rejected_output=original, case="regression")]
    case = SIGNALS[signal].case
    return [ExampleDraft(output=original, rejected_output=None, case=case)] if case else []
