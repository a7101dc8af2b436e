"""Rows of named columns: JSON Lines, CSV, TSV and Parquet; those of Emend's own exports, too."""

import csv
from collections.abc import Callable, Iterator
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
_BEYOND = "cells beyond the header"  # the key that they get


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
                yield item_or_fault(f"Line {number}", _of_json, line, columns)


def _of_json(line: str, columns: Columns) -> Item:
    try:
        row = json.loads(line.encode())
    except json.Malformed as error:
        raise ValueError(error.detail) from None
    if not isinstance(row, dict):
        raise ValueError("Each line is one JSON object.")
    return item_of(row, columns)


def read_parquet(path: Path, columns: Columns) -> Iterator[Item]:
    for batch in pq.ParquetFile(path).iter_batches():
        for row in batch.to_pylist():
            yield item_or_fault("", item_of, row, columns)


def read_csv(path: Path, columns: Columns) -> Iterator[Item]:
    for place, row in _lines(path, csv.excel):
        for name in {*CONTENT, *columns} & row.keys():
            row[name] = _unguarded(row[name])
        yield item_or_fault(place, _of_cells, row, columns)


def read_tsv(path: Path, columns: Columns) -> Iterator[Item]:
    """Quotes are literal, as dumps write them."""
    for place, row in _lines(path, Dump):
        yield item_or_fault(place, _of_cells, row, columns)


def _lines(path: Path, dialect: type[csv.Dialect]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each row with its place."""
    csv.field_size_limit(json.MAX_ITEM_BYTES)  # the default is less than an own export may need
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.DictReader(file, restkey=_BEYOND, dialect=dialect)
        for row in lines:
            yield f"Line {lines.line_num}", row


def _of_cells(row: dict[str, Any], columns: Columns) -> Item:
    if _BEYOND in row:
        raise ValueError("More cells than the header has.")
    return item_of(_typed(row, columns), columns)


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


def item_or_fault(place: str, make: Callable[..., Item], *given: Any) -> Item:
    """Return the item made of what is given; where that is a ValueError, one that tells it."""
    try:
        return make(*given)
    except ValueError as error:
        return unread(place, error)


def unread(place: str, error: ValueError) -> Item:
    """Return what stands for a row that cannot be read: an import refuses it, or leaves it out."""
    return Item(None, None, place=place, fault=f"{str(error).removesuffix('.')}.")


def item_of(row: dict[str, Any], columns: Columns) -> Item:
    """Return a row as an item; raises KeyError for a missing column, and ValueError.

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
