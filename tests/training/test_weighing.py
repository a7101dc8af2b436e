"""What rows weigh by whose they are, counted by hand."""

import numpy as np
import pytest

from training.weighing import LEAST_WEIGHT, NOBODY, speakers, weigh


def weighed(base, contributor, trust, is_new=None):
    new = np.array(is_new if is_new is not None else [False] * len(trust), dtype=bool)
    weights, how = weigh(
        np.array(base, dtype=float),
        np.array(contributor, dtype=np.intp),
        np.array(trust, dtype=float),
        new,
    )
    return weights.tolist(), how


def test_it_works():
    weights, how = weighed([1, 1, 0.5, 1], [NOBODY, 0, 0, 1], [1.0, 0.5])
    assert weights == [1, 1, 0.5, 0.5]
    assert (how.contributors, how.capped, how.newcomers_factor) == (2, 0, 1.0)


def test_one_of_many_is_capped():
    """A hundred people with one row each, and one with a hundred: 3% of 200 is 6."""
    contributor = [*range(1, 101), *[0] * 100]
    weights, how = weighed([1] * 200, contributor, [1.0] * 101)
    most = max(0.02, 3 / 101) * 200
    assert weights[0] == 1
    assert sum(weights[100:]) == pytest.approx(most)
    assert how.capped == 1


def test_a_few_contributors_may_weigh_all():
    weights, how = weighed([1] * 10, [0] * 10, [1.0])
    assert (weights, how.capped) == ([1] * 10, 0)


def test_newcomers_together_weigh_a_fifth_once_somebody_is_trusted():
    base, whose = [1] * 8 + [1] * 8, [0] * 4 + [NOBODY] * 4 + [1] * 8
    weights, how = weighed(base, whose, [1.0, 1.0], [False, True])
    assert sum(weights[8:]) / sum(weights) == pytest.approx(0.2)
    assert how.newcomers_factor == pytest.approx(0.25)


def test_where_all_are_new_nobody_is_held_back():
    weights, how = weighed([1] * 8, [0] * 4 + [1] * 4, [1.0, 1.0], [True, True])
    assert (weights, how.newcomers_factor) == ([1] * 8, 1.0)


def test_a_cap_drops_no_row():
    weights, _ = weighed([0, 1], [0, NOBODY], [1.0])
    assert weights == [LEAST_WEIGHT, 1]


def test_whoever_is_trusted_most_speaks_for_a_row():
    trust, is_new = np.array([0.5, 0.9, 1.0]), np.array([False, False, True])
    assert speakers([[0, 1, 2], [2], [], [0, 2]], trust, is_new).tolist() == [1, 2, NOBODY, 0]


def test_there_may_be_no_rows():
    assert weighed([], [], [])[0] == []
