"""What each signal says and becomes. A new signal is one line here and one test."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Case: TypeAlias = Literal["", "golden", "regression"]


@dataclass(frozen=True)
class Signal:
    """Describe a signal: said on purpose or observed, its weight, what it becomes unchanged.

    `case` is the eval case made when nothing was corrected ("" for none, and then no example
    either, but of what `is_undesired`); whatever is corrected becomes a regression case.
    """

    is_explicit: bool
    weight: float
    case: Case
    corrected: Literal["needed", "allowed", "refused"]
    is_undesired: bool = False


SIGNALS = {
    "up": Signal(is_explicit=True, weight=1.0, case="golden", corrected="refused"),
    "down": Signal(is_explicit=True, weight=1.0, case="", corrected="allowed", is_undesired=True),
    "correction": Signal(is_explicit=True, weight=1.0, case="", corrected="needed"),
    "edited": Signal(is_explicit=True, weight=1.0, case="", corrected="needed"),
    "regenerated": Signal(is_explicit=False, weight=0.5, case="", corrected="refused"),
    # To go on without a complaint says less than to approve.
    "accepted": Signal(is_explicit=False, weight=0.5, case="golden", corrected="refused"),
    "resolved": Signal(is_explicit=False, weight=0.5, case="golden", corrected="refused"),
    "abandoned": Signal(is_explicit=False, weight=0.5, case="", corrected="refused"),
}
EXPLICIT = [name for name, signal in SIGNALS.items() if signal.is_explicit]
IMPLICIT = [name for name, signal in SIGNALS.items() if not signal.is_explicit]
