"""Texts grouped by what they are about."""

import random

import pytest

from training.crowd import topics_of

FOOD = "soup bread waiter tea cold stale warm table"
FILMS = "plot cars actor scene slow thriller cut score"


def about(words, count):
    """Make different texts of the same few words."""
    chance = random.Random(0)
    return [" ".join(chance.choices(words.split(), k=6)) for _ in range(count)]


def test_it_works():
    topics = topics_of(about(FOOD, 150) + about(FILMS, 150)).tolist()
    assert set(topics[:150]) & set(topics[150:]) == set()
    assert len(set(topics)) == 3


@pytest.mark.parametrize(
    "texts", [[], ["a b"] * 3, [""] * 250, ["soup"] * 250, [f"w{n}" for n in range(250)]]
)
def test_what_cannot_be_grouped_is_one_group(texts):
    assert topics_of(texts).tolist() == [0] * len(texts)
