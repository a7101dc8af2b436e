import hashlib

from feedback.normalise import content_hash, normalise, split_of


def test_it_works():
    assert normalise("  The\u00a0Soup\n was GREAT ") == "the soup was great"


def test_unicode_forms_are_one():
    assert normalise("Cafe\u0301") == normalise("CAFÉ") == "café"
    assert normalise("ǰ") == normalise(normalise("ǰ"))


def test_objects_are_json_with_sorted_keys():
    assert normalise({"b": " X  y", "a": 1}) == '{"a":1,"b":"x y"}'
    assert content_hash({"b": 1, "a": 2}) == content_hash({"a": 2, "b": 1})


def test_other_words_are_other_content():
    assert content_hash("good") != content_hash("good!")


def test_the_hash_is_plain_sha256():
    assert content_hash("Good ") == hashlib.sha256(b"good").digest()


def test_the_split_is_a_fifth():
    assert split_of(bytes(32)) == "holdout"
    assert split_of(b"\x33" + bytes(31)) == "holdout"
    assert split_of(b"\x34" + bytes(31)) == "train"
    held = sum(split_of(content_hash(f"text {n}")) == "holdout" for n in range(5_000))
    assert 900 < held < 1_100
