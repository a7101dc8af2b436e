"""What many texts have in common, and who is honest but for a part of them."""

import numpy as np
import pytest

from feedback.trust import SILENT
from training.crowd import FEWEST_TEXTS, LEAST_HONESTY, Crowd, periods_of, settle, words_of


def test_it_works():
    texts = ["cold soup"] * FEWEST_TEXTS + ["soup, soup"] * FEWEST_TEXTS + ["a rare word"]
    assert words_of(texts).toarray().sum(axis=0).tolist() == [FEWEST_TEXTS, 2 * FEWEST_TEXTS]


@pytest.mark.parametrize("texts", [[], ["a b"] * 3, [""] * 250, [f"w{n}" for n in range(250)]])
def test_what_has_nothing_in_common_has_no_words(texts):
    assert words_of(texts).shape == (len(texts), 0)


def test_texts_are_told_apart_by_when_they_were_first_shown():
    assert periods_of(8).toarray().tolist() == np.eye(4).repeat(2, axis=0).tolist()
    assert periods_of(0).shape == (0, 4)


def test_who_is_honest_only_at_first_is_found():
    items, users, sleepers = 1_600, 40, 16
    chance = np.random.default_rng(3)
    truth, shown = chance.integers(0, 2, (2, items))
    item = np.repeat(np.arange(items), 3)
    user = np.concatenate([chance.permutation(users)[:3] for _ in range(items)])
    is_wrong = np.where((user < sleepers) & (item > 0.7 * items), 1.0, 0.05)
    believed = np.where(chance.random(item.size) < is_wrong, 1 - truth[item], truth[item])
    likely = np.where(np.eye(2)[truth] > 0, 0.6, 0.4)  # of a model that knows little
    crowd = Crowd(
        texts=[str(n) for n in range(items)],
        contributor=user,
        item=item,
        shown=shown[item],
        said=np.where(believed == shown[item], SILENT, believed),
        known=np.full(items, -1),
        contributors=users,
    )
    honesty = settle(crowd, lambda texts, _labels, _weights: likely[[*map(int, texts)]]).honesty
    assert ((honesty < LEAST_HONESTY) == (np.arange(users) < sleepers)).all()
