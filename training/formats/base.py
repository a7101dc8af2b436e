"""What an export format is given, and what it says of itself. Pure: no Django, no models."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]  # one distinct row of a version; its keys are COLUMNS[purpose]

COLUMNS: dict[str, tuple[str, ...]] = {
    "train": ("input", "output", "weight", "split", "case", "source", "signal"),
    "eval": (
        *("input", "output", "original", "case"),
        *("is_seen", "is_pinned", "weight", "split"),
    ),
    "preference": ("input", "chosen", "rejected", "weight", "split", "source", "signal"),
    # label: true is desirable, false undesirable
    "unpaired": ("input", "output", "label", "weight", "split", "source", "signal"),
}
# Content: of any shape that JSON has. The other columns are numbers, booleans and words.
CONTENT = ("input", "output", "original", "chosen", "rejected")


@dataclass(frozen=True)
class About:
    """What a file says of the version that it holds; `picture` gives an image id's bytes and type.

    `counts` are the stored version's: consent that was withdrawn since may leave fewer rows.
    """

    name: str
    version: int
    content_hash: str
    created_at: datetime
    modality: str
    purpose: str
    labels: list[str]
    counts: dict[str, Any]
    picture: Callable[[str], tuple[bytes, str]]


Writer: TypeAlias = Callable[[Iterable[Row], About], Iterator[bytes]]


@dataclass(frozen=True)
class Format:
    """One line of FORMATS. `write` yields the file piece by piece, whatever the number of rows.

    Where a row does not say its split (`tells_splits`), only the train side should be asked for.
    """

    content_type: str
    suffix: str
    modalities: frozenset[str]
    purposes: frozenset[str]
    write: Writer
    tells_splits: bool = True


def notes_of(row: Row) -> Row:
    """Return what a row is besides its content: weight, split, case, source and the like."""
    return {name: value for name, value in row.items() if name not in CONTENT}
