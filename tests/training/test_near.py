"""Which rows are like rows of the other side: by the relation alone, from files, in any order."""

import random
from hashlib import sha256

import numpy as np
import pytest

from feedback.duplicates import fold, hamming, jaccard
from training.near import Match, NearIndex, Signed, TooAlike, find, index, question, rows, sign

SENTENCE = "The waiter forgot our soup twice, and the bread was cold when it came."
OTHER = "A quiet film about two brothers who inherit a lighthouse nobody wants."


class Side:
    """Rows as the database has them: texts by id, numbered from `first`."""

    def __init__(self, texts, *, first=0, pictures=None):
        self.texts = dict(enumerate(texts, first))
        self.pictures = pictures or [None] * len(texts)
        self.gone = set()

    @property
    def signed(self):
        hashes = [sha256(text.encode()).digest() for text in self.texts.values()]
        return sign(list(self.texts), hashes, list(self.texts.values()), self.pictures)

    def read(self, ids):
        return {pk: self.texts[pk] for pk in ids if pk not in self.gone}


def ask(mine, theirs, *, settle="row", among=None, without=()):
    found = find(
        mine.signed,
        theirs.signed if among is None else among,
        settle=settle,
        read_mine=mine.read,
        read_others=theirs.read,
        counts=lambda ids: ~np.isin(ids, list(without)),
    )
    return list(found)


def crowd(number, seed=1):
    """Write variants of one sentence, of which some are like each other and most nearly are."""
    chance = random.Random(seed)
    words = ["".join(random.Random(n).choices("abcdefghijklmnop", k=6)) for n in range(300)]
    texts = []
    for _ in range(number):
        changed = chance.sample(range(20), chance.randint(2, 6))
        texts.append(
            " ".join(words[chance.randrange(300) if n in changed else n] for n in range(20))
        )
    return texts


def is_like(text, other):
    return jaccard(fold(text), fold(other)) >= 0.7


ROWS, OTHERS = crowd(150), crowd(150, seed=2)
LIKE_ROWS = {text for text in ROWS if any(is_like(text, other) for other in OTHERS)}
LIKE_OTHERS = {other for other in OTHERS if any(is_like(text, other) for text in ROWS)}


def in_crowd(seed=0, **named):
    """Ask about the crowd in some order, both ways; return the texts that have a match."""
    mine = Side(random.Random(seed).sample(ROWS, len(ROWS)))
    others = Side(random.Random(seed + 1).sample(OTHERS, len(OTHERS)), first=1_000)
    by_row, by_other = (ask(mine, others, settle=side, **named) for side in ("row", "other"))
    assert len({match.row for match in by_row}) == len(by_row)
    assert len({match.other for match in by_other}) == len(by_other)
    assert all(is_like(mine.texts[m.row], others.texts[m.other]) for m in [*by_row, *by_other])
    return {mine.texts[m.row] for m in by_row}, {others.texts[m.other] for m in by_other}


def test_it_works():
    copy = SENTENCE.replace("bread", "brad")
    (match,) = ask(Side([copy]), Side([OTHER, SENTENCE], first=10))
    assert match == Match(0, 11, jaccard(fold(copy), fold(SENTENCE)), is_same=False)


def test_the_same_input_is_told_from_the_same_text():
    others = Side(["No."], first=10)
    assert ask(Side(["No."]), others) == [Match(0, 10, 1.0, is_same=True)]
    assert ask(Side(["no"]), others) == [Match(0, 10, 1.0, is_same=False)]


def test_another_sentence_is_not_like_it():
    said_otherwise = "Twice the waiter forgot about our soup, and cold bread came with it."
    assert not ask(Side([OTHER, said_otherwise]), Side([SENTENCE], first=10))


def test_short_texts_must_be_the_same_once_folded():
    found = ask(Side(["Room 12", "room 11!"]), Side(["room 11", "No."], first=10))
    assert [match[:2] for match in found] == [(1, 10)]


def test_nothing_is_like_an_empty_text():
    assert not ask(Side(["", OTHER]), Side([" ", SENTENCE], first=10))


def test_a_side_may_be_empty():
    assert not ask(Side([SENTENCE], pictures=[1]), Side([]))
    assert not ask(Side([]), Side([SENTENCE], pictures=[1]))


@pytest.mark.parametrize("settle", ["row", "other"])
def test_a_row_is_like_its_twin_but_not_like_itself(settle):
    mine = Side([SENTENCE, SENTENCE, OTHER], pictures=[None, None, 5])
    found = ask(mine, mine, settle=settle)
    assert sorted(match[:2] for match in found) == [(0, 1), (1, 0)]


def test_the_crowd_has_both_kinds():
    assert 20 < len(LIKE_ROWS) < 130
    assert 20 < len(LIKE_OTHERS) < 130


