"""How far contributors can be trusted, by what they said and left unsaid; pure.

Whoever was shown an answer believes one label to be right. The honest believe the truth in nine
cases of ten; to the blind every label is as good as another. A belief is voiced at rates of that
person's own: some approve what is right, most speak only when they disagree. An act, silence too,
counts for honesty as far as it is likelier for the honest than for the blind. The truth of an item
is known from a model that did not learn from it, from the other people who were shown it (Dawid
and Skene, 1979, "Maximum likelihood estimation of observer error-rates"), and from audits.

Whoever approves everything looks honest as far as the answers are right: that is not found.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
SILENT, ANOTHER = -1, -2  # said nothing; said that it is wrong, not what is right
HONEST_ACCURACY = 0.9
ROUNDS = 10
FIRST_HONESTY = 0.8
# A person's own rates of speaking begin at those of all, as if so many answers were known.
PRIOR_EXPOSURES = 5.0
LEAST_SILENCE = 0.1  # what weighs less may as well be chance
LEAST_PROBABILITY = 0.001  # of a label: neither model nor audit is surer than this
MOST_EVIDENCE = 40.0  # in nats; more is no surer
# Some are wrong about one thing only, a word or a time. What people are less often right about than
# chance explains (in standard deviations) is looked at by itself; so many things at most, one after
# the other, and only whoever was shown enough of it is judged by it.
MOST_SUSPECT, SUSPECT_BELOW, FEWEST_SUSPECT = 5, -5.0, 2
# Of all contributors: where most were bad, what they say would be the truth.
BAD_SHARES = (0.005, 0.5)


@dataclass(frozen=True, eq=False)
class Exposures:
    """Who was shown which answer and what they said: n exposures of m items, k labels, by index.

    `about` (m, t) has 1 where an item has a word or is of a time, else 0; `likely` (m, k) is what a
    model that did not learn from an item thinks of it, or 1 / k; `known` (m,) is the label that an
    audit found, or -1.
    """

    contributor: Indices
    item: Indices
    about: csr_array
    shown: Indices
    said: Indices
    likely: Floats
    known: Indices


@dataclass(frozen=True)
class Regime:
    """How often the honest voice that an answer is right, and that it is wrong: 0 to 1."""

    approving: float
    disagreeing: float

    @property
    def silence_weight(self) -> float:
        """Return what silence says for an answer: 0 nothing, 1 as much as approval.

        By Bayes' rule from even odds; 0 where people speak about as often whether it is right or
        not.
        """
        unvoiced = 2 - self.disagreeing - self.approving
        weight = (self.disagreeing - self.approving) / unvoiced if unvoiced else 0.0
        return weight if weight >= LEAST_SILENCE else 0.0


@dataclass(frozen=True, eq=False)
class Scores:
    """What is thought of each contributor (c,), of each item (m, k), and of how people react.

    `evidence` is the logarithm of how much likelier the acts are for the honest than for the
    blind; `honesty` the probability that follows, the share of the honest among all being
    estimated with it.
    """

    evidence: Floats
    honesty: Floats
    truth: Floats
    regime: Regime


def score(exposures: Exposures, contributors: int) -> Scores:
    """Weigh the acts of all contributors against each other."""
    acts = _Acts(exposures, contributors)
    honesty = np.full(contributors, FIRST_HONESTY)
    truth = _normalised(acts.prior)[exposures.item]
    for _ in range(ROUNDS):
        regime = acts.regime(truth, honesty)
        if_honest = acts.likelihood(HONEST_ACCURACY, truth, regime)
        if_blind = acts.likelihood(1 / acts.labels, truth, regime)
        heard = np.log(honesty[exposures.contributor, None] * (if_honest - if_blind) + if_blind)
        of_items = acts.prior + _sums(heard, exposures.item, len(acts.prior))
        # Nobody is judged by what they said themselves.
        own = _sums(heard, acts.pair, acts.pair.max(initial=-1) + 1)
        truth = _normalised(of_items[exposures.item] - own[acts.pair])
        gained = np.log((truth * if_honest).sum(axis=1) / (truth * if_blind).sum(axis=1))
        evidence = _sum(gained, exposures.contributor, contributors)
        honesty = acts.honesty_by_thing(_honesty(evidence), gained)
    return Scores(evidence, honesty, _normalised(of_items), regime)


class _Acts:
    """The exposures, with what stays the same while scores change."""

    def __init__(self, exposures: Exposures, contributors: int) -> None:
        items, self.labels = exposures.likely.shape
        self.of, self.contributors = exposures, contributors
        self.is_approval = exposures.said == exposures.shown
        self.is_contrary = ~self.is_approval & (exposures.said != SILENT)
        pairs = exposures.contributor * items + exposures.item
        distinct, self.pair = np.unique(pairs, return_inverse=True)
        # Where one person alone contradicts a model, either may be wrong about the thing.
        has_others = np.bincount(distinct % max(items, 1), minlength=items) > 1
        self.is_settled = (has_others | (exposures.known >= 0))[exposures.item]
        likely = exposures.likely.clip(LEAST_PROBABILITY, 1.0)
        audited = np.flatnonzero(exposures.known >= 0)
        likely[audited] = LEAST_PROBABILITY
        likely[audited, exposures.known[audited]] = 1.0
        self.prior = np.log(likely)

    def regime(self, truth: Floats, honesty: Floats) -> Regime:
        """Measure how often the honest speak; `truth` (n, k) is what is thought of each item."""
        weight = honesty[self.of.contributor]
        agreeing = weight * (truth * self._agreement(HONEST_ACCURACY)).sum(axis=1)
        return Regime(
            _ratio(weight[self.is_approval].sum(), agreeing.sum()),
            _ratio(weight[self.is_contrary].sum(), weight.sum() - agreeing.sum()),
        )

    def likelihood(self, accuracy: float, truth: Floats, regime: Regime) -> Floats:
        """Return the probability of each act by what is true (n, k), for somebody so accurate."""
        agreement = self._agreement(accuracy)
        approving, disagreeing = self._own_rates((truth * agreement).sum(axis=1), regime)
        silent = agreement * (1 - approving) + (1 - agreement) * (1 - disagreeing)
        acts = np.where(self.is_approval[:, None], agreement * approving, silent)
        contrary = self.is_contrary
        belief = 1 - agreement[contrary]
        said = self.of.said[contrary]
        names = said != ANOTHER
        belief[names] = _beliefs(accuracy, said[names], self.labels)
        acts[contrary] = belief * disagreeing[contrary]
        return acts

    def honesty_by_thing(self, honesty: Floats, gained: Floats) -> Floats:
        """Lower the honesty (c,) of who is honest but where an item is about one thing."""
        found = honesty.copy()
        for _ in range(MOST_SUSPECT):
            is_fair = self.is_settled & (found >= 0.5)[self.of.contributor]
            is_suspect = self._suspect(gained, is_fair)
            if not is_suspect.any():
                break
            whose = self.of.contributor[is_suspect]
            evidence = _sum(gained[is_suspect], whose, self.contributors)
            who = np.flatnonzero(np.bincount(whose) >= FEWEST_SUSPECT)
            # Too little is known of one thing to estimate how many are bad there.
            found[who] = np.minimum(found[who], _probable(evidence[who], 1 - FIRST_HONESTY))
        return found

    def _suspect(self, gained: Floats, is_fair: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which fair exposures (n,) are about what people are most often wrong about."""
        of = self.of
        expected = gained[is_fair].mean() if is_fair.any() else 0.0
        by_item = _sum((gained - expected)[is_fair], of.item[is_fair], len(self.prior))
        deviation = np.sqrt(of.about.T @ by_item**2)
        scores = (of.about.T @ by_item) / np.maximum(deviation, LEAST_PROBABILITY)
        if scores.min(initial=0.0) > SUSPECT_BELOW:
            return np.zeros_like(is_fair)
        is_about = of.about[:, [int(scores.argmin())]].toarray()[:, 0] > 0
        return np.asarray(is_fair & is_about[of.item])

    def _agreement(self, accuracy: float) -> Floats:
        """Return how probable it is to believe the shown label, by what is true (n, k)."""
        return _beliefs(accuracy, self.of.shown, self.labels)

    def _own_rates(self, agreeing: Floats, regime: Regime) -> tuple[Floats, Floats]:
        """Return how often each act's contributor voices (dis)agreement (n, 1), if so accurate."""
        rates = []
        for is_voiced, felt, usual in (
            (self.is_approval, agreeing, regime.approving),
            (self.is_contrary, 1 - agreeing, regime.disagreeing),
        ):
            who, n = self.of.contributor, self.contributors
            voiced = np.bincount(who[is_voiced], minlength=n) + PRIOR_EXPOSURES * usual
            rate = voiced / (np.bincount(who, felt, minlength=n) + PRIOR_EXPOSURES)
            rates.append(rate.clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)[who, None])
        return rates[0], rates[1]


