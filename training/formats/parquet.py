"""Parquet, by pyarrow; content that is no string is JSON text, and a column says so."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from training.formats.base import About, Row
from training.formats.flat import columns_of, flat_groups
from training.formats.sink import Sink


def schema_of(purpose: str) -> pa.Schema:
    return pa.schema([(name, _type_of(name)) for name in columns_of(purpose)])


def _type_of(name: str) -> pa.DataType:
    if name == "label" or name.startswith("is_") or name.endswith("_is_json"):
        return pa.bool_()
    return pa.float64() if name == "weight" else pa.string()


def write(rows: Iterable[Row], about: About) -> Iterator[bytes]:
    """Yield the file piece by piece, a row group at a time."""
    schema = schema_of(about.purpose)
    sink = Sink()
    with pq.ParquetWriter(sink, schema) as writer:
        for group in flat_groups(rows):
            writer.write_table(pa.Table.from_pylist(group, schema))
            yield sink.take()
    yield sink.take()