@pytest.mark.parametrize("seed", range(3))
def test_a_crowd_is_found_exactly_in_any_order(seed):
    assert in_crowd(seed) == (LIKE_ROWS, LIKE_OTHERS)


@pytest.mark.parametrize("number", [1, 7])
def test_work_in_small_steps_finds_the_same(monkeypatch, number):
    monkeypatch.setattr(rows, "SEGMENT_ROWS", 40)
    for name in ("PAIRS_AT_ONCE", "CHECKED_PAIRS", "READ_PAIRS"):
        monkeypatch.setattr(question, name, 50 * number)
    assert in_crowd() == (LIKE_ROWS, LIKE_OTHERS)


def test_all_that_are_like_a_new_row_are_found():
    alike = Side([f"{SENTENCE} {n}" for n in range(300)], first=1_000)
    found = ask(Side([SENTENCE]), alike, settle="other")
    assert {match.other for match in found} == set(alike.texts)


def test_what_does_not_count_is_no_match():
    others = Side([SENTENCE, SENTENCE + " Twice."], first=10)
    assert [match.other for match in ask(Side([SENTENCE]), others, without=[10])] == [11]
    assert not ask(Side([SENTENCE]), others, without=[10, 11])
    assert [m.other for m in ask(Side([SENTENCE]), others, settle="other", without=[10])] == [11]


def test_a_twin_speaks_for_a_text_that_is_gone():
    others = Side([SENTENCE, SENTENCE, OTHER], first=10)
    others.gone = {10}
    assert [match[:2] for match in ask(Side([SENTENCE + " Twice."]), others)] == [(0, 11)]


def test_a_text_that_is_gone_altogether_is_no_match():
    others = Side([SENTENCE], first=10)
    others.gone = {10}
    assert not ask(Side([SENTENCE + " Twice."]), others)


@pytest.mark.parametrize("cells", [1_000_000, 700])
def test_pictures_agree_with_a_count_by_hand(monkeypatch, cells):
    monkeypatch.setattr(question, "PICTURE_CELLS", cells)  # in one step, or in many
    numbers = np.random.default_rng(3)
    shown = numbers.integers(-(2**63), 2**63 - 1, size=200).tolist()
    flips = numbers.integers(12, size=200).tolist()
    changed = [value ^ (2**flip - 1) for value, flip in zip(shown, flips, strict=True)]
    mine = Side([f"a {n}" for n in range(200)], pictures=shown)
    others = Side([f"b {n}" for n in range(200)], first=500, pictures=changed)
    nearest = [min(hamming(value, other) for other in changed) for value in shown]
    found = {match.row: match.similarity for match in ask(mine, others)}
    assert found == {row: 1 - bits / 64 for row, bits in enumerate(nearest) if bits <= 6}
    assert 50 < len(found) < 150


def few_are_many(monkeypatch, pairs):
    monkeypatch.setattr(question, "CROWD_PAIRS", pairs)
    monkeypatch.setattr(question, "MOST_PAIRS", pairs)


@pytest.mark.parametrize("seed", range(2))
def test_too_many_pairs_are_refused_whatever_the_order(monkeypatch, seed):
    few_are_many(monkeypatch, 100)
    with pytest.raises(TooAlike):
        in_crowd(seed)


def test_what_is_found_otherwise_comes_before_the_refusal(monkeypatch):
    few_are_many(monkeypatch, 100)
    mine, others = Side([*ROWS, SENTENCE]), Side([*OTHERS, SENTENCE.upper()], first=1_000)
    matches = find(
        mine.signed,
        others.signed,
        settle="row",
        read_mine=mine.read,
        read_others=others.read,
        counts=lambda ids: np.ones(len(ids), bool),
    )
    assert next(matches)[:2] == (150, 1_150)
    with pytest.raises(TooAlike):
        next(matches)


def test_a_crowd_that_is_all_alike_is_not_refused(monkeypatch):
    few_are_many(monkeypatch, 100)
    alike = [f"{SENTENCE} {n}" for n in range(300)]
    assert len(ask(Side(alike[:200]), Side(alike[200:], first=1_000))) == 200


def test_first_looks_at_a_crowd_change_nothing(monkeypatch):
    monkeypatch.setattr(question, "CROWD_PAIRS", 100)
    assert in_crowd() == (LIKE_ROWS, LIKE_OTHERS)


def test_equal_texts_are_one_pair(monkeypatch):
    few_are_many(monkeypatch, question.BANDS)
    mine = Side([SENTENCE, SENTENCE.upper(), OTHER])
    others = Side([SENTENCE + "!"] * 500 + [SENTENCE + " Twice."] * 500, first=1_000)
    assert [match.row for match in ask(mine, others)] == [0, 1]


