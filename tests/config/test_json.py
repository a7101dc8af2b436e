import pytest

from config.json import MAX_NODES, Malformed, dumps, loads, split_items


def test_it_works():
    assert loads(b'{"a": [1, -2.5, true, null, "\xc3\xa9 \\ud83d\\ude00"]}') == {
        "a": [1, -2.5, True, None, "é 😀"]
    }


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"NaN",
        b"[Infinity]",
        b"1e999",
        b"[-1e999]",
        b'\xef\xbb\xbf{"a": 1}',
        b'"\xff"',
        b'{"a": 1}'.decode().encode("utf-16"),
        b'"\\u0000"',
        b'{"\\u0000": 1}',
        b'"\x00"',
        b'"\\ud800"',
        b'"\\udc00 tail"',
        b'"\xed\xa0\x80"',
        b"{'a': 1}",
        b"[1,]",
        b"1 2",
        b"[" * 100_000,
        b"[" * 5_000 + b"]" * 5_000,
        b"9007199254740993",
        b"-9007199254740993",
    ],
)
def test_what_is_not_plain_json_is_refused(raw):
    with pytest.raises(Malformed):
        loads(raw)


def test_depth_is_allowed_up_to_32():
    assert loads(b"[" * 32 + b"]" * 32)
    with pytest.raises(Malformed, match="32 levels"):
        loads(b"[" * 33 + b"]" * 33)


def test_nodes_are_allowed_up_to_20_000():
    assert loads(dumps([0] * (MAX_NODES - 1)))
    with pytest.raises(Malformed, match="20000 values"):
        loads(dumps([0] * MAX_NODES))


def test_strings_are_measured_in_utf8_bytes():
    assert loads(dumps("é" * 32_768))
    with pytest.raises(Malformed, match="65536 bytes"):
        loads(dumps("é" * 32_769))
    with pytest.raises(Malformed, match="65536 bytes"):
        loads(dumps({"k" * 65_537: 1}))


def test_an_item_longer_than_256_kib_is_refused():
    with pytest.raises(Malformed, match="262144"):
        loads(dumps(["x" * 60_000] * 5))


def test_integers_are_exact_up_to_two_to_the_53():
    assert loads(b"[9007199254740992, -9007199254740992]") == [2**53, -(2**53)]


def test_the_pointer_names_the_place():
    with pytest.raises(Malformed) as caught:
        loads(b'{"a/b": [0, {"c~d": "\\u0000"}]}')
    assert caught.value.pointer == "/a~1b/1/c~0d"
    assert caught.value.detail == "A NUL character."


def test_a_batch_is_cut_without_being_judged():
    raw = b'{"items": [{"a": 1}, 1e999, "\\ud800", "\xff", "\\u0000", 7]}'
    items = split_items(raw, max_items=10)
    assert items == [b'{"a": 1}', b"1e999", b'"\\ud800"', b'"\xff"', b'"\\u0000"', b"7"]
    assert loads(items[0]) == {"a": 1}
    for bad in items[1:5]:
        with pytest.raises(Malformed):
            loads(bad)


@pytest.mark.parametrize(
    "deep",
    [b"[" * 5_000 + b"]" * 5_000, b'{"]":' * 5_000 + b'"[\\""' + b"}" * 5_000],
)
def test_an_item_nested_without_end_harms_no_other(deep):
    raw = b'{"items": [{"a": "}]"}, ' + deep + b", [[2]], " + deep + b"]}"
    items = split_items(raw, max_items=10)
    assert [items[0], items[2]] == [b'{"a": "}]"}', b"[[2]]"]
    for bad in (items[1], items[3]):
        with pytest.raises(Malformed, match="32 levels"):
            loads(bad)


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        (b"[]", ""),
        (b"{}", ""),
        (b'{"items": 1}', "/items"),
        (b'{"items": [], "more": 1}', ""),
        (b'{"items": [1, 2, 3, 4]}', "/items"),
        (b'{"items": [1, 2', ""),
        (b'{"items": [' + b"[" * 5_000, ""),
        (b'\xef\xbb\xbf{"items": []}', ""),
        (b'{"items\xff": []}', ""),
    ],
)
def test_a_broken_envelope_is_refused_whole(raw, pointer):
    with pytest.raises(Malformed) as caught:
        split_items(raw, max_items=3)
    assert caught.value.pointer == pointer


def test_dumps_writes_utf8():
    assert dumps({"a": "é"}) == b'{"a":"\xc3\xa9"}'
