"""Strict JSON: what enters the system is finite, bounded and plain before anything else sees it."""

import re
from typing import TypeAlias

import msgspec

JSON: TypeAlias = "str | int | float | bool | list[JSON] | dict[str, JSON] | None"

MAX_DEPTH = 32
MAX_NODES = 20_000
MAX_STRING_BYTES = 64 * 1024
MAX_ITEM_BYTES = 256 * 1024
MAX_INTEGER = 2**53

_LONG_NUMBER = re.compile(rb"\d{16}")
_HEAD = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"items"[ \t\r\n]*:[ \t\r\n]*\[')
_TAIL = re.compile(rb"\][ \t\r\n]*\}[ \t\r\n]*\Z")
_TOKEN = re.compile(
    rb'"(?:[^"\\]|\\.)*+(?:"|(?P<unclosed>\\?\Z))|(?P<opening>[\[{]+)|(?P<closing>[\]}]+)|,',
    re.DOTALL,
)

# A place in a document: the place of the parent and the key or index in it. None is the root.
_Place: TypeAlias = "tuple[_Place, str | int] | None"


class Malformed(ValueError):
    """Say where a body breaks the rules (`pointer`, RFC 6901) and which one (`detail`)."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(f"{pointer or '/'}: {detail}")
        self.pointer = pointer
        self.detail = detail


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    items: list[msgspec.Raw]


_decoder = msgspec.json.Decoder()
_batch_decoder = msgspec.json.Decoder(_Batch)


def dumps(value: object) -> bytes:
    """Encode as UTF-8 JSON."""
    return msgspec.json.encode(value)


def loads(raw: bytes) -> JSON:
    """Decode one body, or one item of a batch, and hold it to the limits above.

    Raises Malformed.
    """
    if len(raw) > MAX_ITEM_BYTES:
        raise Malformed("", f"Longer than {MAX_ITEM_BYTES} bytes.")
    value = _decode(raw)
    if not _is_plain(raw):
        _check(value)
    return value


def _is_plain(raw: bytes) -> bool:
    """Return whether a look at the bytes alone shows that a body keeps all limits.

    A value takes two bytes at least, a level one bracket, a large integer sixteen digits.
    """
    return (
        len(raw) < min(2 * MAX_NODES, MAX_STRING_BYTES)
        and raw.count(b"[") + raw.count(b"{") < MAX_DEPTH
        and b"\\u0000" not in raw
        and not _LONG_NUMBER.search(raw)
    )


def _decode(raw: bytes) -> JSON:
    try:
        value: JSON = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(error) from None
    return value


def loads_items(raw: bytes, *, max_bytes: int) -> JSON:
    """Decode a body that holds a list `items`; the limits hold for each item on its own.

    Raises Malformed, for a body with one bad item too.
    """
    if len(raw) > max_bytes:
        raise Malformed("", f"Longer than {max_bytes} bytes.")
    body = _decode(raw)
    if not isinstance(body, dict) or not isinstance(body.get("items"), list):
        raise Malformed("/items", "An object with a list `items` is needed.")
    items = body["items"]
    _check({key: value for key, value in body.items() if key != "items"})
    for number, item in enumerate(items if isinstance(items, list) else []):
        _check(item, ((None, "items"), number))
    return body


def split_items(raw: bytes, *, max_items: int) -> list[bytes]:
    """Cut `{"items": [...]}` into the bytes of each item, undecoded: one bad item harms no other.

    What no single item can be blamed for (a missing bracket) raises Malformed.
    """
    try:
        items = [bytes(item) for item in _batch_decoder.decode(raw).items]
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at ")
        raise Malformed("/items" if "items" in path else "", f"{detail}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        items = _cut(raw)
        if not all(items):
            raise _not_json(error) from None
    if len(items) > max_items:
        raise Malformed("/items", f"More than {max_items} items.")
    return items


def _not_json(error: Exception) -> Malformed:
    if isinstance(error, UnicodeDecodeError):
        return Malformed("", "Not UTF-8.")
    if isinstance(error, RecursionError):
        return Malformed("", f"Nested deeper than {MAX_DEPTH} levels.")
    return Malformed("", f"Not JSON: {error}.")


def _cut(raw: bytes) -> list[bytes]:
    """Cut by brackets and commas alone, where the decoder stumbled over the inside of an item.

    An empty piece in the result says that the envelope itself is broken.
    """
    head, tail = _HEAD.match(raw), _TAIL.search(raw)
    if head is None or tail is None:
        return [b""]
    items, depth, start = [], 0, head.end()
    for token in _TOKEN.finditer(raw, start, tail.start()):
        mark = token.group()
        if token.lastgroup == "opening":
            depth += len(mark)
        elif token.lastgroup == "closing":
            depth -= len(mark)
        elif mark == b"," and depth == 0:
            items.append(raw[start : token.start()].strip())
            start = token.end()
        if depth < 0 or token.lastgroup == "unclosed":
            return [b""]
    return [b""] if depth else [*items, raw[start : tail.start()].strip()]


def _check(root: JSON, at: _Place = None) -> None:
    """Walk the value without recursion. A container is counted before it is entered."""
    nodes = 1
    waiting: list[tuple[JSON, int, _Place]] = [(root, 1, at)]
    while waiting:
        value, depth, place = waiting.pop()
        if isinstance(value, str):
            _check_string(value, place)
        elif isinstance(value, int):
            if not -MAX_INTEGER <= value <= MAX_INTEGER:
                raise Malformed(_pointer(place), "An integer beyond 2^53 in size.")
        elif isinstance(value, list | dict):
            nodes += len(value)
            if nodes > MAX_NODES:
                raise Malformed(_pointer(place), f"More than {MAX_NODES} values in all.")
            if depth > MAX_DEPTH:
                raise Malformed(_pointer(place), f"Nested deeper than {MAX_DEPTH} levels.")
            for key, child in _children(value, place):
                waiting.append((child, depth + 1, (place, key)))


def _children(
    value: list[JSON] | dict[str, JSON], place: _Place
) -> list[tuple[int, JSON]] | list[tuple[str, JSON]]:
    if isinstance(value, list):
        return list(enumerate(value))
    for key in value:
        _check_string(key, place)
    return list(value.items())


def _check_string(text: str, place: _Place) -> None:
    if "\0" in text:
        raise Malformed(_pointer(place), "A NUL character.")
    # No character takes more than four bytes, so a short text need not be encoded to be measured.
    if len(text) > MAX_STRING_BYTES // 4 and len(text.encode()) > MAX_STRING_BYTES:
        raise Malformed(_pointer(place), f"A string longer than {MAX_STRING_BYTES} bytes.")


def _pointer(place: _Place) -> str:
    steps = []
    while place is not None:
        place, key = place
        steps.append(str(key).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{step}" for step in reversed(steps))
