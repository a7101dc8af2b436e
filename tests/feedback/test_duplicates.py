"""What is nearly the same: texts by their 4-grams, images by their difference hashes."""

import tracemalloc
from itertools import chain, repeat

import numpy as np
import pytest

from feedback import duplicates
from feedback.duplicates import DUPLICATE_JACCARD, Match, fold, jaccard, near_duplicates

SENTENCE = "The waiter forgot our soup twice, and the bread was cold when it came."
OTHER = "A quiet film about two brothers who inherit a lighthouse nobody wants."


def made_up(number, words=25, seed=1):
    random = np.random.default_rng(seed)
    picked = random.integers(3_000, size=(number, words)).tolist()
    return [" ".join(f"w{word:x}ord" for word in row) for row in picked]


def test_it_works():
    copy = SENTENCE.replace("bread", "brad")
    (match,) = near_duplicates([copy], [OTHER, SENTENCE])
    assert match == Match(0, 1, jaccard(fold(copy), fold(SENTENCE)))


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
    assert list(near_duplicates([copy], [SENTENCE])) == [Match(0, 0, 1.0)]


@pytest.mark.parametrize(
    "copy",
    [
        SENTENCE.replace("twice", "twcie"),
        SENTENCE.replace("forgot ", ""),
        SENTENCE.replace("bread", "bread bread"),
        SENTENCE.replace("bread", "toast"),
    ],
)
def test_a_changed_word_makes_a_near_duplicate(copy):
    (match,) = near_duplicates([copy], [SENTENCE])
    assert DUPLICATE_JACCARD <= match.similarity < 1


def test_another_sentence_is_no_duplicate():
    said_otherwise = "Twice the waiter forgot about our soup, and cold bread came with it."
    assert not list(near_duplicates([OTHER, said_otherwise], [SENTENCE]))


def test_jaccard_by_hand():
    # abcd bcde cdef | abcd bcde cdeg
    assert jaccard("abcdef", "abcdeg") == 2 / 4


def test_short_texts_must_be_the_same_once_folded():
    rows = ["Room 12", "room 11!", "no", "NO!"]
    assert list(near_duplicates(rows, ["room 11", "No."])) == [
        Match(1, 0, 1.0),
        Match(2, 1, 1.0),
        Match(3, 1, 1.0),
    ]


def test_punctuation_alone_is_compared_as_it_is():
    assert list(near_duplicates(["?!", "...", "!!"], ["!!"])) == [Match(2, 0, 1.0)]


def test_what_is_empty_is_like_nothing():
    assert not list(near_duplicates(["", "  "], ["", " "]))
    assert not list(near_duplicates([SENTENCE], []))
    assert not list(near_duplicates([], [SENTENCE]))


def test_letters_with_marks_and_other_scripts_count():
    hindi = "यह फ़िल्म बहुत अच्छी थी और मुझे इसका संगीत भी बहुत पसंद आया"
    japanese = "この店のスープはとても美味しかったのでまた来年も家族と一緒に来たいと思います"
    rows = [hindi.replace("बहुत अच्छी", "बिल्कुल बुरी"), japanese + "。", hindi + " !"]
    assert [match[:2] for match in near_duplicates(rows, [japanese, hindi])] == [(1, 0), (2, 1)]


def test_the_nearest_is_named():
    near, nearer = SENTENCE.replace("waiter", "old cook"), SENTENCE.replace("twice", "thrice")
    (match,) = near_duplicates([SENTENCE], [near, nearer])
    assert match.other == 1


def test_of_the_same_texts_the_first_is_named():
    assert list(near_duplicates([SENTENCE], [OTHER, SENTENCE, SENTENCE])) == [Match(0, 1, 1.0)]


def test_rows_are_numbered_through_all_chunks(monkeypatch):
    texts = made_up(50)
    whole = list(near_duplicates(texts, texts[::-1]))
    monkeypatch.setattr(duplicates, "CHUNK_ROWS", 7)
    assert list(near_duplicates(texts, texts[::-1])) == whole
    assert [match[:2] for match in whole] == [(n, 49 - n) for n in range(50)]


