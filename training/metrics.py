"""How right a model is, and how honest about it."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def expected_calibration_error(
    confidence: Floats, correct: NDArray[np.bool_], bins: int = 10
) -> float:
    """Compute the mean gap between confidence and share correct, weighted by rows.

    Both arrays are (n,). The bins hold equal numbers of rows, which is less biased than bins of
    equal width (Roelofs et al. 2022, "Mitigating bias in calibration error estimation"); equal
    confidences share a bin, so the order of rows does not matter.
    """
    _require_rows(confidence.size)
    return _gap(_bin_of(confidence, bins), confidence, correct)


def perfectly_calibrated_ece_quantile(
    confidence: Floats, quantile: float = 0.95, *, seed: int, draws: int = 1000
) -> float:
    """Simulate the error that a perfectly calibrated model would show by chance alone.

    Each draw takes every row of `confidence` (n,) as right with just that probability. Raises
    ValueError when empty.
    """
    _require_rows(confidence.size)
    bin_of_row = _bin_of(confidence, 10)
    generator = np.random.default_rng(seed)
    errors = [
        _gap(bin_of_row, confidence, generator.random(confidence.size) < confidence)
        for _ in range(draws)
    ]
    return float(np.quantile(errors, quantile))


def _bin_of(confidence: Floats, bins: int) -> NDArray[np.intp]:
    edges = np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1])
    return np.searchsorted(edges, confidence, side="right")


def _gap(bin_of_row: NDArray[np.intp], confidence: Floats, correct: NDArray[np.bool_]) -> float:
    sums = np.bincount(bin_of_row, weights=confidence - correct)
    return float(np.sum(np.abs(sums)) / confidence.size)


def _require_rows(n: int) -> None:
    if n == 0:
        raise ValueError("a metric needs at least one row")
