"""Slices, shift, topics and strata, against planted differences and figures worked by hand."""

import numpy as np
import pytest

from feedback.intervals import wilson
from training.bias import (
    LEAST_ROWS,
    MOST_FACTOR,
    Sample,
    Topics,
    compare,
    design_effect,
    difference,
    fallen_slices,
    holm,
    judge_slices,
    slices_of,
    temper,
)

FOOD = ["soup", "bread", "salad", "waiter", "menu"]
PHONES = ["battery", "screen", "charger", "keypad", "signal"]


def texts_about(words, n, seed=0):
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(words, 3)) + f" {place}" for place in range(n)]


def sample(values, people=None):
    return Sample(values, range(len(values)) if people is None else people)


def test_it_works():
    """One locale of five is right in 60%, the others in 80%."""
    draw = np.random.default_rng(0)
    locale = np.repeat(["de", "en", "es", "fr", "ro"], 200)
    correct = draw.random(1000) < np.where(locale == "de", 0.6, 0.8)
    slices, too_few = slices_of({"locale": locale.tolist()})
    worst, *others = judge_slices(correct, slices)
    assert (worst.by, worst.value, worst.n, worst.is_worse) == ("locale", "de", 200, True)
    assert worst.difference.low < -0.2 < worst.difference.high < 0
    assert [other.is_worse for other in others] == [False] * 4
    assert too_few == {}


def test_where_nothing_is_worse_hardly_anything_is_found():
    """At most one holdout in twenty; of 3,000 it was 3.3%."""
    draw = np.random.default_rng(1)
    found = 0
    for _ in range(200):
        columns = {name: draw.choice(list("abcdef"), 600).tolist() for name in ("one", "other")}
        slices, _ = slices_of(columns)
        found += judge_slices(draw.random(600) < 0.8, slices)[0].is_worse
    assert found <= 10


def test_what_has_too_few_rows_is_counted_only():
    column = ["a"] * LEAST_ROWS + ["b"] * (LEAST_ROWS - 1) + [None] * 50
    slices, too_few = slices_of({"locale": column})
    assert list(slices) == [("locale", "a")]
    assert too_few == {"locale": 1}


def test_all_rows_are_no_slice():
    assert slices_of({"month": ["2026-10"] * 100}) == ({}, {})


def test_no_slices_are_no_error():
    assert judge_slices(np.ones(5, dtype=bool), {}) == []


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.9])) == pytest.approx([0.04, 0.09, 0.09, 0.9])


def test_the_difference_of_the_paper():
    """Newcombe (1998), table II, method 10: 56 of 70 against 48 of 80."""
    found = difference(wilson(56, 70), wilson(48, 80))
    assert (found.estimate, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_a_shift_is_found_with_its_size():
    trained, served = ["neg"] * 300 + ["pos"] * 300, ["neg"] * 300 + ["pos"] * 700
    first, _ = compare(sample(trained), sample(served))
    assert (first.value, first.first, first.second) == ("neg", 0.5, 0.3)
    assert first.p_value < 0.001
    assert first.difference.low < -0.2 < first.difference.high < -0.1


def test_the_same_shares_are_no_shift():
    shares = compare(sample(["neg", "pos"] * 50), sample(["neg", "pos"] * 500))
    assert [share.p_value for share in shares] == [1.0, 1.0]


def test_one_who_says_much_is_no_crowd():
    """Forty people say one thing 25 times each; read as a thousand rows it would be a shift."""
    people = np.repeat(np.arange(40), 25).tolist()
    served = ["neg"] * 650 + ["pos"] * 350
    trained = sample(["neg", "pos"] * 500)
    assert compare(trained, sample(served))[0].p_value < 0.001
    found = compare(trained, sample(served, people))[0]
    assert found.p_value > 0.05
    assert abs(found.difference.estimate) == pytest.approx(0.15)


def test_the_effect_of_people_who_repeat_themselves():
    people = np.repeat(np.arange(50), 10).tolist()
    values = np.repeat(["a", "b"] * 25, 10).tolist()
    assert design_effect(sample(values, people)) == pytest.approx(10 * 50 / 49)
    assert design_effect(sample(values)) == pytest.approx(500 / 499)


def test_nothing_to_compare():
    assert compare(sample([]), sample(["neg"])) == []


def test_texts_are_grouped_by_what_they_are_about():
    texts = texts_about(FOOD, 200) + texts_about(PHONES, 200)
    topics = Topics(texts, seed=0).of(texts)
    assert not set(topics[:200]) & set(topics[200:])


def test_topics_are_called_by_their_words():
    texts = texts_about(FOOD, 60) + texts_about(PHONES, 60)
    topics = Topics(texts, seed=0)
    food, phones = topics.named([texts[0], texts[-1]])
    assert set(food.split()[1:]) < set(FOOD)
    assert set(phones.split()[1:]) < set(PHONES)


def test_a_few_texts_said_often_are_so_many_topics():
    texts = ["the red soup", "the blue bread", "a green salad"] * 60
    assert len(set(Topics(texts, seed=0).of(texts))) == 3


def test_the_same_texts_have_the_same_topics():
    texts = texts_about(FOOD + PHONES, 300)
    first, second = (Topics(texts, seed=7) for _ in range(2))
    assert first.names == second.names
    assert first.of(texts).tolist() == second.of(texts).tolist()


@pytest.mark.parametrize(
    "texts",
    [[], ["one"] * 5, [""] * 200, ["same words"] * 200, [f"word{n}" for n in range(200)]],
    ids=["none", "few", "empty", "equal", "unlike"],
)
def test_texts_that_make_no_groups_are_one_topic(texts):
    topics = Topics(texts, seed=0)
    assert topics.named(texts) == ["1"] * len(texts)


def test_strata_weigh_as_square_roots():
    masses = np.array([100.0, 400.0, 900.0])
    factors = temper(masses)
    assert masses * factors / (masses * factors)[0] == pytest.approx([1, 2, 3])
    assert np.average(factors, weights=masses) == pytest.approx(1)


def test_factors_are_bounded():
    masses = np.array([1.0, 10.0, 1e6])
    factors = temper(masses)
    assert factors.max() <= MOST_FACTOR
    assert factors.min() >= 1 / MOST_FACTOR
    assert np.average(factors, weights=masses) == pytest.approx(1)


def test_a_single_stratum_changes_nothing():
    assert temper(np.array([7.0])) == pytest.approx([1])


def right_but(*wrong, n=400):
    correct = np.ones(n, dtype=bool)
    correct[list(wrong)] = False
    return correct


HALVES = {"first": np.arange(200), "second": np.arange(200, 400)}


def test_a_slice_that_fell_is_found():
    fallen = fallen_slices(right_but(), right_but(*range(40)), HALVES, -0.02)
    assert list(fallen) == ["first"]
    assert fallen["first"].estimate == -0.2
    assert fallen["first"].high < -0.02


def test_less_than_the_margin_is_no_fall():
    assert fallen_slices(right_but(), right_but(*range(3)), HALVES, -0.02) == {}


def test_what_has_fallen_asks_less_of_the_others():
    """Ten of 200 are shown to be more than two points only where no other slice is asked."""
    little, both = range(200, 210), [*range(40), *range(200, 210)]
    assert fallen_slices(right_but(), right_but(*little), HALVES, -0.02) == {}
    assert set(fallen_slices(right_but(), right_but(*both), HALVES, -0.02)) == {"first", "second"}