def test_signatures_estimate_the_jaccard():
    texts = made_up(300)
    copies = [text[:cut] for text, cut in zip(texts, range(60, 360), strict=True)]
    agree = (duplicates.signatures(texts) == duplicates.signatures(copies)).mean(axis=1)
    exact = [jaccard(fold(a), fold(b)) for a, b in zip(texts, copies, strict=True)]
    assert np.abs(agree - exact).mean() < 0.04
    assert abs(np.mean(agree - exact)) < 0.01


def test_signatures_do_not_depend_on_the_company(monkeypatch):
    texts = [*made_up(20), "no", "", "🍲" * 30]
    together = duplicates.signatures(texts)
    monkeypatch.setattr(duplicates, "CHUNK_CHARS", 1)
    assert (duplicates.signatures(texts) == together).all()
    assert together.shape == (23, 128)
    assert duplicates.signatures([]).shape == (0, 128)


def test_nearly_all_copies_are_found_and_nothing_else():
    texts = made_up(2_000)
    copies = [text.replace(text.split()[n % 25] + " ", "", 1) for n, text in enumerate(texts)]
    found = list(near_duplicates(copies, texts))
    assert sum(match.row == match.other for match in found) >= 1_990
    assert not list(near_duplicates(made_up(2_000, seed=2), texts))


def test_thousands_of_texts_that_are_alike_are_not_all_compared(monkeypatch):
    judged = []

    def count(left, right):
        judged.append(left)
        return jaccard(left, right)

    monkeypatch.setattr(duplicates, "jaccard", count)
    alike = [f"the order number {n:x} has not come to me, please help" for n in range(2_000)]
    found = list(near_duplicates([f"{text} now" for text in alike], alike))
    assert len(found) == 2_000
    assert len(judged) <= duplicates.CHECKED_ROWS * 2_000


def test_thousands_of_equal_texts_are_compared_once(monkeypatch):
    monkeypatch.setattr(duplicates, "jaccard", None)  # nothing is left to be judged
    assert len(list(near_duplicates([SENTENCE] * 5_000, [SENTENCE] * 5_000))) == 5_000


def test_rows_are_a_stream():
    text = SENTENCE * 30
    tracemalloc.start()
    found = sum(1 for _ in near_duplicates(repeat(text, 4_000), [text]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == 4_000
    assert peak < len(text) * 4_000 / 2


def test_a_text_longer_than_a_chunk_is_signed():
    long = " ".join(chain.from_iterable(row.split() for row in made_up(4_000)))
    assert len(long) > duplicates.CHUNK_CHARS
    (match,) = near_duplicates([long + " more"], [long])
    assert match.similarity > 0.99


@pytest.mark.parametrize(
    ("left", "right", "bits"),
    [(0, 0, 0), (0b1011, 0b0010, 2), (-1, 0, 64), (-1, 2**64 - 1, 0), (-(2**63), 2**63, 0)],
)
def test_hamming_counts_bits_signed_or_not(left, right, bits):
    assert duplicates.hamming(left, right) == bits


def test_images_within_six_bits_are_near():
    rows = [0b111111, 0b1111111, -1]
    assert list(duplicates.near_images(rows, [0, -4])) == [
        Match(0, 0, 1 - 6 / 64),
        Match(2, 1, 1 - 2 / 64),
    ]
    assert not list(duplicates.near_images(rows, []))


def test_images_agree_with_a_count_by_hand(monkeypatch):
    random = np.random.default_rng(3)
    rows = random.integers(-(2**63), 2**63 - 1, size=400).tolist()
    others = [
        row ^ (2 ** int(bits) - 1)
        for row, bits in zip(rows, random.integers(0, 12, 400), strict=True)
    ]
    monkeypatch.setattr(duplicates, "CHUNK_CHARS", 2_000)  # in many steps
    found = list(duplicates.near_images(rows, others))
    nearest = [
        min((duplicates.hamming(row, other), n) for n, other in enumerate(others)) for row in rows
    ]
    assert found == [Match(r, n, 1 - bits / 64) for r, (bits, n) in enumerate(nearest) if bits <= 6]
    assert 150 < len(found) < 350
