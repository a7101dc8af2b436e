import hashlib
import random

import numpy as np
import pytest

from training.sethash import SetHash, row_hash


def hashes(n, name="row"):
    return [hashlib.sha256(f"{name} {i}".encode()).digest() for i in range(n)]


def hash_of(rows):
    result = SetHash()
    result.add(rows)
    return result


def test_it_works():
    rows = SetHash()
    rows.add([row_hash({"input": "Good soup.", "label": "positive"})])
    assert len(rows.state) == 2048
    assert rows.hexdigest() == hashlib.sha256(rows.state).hexdigest()


def test_no_rows_are_all_zeros():
    assert SetHash().state == bytes(2048)


def test_order_does_not_matter():
    rows = hashes(1500)
    shuffled = random.Random(1).sample(rows, len(rows))
    assert hash_of(rows).state == hash_of(shuffled).state


def test_batches_do_not_matter():
    rows = hashes(700)
    in_parts = SetHash()
    for row in rows:
        in_parts.add([row])
    assert in_parts.state == hash_of(iter(rows)).state


def test_add_then_remove_is_identity():
    kept, gone = hashes(100), hashes(600, "gone")
    rows = hash_of(kept)
    rows.add(gone)
    rows.remove(reversed(gone))
    assert rows.state == hash_of(kept).state


def test_removing_first_is_the_same():
    rows = SetHash()
    rows.remove(hashes(3))
    rows.add(hashes(5))
    assert rows.state == hash_of(hashes(5)[3:]).state


def test_it_resumes_from_its_state():
    rows = SetHash(hash_of(hashes(10)).state)
    rows.add(hashes(20)[10:])
    assert rows.state == hash_of(hashes(20)).state


def test_different_sets_differ():
    digests = {hash_of(hashes(n)).hexdigest() for n in range(20)}
    assert len(digests) == 20


def test_a_row_added_twice_counts_twice():
    assert hash_of(hashes(1) * 2).state != hash_of(hashes(1)).state


def test_one_row_is_its_shake_128():
    row = hashes(1)[0]
    assert hash_of([row]).state == hashlib.shake_128(row).digest(2048)


def test_lanes_wrap_at_two_to_the_sixteenth():
    row = hashes(1)[0]
    rows = SetHash(b"\xff" * 2048)
    rows.add([row])
    lanes = np.frombuffer(hash_of([row]).state, dtype="<u2").astype(int)
    assert np.array_equal(np.frombuffer(rows.state, dtype="<u2"), (lanes - 1) % 2**16)


def test_wrong_lengths_are_refused():
    with pytest.raises(ValueError, match="2048 bytes"):
        SetHash(b"")
    with pytest.raises(ValueError, match="32 bytes"):
        SetHash().add([b"short"])


def test_row_hash_ignores_the_order_of_keys():
    assert row_hash({"a": 1, "b": {"c": 2, "d": 3}}) == row_hash({"b": {"d": 3, "c": 2}, "a": 1})


def test_row_hash_is_sha256_of_canonical_json():
    expected = '{"input":"Crème brûlée","weight":0.25}'.encode()
    row = {"weight": 0.25, "input": "Crème brûlée"}
    assert row_hash(row) == hashlib.sha256(expected).digest()


def test_a_number_is_the_same_however_it_was_written():
    assert row_hash({"box": [10, {"x": 2}]}) == row_hash({"box": [10.0, {"x": 2.0}]})
    assert row_hash({"box": [10]}) != row_hash({"box": [10.5]})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_row_hash_refuses_what_has_no_canonical_form(value):
    with pytest.raises(ValueError, match=r"JSON|surrogates"):
        row_hash({"input": value})
