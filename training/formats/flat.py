"""Rows as a table has them: content that is no string is JSON text, and a column says so."""

from collections.abc import Iterable, Iterator

import msgspec

from training.formats.base import COLUMNS, CONTENT, Row

MOST_ROWS = 10_000
MOST_CHARS = 16 * 2**20  # in memory at a time, whatever the rows hold


def columns_of(purpose: str) -> tuple[str, ...]:
    """Return the columns of a table: those of the rows, then which content is JSON text."""
    names = COLUMNS[purpose]
    return (*names, *(f"{name}_is_json" for name in names if name in CONTENT))


def flatten(row: Row) -> Row:
    """Return a row's cells. A string stays as it is, even if it looks like JSON."""
    cells = dict(row)
    for name in CONTENT:
        if name in row:
            value = row[name]
            is_json = not isinstance(value, str | None)
            cells[f"{name}_is_json"] = is_json
            if is_json:
                cells[name] = msgspec.json.encode(value).decode()
    return cells


def flat_groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield flat rows, as many at a time as may be held in memory."""
    group: list[Row] = []
    chars = 0
    for row in rows:
        cells = flatten(row)
        group.append(cells)
        chars += sum(len(cells[name] or "") for name in CONTENT if name in cells)
        if len(group) == MOST_ROWS or chars >= MOST_CHARS:
            yield group
            group, chars = [], 0
    if group:
        yield group