def _beliefs(accuracy: float, labels: Indices, of: int) -> Floats:
    """Return the probability to believe each of the labels, by what is true (n, k)."""
    beliefs = np.full((labels.size, of), (1 - accuracy) / (of - 1))
    beliefs[np.arange(labels.size), labels] = accuracy
    return beliefs


def _honesty(evidence: Floats) -> Floats:
    """Return each contributor's probability of being honest, with the share that fits all."""
    bad = 1 - FIRST_HONESTY
    for _ in range(100):
        honesty = _probable(evidence, bad)
        bad = float(np.clip(1 - honesty.mean(), *BAD_SHARES)) if honesty.size else bad
    return honesty


def _probable(evidence: Floats, bad: float) -> Floats:
    """Return the probability of being honest by Bayes' rule, where that share of all is bad."""
    odds = np.exp(evidence.clip(-MOST_EVIDENCE, MOST_EVIDENCE)) * (1 - bad)
    return np.asarray(odds / (odds + bad), dtype=np.float64)


def _sum(values: Floats, groups: Indices, count: int) -> Floats:
    """Sum values (n,) by group: (count,)."""
    return np.bincount(groups, values, minlength=count).astype(np.float64)


def _sums(values: Floats, groups: Indices, count: int) -> Floats:
    """Sum rows (n, k) by group: (count, k)."""
    return np.stack([_sum(column, groups, count) for column in values.T], axis=1)


def _normalised(logarithms: Floats) -> Floats:
    shares = np.exp(logarithms - logarithms.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float64)


def _ratio(part: float, whole: float) -> float:
    return float(min(1.0, part / whole)) if whole > 0 else 0.0
