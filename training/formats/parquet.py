"""Parquet, by pyarrow; values that are not strings or numbers are JSON text."""

import io
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

GROUP_ROWS = 10_000
SCHEMA = pa.schema(
    [
        ("input", pa.string()),
        ("output", pa.string()),
        ("weight", pa.float64()),
        ("split", pa.string()),
        ("case", pa.string()),
        ("source", pa.string()),
        ("signal", pa.string()),
    ]
)


class _Sink(io.RawIOBase):
    """A file that keeps only what was not taken yet, and still knows its position."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self.pieces.append(piece)
        self.position += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self.position

    def take(self) -> bytes:
        data, self.pieces = b"".join(self.pieces), []
        return data


def write(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """Yield the file piece by piece, a row group at a time."""
    source = iter(rows)
    sink = _Sink()
    with pq.ParquetWriter(sink, SCHEMA) as writer:
        while chunk := list(islice(source, GROUP_ROWS)):
            writer.write_table(pa.Table.from_pylist([_flat(row) for row in chunk], SCHEMA))
            yield sink.take()
    yield sink.take()


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _text(row[name]) for name in SCHEMA.names}


def _text(value: Any) -> Any:
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list) else value
