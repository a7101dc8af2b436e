"""How often moderators say the same, beyond what chance would bring."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

Z = NormalDist().inv_cdf(0.975)  # of an interval of 95%


class Pairs(NamedTuple):
    """How often the first and the second of two judges said yes or no of the same thing."""

    yes_yes: int = 0
    yes_no: int = 0
    no_yes: int = 0
    no_no: int = 0

    def plus(self, other: "Pairs") -> "Pairs":
        return Pairs(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    @property
    def turned(self) -> "Pairs":
        """The same pairs, the second judge taken for the first."""
        return self._replace(yes_no=self.no_yes, no_yes=self.yes_no)


@dataclass(frozen=True)
class Agreement:
    """Cohen's kappa with its interval: 1 is always the same, 0 what chance alone would bring.

    It is None where both judges always said one and the same, which chance explains as well.
    """

    n: int
    same: int
    kappa: float | None
    low: float = 0.0
    high: float = 0.0


def cohen_kappa(pairs: Pairs) -> Agreement:
    """Compute kappa and its interval from the counts of pairs.

    Cohen 1960, "A coefficient of agreement for nominal scales"; the standard error of a kappa
    that need not be 0 is of Fleiss, Cohen and Everitt 1969, "Large sample standard errors of kappa
    and weighted kappa". It is 0 where no two differed: then the interval says nothing.
    """
    n, same = sum(pairs), pairs.yes_yes + pairs.no_no
    if n == 0:
        return Agreement(0, 0, None)
    both, only_first, only_second, neither = (count / n for count in pairs)
    first, second = both + only_first, both + only_second  # how often each says yes
    seen = both + neither
    by_chance = first * second + (1 - first) * (1 - second)
    if by_chance == 1:
        return Agreement(n, same, None)
    kappa = (seen - by_chance) / (1 - by_chance)
    agreeing = both * ((1 - by_chance) - (first + second) * (1 - seen)) ** 2
    agreeing += neither * ((1 - by_chance) - (2 - first - second) * (1 - seen)) ** 2
    # A cell is weighed by how often the second says what the first said, and the other way round.
    differing = only_first * (second + 1 - first) ** 2 + only_second * (1 - second + first) ** 2
    spread = agreeing + (1 - seen) ** 2 * differing
    spread -= (seen * by_chance - 2 * by_chance + seen) ** 2
    half = Z * math.sqrt(max(0.0, spread) / n) / (1 - by_chance) ** 2
    return Agreement(n, same, kappa, max(-1.0, kappa - half), min(1.0, kappa + half))
