"""How right a set of answers is, overall and by slice; pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedback.intervals import wilson
from training.metrics import expected_calibration_error

Answers = tuple[list[Any], NDArray[np.float64] | None]  # outputs, their probabilities if known
Predictor = Callable[[Sequence[str]], Answers]


@dataclass(frozen=True)
class Case:
    """One question with its right answer; `text` is what a model reads."""

    text: str
    output: Any
    split: str  # "" on neither side: a case that was left out
    case: str
    is_pinned: bool
    source: str
    feedback_id: str | None
    slices: Mapping[str, str] = field(default_factory=dict)  # what it is told apart by
    example_id: int | None = None


@dataclass(frozen=True, eq=False)
class Scores:
    """Which of the cases (n,) were answered right, and with which confidence (n,), if known."""

    correct: NDArray[np.bool_]
    confidence: NDArray[np.float64] | None


def score(predictor: Predictor, cases: Sequence[Case]) -> Scores:
    outputs, confidence = predictor([case.text for case in cases])
    right = [output == case.output for output, case in zip(outputs, cases, strict=True)]
    return Scores(np.array(right, dtype=bool), confidence)


def summary(scores: Scores, chosen: NDArray[np.bool_] | None = None) -> dict[str, Any]:
    """Return n, accuracy with its 95% interval, and calibration error of the chosen cases."""
    chosen = np.ones(scores.correct.size, dtype=bool) if chosen is None else chosen
    n = int(chosen.sum())
    if n == 0:
        return {"n": 0}
    accuracy = wilson(int(scores.correct[chosen].sum()), n)
    document: dict[str, Any] = {
        "n": n,
        "accuracy": accuracy.estimate,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
    }
    if scores.confidence is not None:
        document["ece"] = expected_calibration_error(
            scores.confidence[chosen], scores.correct[chosen]
        )
    return document


def holdout_summary(scores: Scores, cases: Sequence[Case]) -> dict[str, Any]:
    """Summarise the holdout cases, all and by the source of their answers."""
    is_holdout = np.array([case.split == "holdout" for case in cases], dtype=bool)
    sources = sorted({case.source for case in cases if case.split == "holdout"})
    source_of = np.array([case.source for case in cases])
    return summary(scores, is_holdout) | {
        "by_source": {s: summary(scores, is_holdout & (source_of == s)) for s in sources}
    }
