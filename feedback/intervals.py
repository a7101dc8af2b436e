"""The interval of a share: how sure it is, from how many were counted."""

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Interval:
    """Hold an estimate with its two-sided confidence limits."""

    estimate: float
    low: float
    high: float


def wilson(successes: float, n: float, level: float = 0.95) -> Interval:
    """Compute the score interval of a proportion (Wilson 1927, JASA 22:209).

    Counts may be effective ones, where rows hang together: they need not be whole.
    Raises ValueError unless 0 <= successes <= n and n > 0.
    """
    if not 0 <= successes <= n or n == 0:
        message = f"{successes} successes of {n} is not a proportion"
        raise ValueError(message)
    z_squared = NormalDist().inv_cdf(0.5 + level / 2) ** 2
    rate = successes / n
    centre = (rate + z_squared / (2 * n)) / (1 + z_squared / n)
    variance = rate * (1 - rate) / n + z_squared / (4 * n * n)
    half = math.sqrt(z_squared * variance) / (1 + z_squared / n)
    # Rounding may push a limit past a rate of 0 or 1, where it is exact.
    return Interval(rate, min(rate, centre - half), max(rate, centre + half))
