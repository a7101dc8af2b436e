"""What near-duplicates go by: folded texts, their 4-grams and signatures, difference hashes."""

from itertools import chain

import numpy as np
import pytest

from feedback import duplicates
from feedback.duplicates import fold, jaccard, signatures

SENTENCE = "The waiter forgot our soup twice, and the bread was cold when it came."


def made_up(number, words=25):
    random = np.random.default_rng(1)
    picked = random.integers(3_000, size=(number, words)).tolist()
    return [" ".join(f"w{word:x}ord" for word in row) for row in picked]


@pytest.mark.parametrize(
    "copy",
    [
        SENTENCE.upper(),
        SENTENCE.replace(",", "").rstrip("."),
        SENTENCE.replace(" ", "  ").replace("soup", "soup\n") + "!!!",
        SENTENCE.replace(",", "\N{IDEOGRAPHIC COMMA}"),
    ],
)
def test_case_punctuation_and_white_space_make_no_difference(copy):
    assert fold(copy) == fold(SENTENCE)


def test_punctuation_alone_stays():
    assert fold("?!") == "?!"


def test_letters_with_marks_and_other_scripts_stay():
    assert fold("यह फ़िल्म!") == fold("यह फ़िल्म") != fold("यह फ़िल्")
    assert fold("美味しかった。") == "美味しかった"


def test_jaccard_by_hand():
    # abcd bcde cdef | abcd bcde cdeg
    assert jaccard("abcdef", "abcdeg") == 2 / 4


def test_signatures_estimate_the_jaccard():
    texts = made_up(300)
    copies = [text[:cut] for text, cut in zip(texts, range(60, 360), strict=True)]
    agree = (signatures(texts) == signatures(copies)).mean(axis=1)
    exact = [jaccard(a, b) for a, b in zip(texts, copies, strict=True)]
    assert np.abs(agree - exact).mean() < 0.04
    assert abs(np.mean(agree - exact)) < 0.01


def test_signatures_do_not_depend_on_the_company(monkeypatch):
    texts = [*made_up(20), "no", "", "🍲" * 30]
    together = signatures(texts)
    monkeypatch.setattr(duplicates, "CHUNK_CHARS", 1)
    assert (signatures(texts) == together).all()
    assert together.shape == (23, 128)
    assert signatures([]).shape == (0, 128)


def test_a_text_longer_than_a_chunk_is_signed():
    long = " ".join(chain.from_iterable(row.split() for row in made_up(4_000)))
    assert len(long) > duplicates.CHUNK_CHARS
    alone, longer = signatures([long, long + " more"])
    assert (alone == longer).mean() > 0.98


@pytest.mark.parametrize(
    ("left", "right", "bits"),
    [(0, 0, 0), (0b1011, 0b0010, 2), (-1, 0, 64), (-1, 2**64 - 1, 0), (-(2**63), 2**63, 0)],
)
def test_hamming_counts_bits_signed_or_not(left, right, bits):
    assert duplicates.hamming(left, right) == bits
