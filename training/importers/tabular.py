"""Rows of named columns: JSON Lines, CSV, TSV and Parquet; those of Emend's own exports, too."""

import csv
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow.parquet as pq

from config import json
from feedback.imports import Item
from training.formats.base import CONTENT
from training.formats.csv import FORMULA

_WORDS = {"": None, "true": True, "false": False}


class Columns(NamedTuple):
    """What a file calls an input and its output."""

    input: str = "input"
    output: str = "output"


class Dump(csv.excel_tab):
    """Tabs between columns, and quotes that are part of the text."""

    quoting = csv.QUOTE_NONE


def read_jsonl(path: Path, columns: Columns) -> Iterator[Item]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield item_of(_object(number, line), columns)


def _object(number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line.encode())
    except json.Malformed as error:
        raise ValueError(f"line {number}: {error.detail}") from None
    if not isinstance(row, dict):
        raise ValueError(f"line {number}: each line is one JSON object.")
    return row


def read_parquet(path: Path, columns: Columns) -> Iterator[Item]:
    for batch in pq.ParquetFile(path).iter_batches():
        for row in batch.to_pylist():
            yield item_of(row, columns)


def read_csv(path: Path, columns: Columns) -> Iterator[Item]:
    for row in _lines(path, csv.excel):
        for name in {*CONTENT, *columns} & row.keys():
            row[name] = _unguarded(row[name])
        yield item_of(_typed(row, columns), columns)


def read_tsv(path: Path, columns: Columns) -> Iterator[Item]:
    """Quotes are literal, as dumps write them."""
    for row in _lines(path, Dump):
        yield item_of(_typed(row, columns), columns)


def _lines(path: Path, dialect: type[csv.Dialect]) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file, dialect=dialect)


def _unguarded(cell: str | None) -> str | None:
    """Take off the apostrophe that keeps a spreadsheet from running what somebody wrote."""
    return cell[1:] if cell and cell[0] == "'" and FORMULA.match(cell) else cell


def _typed(row: dict[str, Any], columns: Columns) -> dict[str, Any]:
    """Read what stands beside input and output; an empty cell says nothing."""
    for name, cell in row.items():
        if name in (*columns, "chosen") or not isinstance(cell, str):
            continue
        if name in CONTENT:
            row[name] = cell or None
        elif name == "weight":
            with suppress(ValueError):  # what is no number stays text, and is refused as that
                row[name] = float(cell) if cell else None
        else:
            row[name] = _WORDS.get(cell, cell)
    return row


def item_of(row: dict[str, Any], columns: Columns) -> Item:
    """Return a row as an item; raises KeyError for a missing column.

    Beside input and output it may have the columns of Emend's exports: weight, split, case, label,
    what was `chosen` (the output) and `rejected` (or `original`), and which of them are JSON text.
    """
    said = {name: value for name, value in row.items() if name not in columns and value is not None}
    is_pair = "chosen" in said and columns.output not in row
    rejected = next((name for name in ("rejected", "original") if name in said), None)
    return Item(
        input=_content(row, columns.input),
        output=_content(row, "chosen" if is_pair else columns.output),
        split=said.get("split"),
        weight=said.get("weight", 1.0),
        rejected=None if rejected is None else _content(row, rejected),
        case=said.get("case", ""),
        label=said.get("label"),
    )


def _content(row: dict[str, Any], name: str) -> Any:
    value = row[name]
    return msgspec.json.decode(value) if row.get(f"{name}_is_json") is True else value
