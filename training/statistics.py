"""Changes of rates: their intervals, tests and sequential evidence."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from feedback.intervals import wilson


@dataclass(frozen=True)
class PairedDifference:
    """Hold the change of a rate on the same n cases, as a ratio between -1 and 1.

    `gained` cases became right, `lost` cases became wrong.
    """

    n: int
    estimate: float
    low: float
    high: float
    p_value: float
    gained: int
    lost: int


def paired_difference(
    before: NDArray[np.bool_], after: NDArray[np.bool_], level: float = 0.95
) -> PairedDifference:
    """Compare two boolean arrays (n,) over the same cases: rate of `after` minus `before`.

    The interval is the square-and-add score interval for paired proportions
    (Newcombe 1998, Statistics in Medicine 17:2635, method 10); p is McNemar's, exact, two-sided.
    Raises ValueError when the arrays are empty or differ in length.
    """
    if before.shape != after.shape or before.ndim != 1 or before.size == 0:
        raise ValueError("before and after must be the same cases, at least one")
    n = before.size
    both = int(np.sum(before & after))
    gained = int(np.sum(~before & after))
    lost = int(np.sum(before & ~after))
    old, new = wilson(both + lost, n, level), wilson(both + gained, n, level)
    phi = _phi(both, gained, lost, n - both - gained - lost)
    estimate = (gained - lost) / n
    low = estimate - _added(new.estimate - new.low, old.high - old.estimate, phi)
    high = estimate + _added(new.high - new.estimate, old.estimate - old.low, phi)
    p_value = mcnemar(gained, lost)
    return PairedDifference(n, estimate, max(-1.0, low), min(1.0, high), p_value, gained, lost)


def mcnemar(gained: int, lost: int) -> float:
    """Compute the exact two-sided p of McNemar's test from the two discordant counts."""
    return min(1.0, 2 * float(bdtr(min(gained, lost), gained + lost, 0.5)))


def _added(first: float, second: float, phi: float) -> float:
    return math.sqrt(max(0.0, first**2 - 2 * phi * first * second + second**2))


def _phi(both: int, gained: int, lost: int, neither: int) -> float:
    """Correlate the pairs; a positive covariance is corrected for continuity as Newcombe does."""
    n = both + gained + lost + neither
    margins = (both + lost) * (gained + neither) * (both + gained) * (lost + neither)
    if margins == 0:
        return 0.0
    covariance: float = both * neither - gained * lost
    if covariance > 0:
        covariance = max(0.0, covariance - n / 2)
    return covariance / math.sqrt(margins)


Counts = tuple[int, int]


@dataclass
class HarmMonitor:
    """Watch whether a challenger's rate of bad outcomes is above the champion's, at every look.

    An e-process for two Bernoulli streams: each block of outcomes multiplies the likelihood ratio
    of rates predicted from earlier blocks alone against their pooled rate (Turner, Ly and
    Gruenwald 2024, "Generic E-variables for exact sequential k-sample tests"). By Ville's
    inequality a challenger that is no worse is ever called harmful with probability at most alpha.
    The first block only teaches the rates, so feed small batches. Counts are (bad, n);
    `dataclasses.asdict` stores a monitor as JSON and `HarmMonitor(**fields)` resumes it.
    """

    alpha: float
    seen_champion: Counts = (0, 0)
    seen_challenger: Counts = (0, 0)
    waiting_champion: Counts = (0, 0)
    waiting_challenger: Counts = (0, 0)
    log_e: float = 0.0
    log_e_peak: float = 0.0

    def update(self, *, champion: Counts, challenger: Counts) -> None:
        """Take each arm's (bad, n) outcomes since the last look; either n may be 0.

        Raises ValueError unless 0 <= bad <= n.
        """
        champion = _plus(self.waiting_champion, _checked(champion))
        challenger = _plus(self.waiting_challenger, _checked(challenger))
        # A block with one arm empty holds no comparison. Waiting depends on how many outcomes
        # came, never on which, so it costs no validity.
        if champion[1] == 0 or challenger[1] == 0:
            self.waiting_champion, self.waiting_challenger = champion, challenger
            return
        self.log_e += self._log_ratio(champion, challenger)
        self.log_e_peak = max(self.log_e_peak, self.log_e)
        self.seen_champion = _plus(self.seen_champion, champion)
        self.seen_challenger = _plus(self.seen_challenger, challenger)
        self.waiting_champion = self.waiting_challenger = (0, 0)

    @property
    def e_value(self) -> float:
        """Return the evidence of harm now; above 1 speaks for harm."""
        return math.exp(min(self.log_e, 700.0))  # e^710 overflows

    @property
    def is_harmful(self) -> bool:
        """Say whether the evidence has ever reached 1 / alpha."""
        return self.log_e_peak >= -math.log(self.alpha)

    def _log_ratio(self, champion: Counts, challenger: Counts) -> float:
        champion_rate = _predicted(self.seen_champion)
        # Only harm is looked for: the alternative never predicts a better challenger.
        challenger_rate = max(champion_rate, _predicted(self.seen_challenger))
        n, m = champion[1], challenger[1]
        pooled = (n * champion_rate + m * challenger_rate) / (n + m)
        return _log_likelihood_ratio(champion, champion_rate, pooled) + _log_likelihood_ratio(
            challenger, challenger_rate, pooled
        )


def _checked(counts: Counts) -> Counts:
    bad, n = counts
    if not 0 <= bad <= n:
        message = f"{bad} bad outcomes of {n} is not a count"
        raise ValueError(message)
    return counts


def _plus(first: Counts, second: Counts) -> Counts:
    return first[0] + second[0], first[1] + second[1]


def _predicted(seen: Counts) -> float:
    return (seen[0] + 1) / (seen[1] + 2)


def _log_likelihood_ratio(counts: Counts, rate: float, null_rate: float) -> float:
    bad, n = counts
    return bad * math.log(rate / null_rate) + (n - bad) * math.log((1 - rate) / (1 - null_rate))
