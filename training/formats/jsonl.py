"""The canonical format: JSON Lines (jsonlines.org), one object a line, in UTF-8."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec

from training.formats.base import About, Row

CHUNK_ROWS = 200
# Plain in JSON, but many readers of text end a line there.
_LINE_ENDS = {
    character.encode(): f"\\u{ord(character):04x}".encode()
    for character in ("\x85", "\u2028", "\u2029")
}


def write(rows: Iterable[Row], about: About) -> Iterator[bytes]:
    return lines(rows)


def lines(values: Iterable[Any]) -> Iterator[bytes]:
    """Yield pieces of whole lines, each line one value; no line has another line end in it."""
    encoder = msgspec.json.Encoder()
    source = iter(values)
    while chunk := list(islice(source, CHUNK_ROWS)):
        piece = encoder.encode_lines(chunk)
        for character, escape in _LINE_ENDS.items():
            piece = piece.replace(character, escape)
        yield piece


def array(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Make pieces of whole lines, each line a value, one JSON array."""
    start = b"[\n"
    for piece in pieces:
        yield start + piece[:-1].replace(b"\n", b",\n")  # no line end stands within a value
        start = b",\n"
    yield b"[]" if start == b"[\n" else b"\n]"
