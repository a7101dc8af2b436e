"""The canonical format: one JSON object a line."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec

CHUNK_ROWS = 1_000


def write(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    encoder = msgspec.json.Encoder()
    source = iter(rows)
    while chunk := list(islice(source, CHUNK_ROWS)):
        yield encoder.encode_lines(chunk)
