"""Export formats: name -> how rows become bytes, and of which content type."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from training.formats import jsonl, parquet


@dataclass(frozen=True)
class Format:
    content_type: str
    suffix: str
    write: Callable[[Iterable[dict[str, Any]]], Iterator[bytes]]


FORMATS = {
    "jsonl": Format("application/x-ndjson", ".jsonl", jsonl.write),
    "parquet": Format("application/vnd.apache.parquet", ".parquet", parquet.write),
}
