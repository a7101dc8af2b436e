"""What many texts have in common."""

import pytest

from training.crowd import FEWEST_TEXTS, words_of


def test_it_works():
    texts = ["cold soup"] * FEWEST_TEXTS + ["soup, soup"] * FEWEST_TEXTS + ["a rare word"]
    assert words_of(texts).toarray().sum(axis=0).tolist() == [FEWEST_TEXTS, 2 * FEWEST_TEXTS]


@pytest.mark.parametrize("texts", [[], ["a b"] * 3, [""] * 250, [f"w{n}" for n in range(250)]])
def test_what_has_nothing_in_common_has_no_words(texts):
    assert words_of(texts).shape == (len(texts), 0)
