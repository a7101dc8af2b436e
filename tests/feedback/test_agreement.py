"""Cohen's kappa and its interval, against scikit-learn, repeated draws and a count by hand."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from feedback.agreement import Pairs, cohen_kappa


def drawn(chance, rates, n):
    """Draw pairs of verdicts whose four combinations are so frequent."""
    return Pairs(*chance.multinomial(n, rates).tolist())


def said(pairs):
    """Return what each of the two said, one pair after the other."""
    return np.repeat([1, 1, 0, 0], pairs), np.repeat([1, 0, 1, 0], pairs)


def test_it_works():
    """By hand: 0.7 are the same, 0.5 x 0.6 + 0.5 x 0.4 = 0.5 by chance."""
    found = cohen_kappa(Pairs(yes_yes=20, yes_no=5, no_yes=10, no_no=15))
    assert (found.n, found.same) == (50, 35)
    assert found.kappa == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    agreeing = 0.4 * (0.5 - 1.1 * 0.3) ** 2 + 0.3 * (0.5 - 0.9 * 0.3) ** 2
    differing = 0.1 * (0.6 + 0.5) ** 2 + 0.2 * (0.4 + 0.5) ** 2
    spread = agreeing + 0.3**2 * differing - (0.7 * 0.5 - 2 * 0.5 + 0.7) ** 2
    half = 1.959964 * (spread / 50) ** 0.5 / 0.5**2
    assert (found.low, found.high) == pytest.approx((0.4 - half, 0.4 + half))


@pytest.mark.parametrize("seed", range(10))
def test_it_is_the_kappa_of_scikit_learn(seed):
    chance = np.random.default_rng(seed)
    pairs = drawn(chance, chance.dirichlet([2, 1, 1, 2]), 80)
    assert cohen_kappa(pairs).kappa == pytest.approx(cohen_kappa_score(*said(pairs)))


def test_the_interval_holds_the_true_kappa_as_often_as_it_says():
    chance, rates = np.random.default_rng(1), (0.7, 0.05, 0.15, 0.1)
    true = cohen_kappa(Pairs(7_000, 500, 1_500, 1_000)).kappa
    found = [cohen_kappa(drawn(chance, rates, 300)) for _ in range(2_000)]
    assert np.mean([one.low <= true <= one.high for one in found]) == pytest.approx(0.95, abs=0.015)


def test_who_comes_first_does_not_matter():
    pairs = Pairs(20, 5, 10, 15)
    assert pairs.turned == Pairs(20, 10, 5, 15)
    assert cohen_kappa(pairs.turned) == cohen_kappa(pairs)


@pytest.mark.parametrize("pairs", [Pairs(), Pairs(yes_yes=40), Pairs(no_no=40)])
def test_where_all_said_one_thing_there_is_no_kappa(pairs):
    found = cohen_kappa(pairs)
    assert (found.kappa, found.n) == (None, found.same)


def test_judges_who_never_agree_are_below_chance():
    assert cohen_kappa(Pairs(yes_no=20, no_yes=20)).kappa == -1
