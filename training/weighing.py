"""What each row of a run weighs: its base weight, times whose it is, capped; pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
NOBODY = -1  # starting data, silence, and acts that name no person's trust
# One contributor weighs no more than this share of all, or than so many of a few would.
MOST_SHARE, FEW_CONTRIBUTORS = 0.02, 3
NEWCOMERS_SHARE = 0.2  # of a version, once anybody is trusted
LEAST_WEIGHT = 1e-6  # a cap makes a row light, it drops none


@dataclass(frozen=True)
class Weighing:
    """How the weights came about, for those who ask: kept with the run."""

    contributors: int
    capped: int
    newcomers_factor: float
    largest_share: float  # of one contributor in what all contributors weigh, before any cap
    largest_share_capped: float


def speakers(crowds: Sequence[Sequence[int]], trust: Floats, is_new: NDArray[np.bool_]) -> Indices:
    """Return who of the people behind each row speaks for it (n,): whoever is trusted most."""

    def rank(person: int) -> tuple[bool, float, int]:
        return not is_new[person], trust[person], -person

    return np.array([max(crowd, key=rank, default=NOBODY) for crowd in crowds], dtype=np.intp)


def weigh(
    base: Floats, contributor: Indices, trust: Floats, is_new: NDArray[np.bool_]
) -> tuple[Floats, Weighing]:
    """Return the weight of each row (n,), and what was capped.

    `contributor` (n,) is an index into `trust` and `is_new` (c,), or NOBODY. A contributor weighs
    at most max(2%, 3 / c) of what all contributors weigh before any cap. If one of them is trusted
    all the new ones together weigh at most a fifth of the version.
    """
    weights = np.array(base, dtype=np.float64)
    is_theirs = contributor != NOBODY
    who = contributor[is_theirs]
    weights[is_theirs] *= trust[who]
    totals = np.bincount(who, weights[is_theirs], minlength=trust.size).astype(np.float64)
    speaking = int((totals > 0).sum())
    most = max(MOST_SHARE, FEW_CONTRIBUTORS / max(speaking, 1)) * totals.sum()
    caps = np.minimum(1.0, most / np.maximum(totals, LEAST_WEIGHT))
    weights[is_theirs] *= caps[who]
    is_new_row = np.zeros(weights.size, dtype=bool)
    is_new_row[is_theirs] = is_new[who]
    new, rest = weights[is_new_row].sum(), weights[~is_new_row].sum()
    factor = 1.0
    if new and not is_new[totals > 0].all():
        factor = min(1.0, NEWCOMERS_SHARE / (1 - NEWCOMERS_SHARE) * rest / new)
    weights[is_new_row] *= factor
    how = Weighing(
        contributors=speaking,
        capped=int((caps < 1).sum()),
        newcomers_factor=factor,
        largest_share=_largest_share(totals),
        largest_share_capped=_largest_share(totals * caps),
    )
    return np.maximum(weights, LEAST_WEIGHT), how


def _largest_share(totals: Floats) -> float:
    return float(totals.max(initial=0.0) / max(totals.sum(), LEAST_WEIGHT))
