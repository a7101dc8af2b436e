"""What an item of a queue is worth a moderator's minutes, and why in words; pure.

What people disagree with though the model was sure comes first: one of the two is badly wrong.
Then what the model was least sure of, by how many are shown it (margin sampling: Scheffer, Decomain
and Wrobel 2001, "Active hidden Markov models for information extraction").
"""

from collections.abc import Mapping
from dataclasses import dataclass

CONFIDENT = 0.8
UNKNOWN_MARGIN = 0.5
HALFWAY = 10.0  # what (1 - margin) x exposure makes half of the most


@dataclass(frozen=True)
class Answer:
    """What is known of one answer: the model's probabilities or confidence, and how many saw it.

    `exposure` counts how often its input was served, itself included: 1 or more.
    """

    exposure: int
    confidence: float | None = None
    probabilities: Mapping[str, float] | None = None

    @property
    def margin(self) -> float | None:
        """The probability of the most probable label less that of the second, if it is known."""
        if self.probabilities:
            first, second = sorted([*self.probabilities.values(), 0.0], reverse=True)[:2]
            return first - second
        # Of two labels exactly; of more the least that it can be.
        return None if self.confidence is None else max(0.0, 2 * self.confidence - 1)


def worth_of(answer: Answer, *, is_disputed: bool = False) -> float:
    """Return what orders a queue: 1 to 2 for a disputed answer of a sure model, else 0 to 1."""
    if is_disputed and _is_sure(answer):
        return 1 + _saturated((answer.confidence or 0.0) * answer.exposure)
    margin = UNKNOWN_MARGIN if answer.margin is None else answer.margin
    return _saturated((1 - margin) * answer.exposure)


def reason_of(answer: Answer, *, is_disputed: bool = False) -> str:
    """Say why the item has its place."""
    served = "served once" if answer.exposure == 1 else f"served {answer.exposure:,} times"
    if is_disputed and _is_sure(answer):
        return f"Said to be wrong, though the model was {answer.confidence:.0%} sure; {served}"
    if answer.probabilities:
        return f"Margin to the next label {answer.margin:.0%}; {served}"
    if answer.confidence is None:
        return f"How sure the model was is not known; {served}"
    return f"The model was {answer.confidence:.0%} sure; {served}"


def _is_sure(answer: Answer) -> bool:
    return answer.confidence is not None and answer.confidence >= CONFIDENT


def _saturated(value: float) -> float:
    return value / (value + HALFWAY)
