"""What every modality can do, and what they share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias, TypeGuard

from config.errors import Problem
from config.json import JSON
from feedback.signals import SIGNALS, Case

MAX_LABELS = 1_000
MAX_LABEL_CHARS = 128
MAX_SIDE_PIXELS = 1_000_000
# A fraction of a pixel, as sums of floats are off: no box is smaller or further outside.
TOLERANCE_PIXELS = 0.001
Mark: TypeAlias = Callable[[str], str]


@dataclass(frozen=True)
class ExampleDraft:
    """One training-ready row before it is stored; a rejected output makes it a pair as well."""

    output: JSON
    rejected_output: JSON
    case: Case


class Modality(ABC):
    """One kind of input and output. Pointers of problems are relative to the value judged."""

    name: ClassVar[str]
    queue: ClassVar[str]  # each kind its own, so that a slow one delays no other
    has_label_output: ClassVar[bool] = False  # a closed list, which holds no personal data
    has_images: ClassVar[bool] = False

    @abstractmethod
    def check_task(self, labels: Sequence[str]) -> list[Problem]:
        """Judge a task's labels."""

    @abstractmethod
    def validate_input(self, value: JSON) -> list[Problem]: ...

    @abstractmethod
    def validate_output(self, value: JSON, *, labels: Sequence[str], input_: JSON) -> list[Problem]:
        """Judge the shape of an output; `input_` is the valid input that it answers."""

    def validate_corrected(
        self, value: JSON, *, labels: Sequence[str], input_: JSON
    ) -> list[Problem]:
        """Judge the shape of a correction: that of an output."""
        return self.validate_output(value, labels=labels, input_=input_)

    @abstractmethod
    def text_of(self, value: JSON) -> str:
        """Read a valid input as the text that a model reads."""

    def identity(self, input_: JSON, output: JSON) -> JSON:
        """Return what tells one case from another: the input."""
        return input_

    def near_key(self, input_: JSON, output: JSON) -> bytes | None:
        """Return what rows that are the same but for rounding share; None where text decides."""
        return None

    def spare(self, sent: JSON, redacted: JSON, labels: Sequence[str], mark: Mark) -> JSON:
        """Return a redacted output with the task's labels as they were sent.

        Its parts differ in name where those of the sent one do; `mark` gives a name letters that
        stand for it. It may have any shape: it is judged later.
        """
        return redacted

    def written(self, value: JSON) -> list[str]:
        """Return what a person wrote in an output or correction of whatever shape."""
        return []

    def is_same(self, input_: JSON, output: JSON, corrected: JSON) -> bool:
        """Return whether a correction says nothing that the output, or its input, does not."""
        return corrected == output

    def image_ids(self, value: JSON) -> list[str]:
        """Return the ids of stored images that a valid output or correction names."""
        return []

    def with_images(self, value: JSON, names: Mapping[str, str]) -> JSON:
        """Return a valid output with its images named as `names` says by id."""
        return value

    @abstractmethod
    def diff(self, original: JSON, corrected: JSON) -> list[dict[str, JSON]]:
        """List the changes that made a valid output a valid correction; none for equal ones."""

    @abstractmethod
    def apply(self, original: JSON, diff: list[dict[str, JSON]]) -> JSON:
        """Return the correction that `diff` came from."""

    @abstractmethod
    def edit_distance(self, original: JSON, corrected: JSON) -> float:
        """Measure the work of the correction, from 0 (none) to 1 (all of it)."""

    def answer_of(self, original: JSON, corrected: JSON) -> JSON:
        """Return the output that a valid correction says is right; None where it names none."""
        return corrected

    def to_examples(self, signal: str, original: JSON, corrected: JSON) -> list[ExampleDraft]:
        """Draft what an act becomes; `corrected` is the moderator's where there is one.

        What is drafted has the shape of an output, whatever shape a correction has.
        """
        if corrected is None:
            said = SIGNALS[signal]
            if not (said.case or said.is_undesired):
                return []
            return [ExampleDraft(output=original, rejected_output=None, case=said.case)]
        answer = self.answer_of(original, corrected)
        if answer is None:
            return []
        return [ExampleDraft(output=answer, rejected_output=original, case="regression")]


def check_labels(labels: Sequence[str], *, fewest: int) -> list[Problem]:
    """Judge a task's labels: how many there are, and that each is a short word of its own."""
    problems = []
    if not fewest <= len(labels) <= MAX_LABELS:
        problems.append(_label_problem("/labels", f"Between {fewest} and {MAX_LABELS} are needed."))
    for index, label in enumerate(labels):
        if not label or label != label.strip() or len(label) > MAX_LABEL_CHARS:
            detail = f"A label has 1 to {MAX_LABEL_CHARS} characters, no space at either end."
            problems.append(_label_problem(f"/labels/{index}", detail))
    if len(set(labels)) < len(labels):
        problems.append(_label_problem("/labels", "Labels must differ."))
    return problems


def is_number(value: JSON) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def find_bbox_fault(value: JSON, page: tuple[float, float]) -> str | None:
    """Say what is wrong with a box [x, y, width, height] on a page (width, height) in pixels."""
    if not isinstance(value, list) or len(value) != 4:
        return "Four numbers: x, y, width, height."
    x, y, width, height = value
    if not (is_number(x) and is_number(y) and is_number(width) and is_number(height)):
        return "Four numbers: x, y, width, height."
    if min(width, height) < TOLERANCE_PIXELS:
        return "Width and height must be greater than 0."
    is_outside = x + width > page[0] + TOLERANCE_PIXELS or y + height > page[1] + TOLERANCE_PIXELS
    if min(x, y) < -TOLERANCE_PIXELS or is_outside:
        return f"Outside the page of {page[0]:g} x {page[1]:g} pixels."
    return None


def input_problem(pointer: str, detail: str) -> Problem:
    return Problem(pointer, "feedback.invalid_input", detail)


def mismatch(pointer: str, detail: str) -> Problem:
    return Problem(pointer, "feedback.schema_mismatch", detail)


def _label_problem(pointer: str, detail: str) -> Problem:
    return Problem(pointer, "feedback.invalid_labels", detail)
