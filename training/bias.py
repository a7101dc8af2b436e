"""Where data and answers are uneven: topics, slices, shift, and the weights of strata; pure."""

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2, vq
from scipy.optimize import brentq
from scipy.sparse import csr_array, diags_array
from scipy.stats import hypergeom
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

from feedback.intervals import Interval, wilson
from training.classifiers import ONE_WORD
from training.statistics import PairedDifference, paired_difference

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Bools = NDArray[np.bool_]
Name = TypeVar("Name", bound=Hashable)

ALPHA = 0.05
LEAST_ROWS = 30  # a rate of fewer says too little
MOST_TOPICS, TOPIC_ROWS = 12, 50  # as many topics as have so many rows each, on average
FIT_ROWS = 10_000
DIMENSIONS = 20
MOST_FACTOR = 4.0  # a rare stratum weighs no more than so many times its share, nor less


class Topics:
    """Group texts by what they are about: k-means over TF-IDF in a few dimensions (LSA).

    Words count by the square of their idf: what sentences are made of tells topics badly.
    Found in at most FIT_ROWS of the texts, drawn by the seed: the same texts in the same order
    give the same topics. Languages that write no spaces between words make one topic. Each is
    called by its number and the words that tell it from the rest.
    """

    def __init__(self, texts: Sequence[str], *, seed: int) -> None:
        self.names = ["1"]
        generator = np.random.default_rng(seed)
        wanted = min(MOST_TOPICS, len(texts) // TOPIC_ROWS)
        drawn = np.sort(generator.permutation(len(texts))[:FIT_ROWS])
        self._words = TfidfVectorizer(
            token_pattern=ONE_WORD, min_df=5, max_df=0.5, max_features=5_000, sublinear_tf=True
        )
        if wanted < 2:
            return
        sample = [texts[n] for n in drawn]
        try:
            self._words.fit(sample)
        except ValueError:  # no word is in some texts, not most
            return
        weights = self._weights(sample)
        dimensions = min(DIMENSIONS, weights.shape[1])
        self._axes = randomized_svd(weights, dimensions, n_iter=2, random_state=seed)[2]
        points = self._placed(weights)
        wanted = min(wanted, len(np.unique(points, axis=0)))
        self._centres, found = kmeans2(points, wanted, iter=30, minit="++", rng=generator)
        self.names = [
            f"{topic + 1}: {' '.join(self._telling(weights, found == topic))}"
            for topic in range(wanted)
        ]

    def of(self, texts: Sequence[str]) -> Indices:
        """Return the topic of each text (n,), an index into `names`."""
        if len(self.names) == 1 or not texts:
            return np.zeros(len(texts), dtype=np.intp)
        found, _ = vq(self._placed(self._weights(texts)), self._centres)
        return np.asarray(found, dtype=np.intp)

    def named(self, texts: Sequence[str]) -> list[str]:
        return [self.names[topic] for topic in self.of(texts)]

    def _weights(self, texts: Sequence[str]) -> csr_array:
        return csr_array(self._words.transform(texts) @ diags_array(self._words.idf_))

    def _placed(self, weights: csr_array) -> Floats:
        # Rounded: what another processor adds up in another order lands in the same topic.
        return np.asarray(np.round(normalize(weights @ self._axes.T), 6))

    def _telling(self, weights: csr_array, is_inside: Bools, most: int = 3) -> list[str]:
        """Return the words that are commoner inside than outside."""
        inside = weights[is_inside].sum(axis=0) / max(1, is_inside.sum())
        more = inside - weights[~is_inside].sum(axis=0) / max(1, (~is_inside).sum())
        terms: list[str] = self._words.get_feature_names_out()[np.argsort(-more)[:most]].tolist()
        return terms


def holm(p_values: Floats) -> Floats:
    """Adjust p-values (m,) for having looked at all of them (Holm 1979, Scand. J. Stat. 6:65)."""
    order = np.argsort(p_values)
    steps = np.maximum.accumulate(p_values[order] * np.arange(p_values.size, 0, -1))
    adjusted = np.empty_like(steps)
    adjusted[order] = np.minimum(1.0, steps)
    return adjusted


def difference(first: Interval, second: Interval) -> Interval:
    """Subtract two independent proportions (Newcombe 1998, Stat. Med. 17:873, method 10)."""
    gap = first.estimate - second.estimate
    low = gap - math.hypot(first.estimate - first.low, second.high - second.estimate)
    high = gap + math.hypot(first.high - first.estimate, second.estimate - second.low)
    return Interval(gap, low, high)


def places(column: Sequence[Name | None]) -> dict[Name, Indices]:
    """Return the rows of each value of a column (n,); None is no value."""
    found: dict[Name, list[int]] = {}
    for place, value in enumerate(column):
        if value is not None:
            found.setdefault(value, []).append(place)
    return {value: np.array(rows, dtype=np.intp) for value, rows in found.items()}


@dataclass(frozen=True)
class Slice:
    """Rows that share a value, held against all other rows; `p_value` is adjusted by Holm."""

    by: str
    value: str
    n: int
    accuracy: Interval
    rest: Interval
    difference: Interval
    p_value: float

    @property
    def is_worse(self) -> bool:
        return self.p_value < ALPHA


def slices_of(
    columns: Mapping[str, Sequence[str | None]],
) -> tuple[dict[tuple[str, str], Indices], dict[str, int]]:
    """Return the rows of each slice by column and value, and how many a column has too few of.

    A slice has LEAST_ROWS of the rows (n,) or more, and not all of them.
    """
    large: dict[tuple[str, str], Indices] = {}
    too_few: Counter[str] = Counter()
    for by, column in columns.items():
        for value, rows in places(column).items():
            if rows.size < LEAST_ROWS:
                too_few[by] += 1
            elif rows.size < len(column):
                large[by, value] = rows
    return large, dict(too_few)


def judge_slices(correct: Bools, slices: Mapping[tuple[str, str], Indices]) -> list[Slice]:
    """Ask of each slice whether it is right less often than the rest; the worst is first.

    By Fisher's exact test, one-sided. `correct` is (n,), slices are rows of it.
    """
    n, right = correct.size, int(correct.sum())
    p_values = []
    rates = []
    for rows in slices.values():
        inside = int(correct[rows].sum())
        p_values.append(float(hypergeom.cdf(inside, n, right, rows.size)))
        rates.append((wilson(inside, rows.size), wilson(right - inside, n - rows.size)))
    judged = [
        Slice(by, value, rows.size, rate, rest, difference(rate, rest), p_value)
        for ((by, value), rows), (rate, rest), p_value in zip(
            slices.items(), rates, holm(np.array(p_values)).tolist(), strict=True
        )
    ]
    return sorted(judged, key=lambda s: (s.p_value, s.difference.estimate, s.by, s.value))


def fallen_slices(
    before: Bools, after: Bools, slices: Mapping[Name, Indices], margin: float
) -> dict[Name, PairedDifference]:
    """Return the slices whose rate is shown to have changed by less than `margin`, below zero.

    Holm's step-down by intervals: of m slices each is asked at 1 - ALPHA / m, and those that have
    fallen ask less of the others. `before` and `after` are (n,), slices are rows of them.
    """
    fallen: dict[Name, PairedDifference] = {}
    is_news = True
    while is_news and len(fallen) < len(slices):
        level = 1 - ALPHA / (len(slices) - len(fallen))
        asked = {
            name: paired_difference(before[rows], after[rows], level)
            for name, rows in slices.items()
            if name not in fallen
        }
        worse = {name: found for name, found in asked.items() if found.high < margin}
        fallen |= worse
        is_news = bool(worse)
    return fallen


@dataclass(frozen=True)
class Sample:
    """Values (n,) and whose each is: values of one person, or of one row, come together."""

    values: Sequence[str]
    people: Sequence[Hashable]


@dataclass(frozen=True)
class Share:
    """How common a value is in two samples; `p_value` is adjusted by Holm."""

    value: str
    first: float
    second: float
    difference: Interval  # second minus first
    p_value: float


def compare(first: Sample, second: Sample) -> list[Share]:
    """Compare how common each value is, the largest difference first.

    By Fisher's exact test on effective counts: what one person says many times counts for less.
    """
    if not first.values or not second.values:
        return []
    counts = [Counter(sample.values) for sample in (first, second)]
    names = sorted(counts[0].keys() | counts[1].keys())
    # Shares stay as they are; how many rows they stand for is what repetition takes from.
    sizes = [len(sample.values) / design_effect(sample) for sample in (first, second)]
    rates = [np.array([count[name] / count.total() for name in names]) for count in counts]
    n, m = (round(size) for size in sizes)
    one, other = (np.rint(rate * round(size)) for rate, size in zip(rates, sizes, strict=True))
    fewer = hypergeom.cdf(other, n + m, one + other, m)
    more = hypergeom.sf(other - 1, n + m, one + other, m)
    p_values = holm(np.minimum(1.0, 2 * np.minimum(fewer, more))).tolist()
    shares = []
    for name, p_value, *pair in zip(names, p_values, *(r.tolist() for r in rates), strict=True):
        before, after = (wilson(rate * size, size) for rate, size in zip(pair, sizes, strict=True))
        shares.append(Share(name, pair[0], pair[1], difference(after, before), p_value))
    return sorted(shares, key=lambda s: (-round(abs(s.second - s.first), 9), s.value))


def design_effect(sample: Sample) -> float:
    """Return how many times the variance of shares is that of independent rows, at least 1.

    The mean over values, rows clustered by person (Rao and Scott 1984, Annals of Statistics 12:46).
    """
    names: dict[str, int] = {}
    people: dict[Hashable, int] = {}
    value = np.array([names.setdefault(name, len(names)) for name in sample.values])
    person = np.array([people.setdefault(who, len(people)) for who in sample.people])
    shares = np.bincount(value) / value.size
    rows = np.bincount(person)
    pairs = np.unique(person * len(names) + value, return_counts=True)[1]
    spread = (pairs**2).sum() - 2 * (rows[person] * shares[value]).sum()
    spread += (rows**2).sum() * (shares**2).sum()
    independent = value.size * (1 - (shares**2).sum())
    if len(people) < 2 or independent <= 0:
        return 1.0
    return max(1.0, float(spread / independent * len(people) / (len(people) - 1)))


def temper(masses: Floats) -> Floats:
    """Return by what the rows of each stratum (s,) are multiplied, given what each weighs in all.

    Strata come to weigh as the square roots of their masses; factors lie within MOST_FACTOR either
    way, and their mean over what is weighed is 1.
    """
    raw = 1 / np.sqrt(masses)

    def factors(scale: float) -> Floats:
        return np.clip(scale * raw, 1 / MOST_FACTOR, MOST_FACTOR)

    def excess(scale: float) -> float:
        return float(np.average(factors(scale), weights=masses)) - 1

    return factors(brentq(excess, 1 / MOST_FACTOR / raw.max(), MOST_FACTOR / raw.min()))