def parts_of(texts, *, first=0, number=3):
    size = -(-len(texts) // number)
    for start in range(0, len(texts), size):
        yield Side(texts[start : start + size], first=first + start).signed


def test_an_index_answers_as_rows_in_memory_do(tmp_path):
    NearIndex(tmp_path).add(1, parts_of(OTHERS, first=1_000))
    assert NearIndex(tmp_path).covered == 1
    mine, others = Side(ROWS), Side(OTHERS, first=1_000)
    found = ask(mine, others, among=NearIndex(tmp_path))
    assert {mine.texts[match.row] for match in found} == LIKE_ROWS


def test_two_indexes_are_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "SEGMENT_ROWS", 40)
    NearIndex(tmp_path / "mine").add(1, parts_of(ROWS))
    NearIndex(tmp_path / "others").add(1, parts_of(OTHERS, first=1_000))
    mine, others = Side(ROWS), Side(OTHERS, first=1_000)
    found = find(
        NearIndex(tmp_path / "mine"),
        NearIndex(tmp_path / "others"),
        settle="row",
        read_mine=mine.read,
        read_others=others.read,
        counts=lambda ids: np.ones(len(ids), bool),
    )
    assert {mine.texts[match.row] for match in found} == LIKE_ROWS


def test_many_versions_are_few_files(tmp_path):
    near = NearIndex(tmp_path)
    for version, text in enumerate(OTHERS, 1):
        near.add(version, [Side([text], first=1_000 + version).signed])
    assert near.covered == 150
    assert len(list(tmp_path.iterdir())) < 10
    found = ask(Side(OTHERS), Side(OTHERS, first=1_001), among=near)
    assert len(found) == 150


def test_a_twin_of_a_later_version_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "SEGMENT_ROWS", 1)  # no two are in one file
    near = NearIndex(tmp_path)
    near.add(1, [Side([SENTENCE], first=10).signed])
    near.add(2, [Side([SENTENCE], first=11).signed])
    twins = Side([SENTENCE, SENTENCE], first=10)
    found = ask(Side([SENTENCE + " Twice."]), twins, among=near, settle="other")
    assert sorted(match.other for match in found) == [10, 11]
    (match,) = ask(Side([SENTENCE + " Twice."]), twins, among=near, without=[10])
    assert match.other == 11


def test_a_version_that_is_added_again_replaces_what_it_had(tmp_path):
    near = NearIndex(tmp_path)
    near.add(1, [Side([SENTENCE], first=10).signed])
    near.add(2, [Side([OTHER], first=11).signed])
    near.add(2, [Side(["soup"], first=12).signed])
    mine, others = Side([SENTENCE, OTHER, "soup"]), Side([SENTENCE, OTHER, "soup"], first=10)
    assert [match[:2] for match in ask(mine, others, among=near)] == [(0, 10), (2, 12)]


def test_an_addition_that_breaks_off_leaves_what_was_there(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "SEGMENT_ROWS", 1)

    def broken():
        yield Side([OTHER], first=11).signed
        yield Side(["soup"], first=12).signed
        raise ConnectionError

    near = NearIndex(tmp_path)
    near.add(1, [Side([SENTENCE], first=10).signed])
    with pytest.raises(ConnectionError):
        near.add(2, broken())
    for there in (near, NearIndex(tmp_path)):
        assert there.covered == 1
        assert [m.other for m in ask(Side([SENTENCE, OTHER]), Side([]), among=there)] == [10]
    near.add(2, [])  # removes what was left lying
    assert len(list(tmp_path.iterdir())) == 2


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-8]),
        lambda path: path.write_bytes(b""),
    ],
)
def test_damaged_files_make_an_empty_index_that_can_be_filled_again(tmp_path, damage):
    NearIndex(tmp_path).add(3, [Side([SENTENCE], first=10).signed])
    (path,) = (path for path in tmp_path.iterdir() if path.name != index.MANIFEST)
    damage(path)
    near = NearIndex(tmp_path)
    assert near.covered == 0
    assert not ask(Side([SENTENCE]), Side([]), among=near)
    near.add(3, [Side([SENTENCE], first=10).signed])
    assert len(ask(Side([SENTENCE]), Side([]), among=NearIndex(tmp_path))) == 1


def test_a_manifest_with_any_byte_changed_makes_an_empty_index(tmp_path):
    near = NearIndex(tmp_path)
    near.add(3, [])
    manifest = tmp_path / index.MANIFEST
    sound = manifest.read_bytes()
    for place in range(len(sound)):
        manifest.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        assert NearIndex(tmp_path).covered == 0
    manifest.write_bytes(sound)
    assert NearIndex(tmp_path).covered == 3


def test_an_index_of_an_older_format_is_empty(tmp_path, monkeypatch):
    NearIndex(tmp_path).add(3, [])
    monkeypatch.setattr(index, "FORMAT", index.FORMAT + 1)
    assert NearIndex(tmp_path).covered == 0


def test_no_parts_join_to_no_rows():
    assert len(Signed.joined([]).ids) == 0
