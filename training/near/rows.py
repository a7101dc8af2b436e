"""Rows as near-duplicates are looked for: their hashes, their signatures and the sorted bands."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from feedback.duplicates import BINS, SHORT_CHARS, fold, signatures

SEGMENT_ROWS = 100_000
BANDS = 32  # of four 16-bit bins each
# A key of a band: 44 mixed bits of its bins, and below them the place of the row.
PLACE_BITS = np.uint64(20)
PLACE = np.uint64(2**20 - 1)
LOW_BITS = np.uint64(2**16 - 1)
MIX = np.uint64(0x9E3779B97F4A7C15)
HAS_PICTURE, IS_LONG, IS_FIRST, VERSION_SHIFT = (np.uint64(value) for value in (1, 2, 4, 3))

Array = NDArray[Any]
Column = Literal["same", "folded", "picture"]


@dataclass(frozen=True)
class Signed:
    """Rows (n,) as they are compared; `folded` is 0 for a text in which nothing is."""

    ids: Array
    same: Array
    folded: Array
    signatures: Array  # (n, 128)
    is_long: Array
    picture: Array
    has_picture: Array

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """Join parts, of which there may be none."""
        columns = zip(
            *(vars(part).values() for part in (sign([], [], [], []), *parts)), strict=True
        )
        return cls(*map(np.concatenate, columns))

    def segments(self) -> Iterator["Segment"]:
        """Cut by content, so that the order of rows makes no difference."""
        order = np.argsort(self.folded, kind="stable")
        for start in range(0, len(order), SEGMENT_ROWS):
            yield Segment.of(self.at(order[start : start + SEGMENT_ROWS]))

    def at(self, places: Array | slice) -> Self:
        return type(self)(*(column[places] for column in vars(self).values()))


def sign(
    ids: Sequence[int],
    input_hashes: Sequence[bytes],
    texts: Sequence[str],
    pictures: Sequence[int | None],
) -> Signed:
    """Sign rows by the SHA-256 of their inputs, texts as they are and signed difference hashes."""
    folded = [fold(text) for text in texts]
    long = [text for text in folded if len(text) >= SHORT_CHARS]
    is_long = np.array([len(text) >= SHORT_CHARS for text in folded], bool)
    signed = np.zeros((len(folded), BINS), np.uint16)
    signed[is_long] = signatures(long)
    return Signed(
        ids=np.array(ids, np.int64),
        same=_words(bytes(digest[:8]) for digest in input_hashes),
        folded=_words(
            blake2b(text.encode(), digest_size=8).digest() if text else bytes(8) for text in folded
        ),
        signatures=signed,
        is_long=is_long,
        picture=np.array([(value or 0) & (2**64 - 1) for value in pictures], np.uint64),
        has_picture=np.array([value is not None for value in pictures], bool),
    )


def _words(digests: Iterable[bytes]) -> Array:
    return np.frombuffer(b"".join(digests), "<u8")


@dataclass(frozen=True)
class Segment:
    """Rows (n,) sorted by their folded texts, and the sorted keys (32, m) of the distinct texts."""

    columns: Array  # (5, n): ids, same, folded, picture, marks
    signatures: Array  # (n, 32), the bins of a band in each
    bands: Array

    @classmethod
    def of(cls, rows: Signed, *, version: int = 0, earlier: Iterable["Segment"] = ()) -> Self:
        """Make one of rows; a text that an earlier segment has is in the bands of that one."""
        order = np.argsort(rows.folded, kind="stable")
        folded = rows.folded[order]
        is_first = np.diff(folded, prepend=~folded[:1]) != 0
        for segment in earlier:
            is_first &= ~is_among(folded, segment.folded)
        marks = (
            rows.has_picture[order] * HAS_PICTURE
            | rows.is_long[order] * IS_LONG
            | is_first * IS_FIRST
            | np.uint64(version) << VERSION_SHIFT
        )
        columns = [rows.ids.view(np.uint64)[order], rows.same[order], folded, rows.picture[order]]
        return cls._banded(np.stack([*columns, marks]), rows.signatures.view(np.uint64)[order])

    @classmethod
    def _banded(cls, columns: Array, signed: Array) -> Self:
        is_distinct = columns[4] & (IS_LONG | IS_FIRST) == IS_LONG | IS_FIRST
        places = np.flatnonzero(is_distinct).astype(np.uint64)
        bands = np.empty((BANDS, len(places)), np.uint64)
        for band, keys in enumerate(bands):
            keys[:] = signed[places, band] * MIX & ~PLACE | places
            keys.sort()
        return cls(columns, signed, bands)

    def followed_by(self, newer: Self) -> Self:
        columns = np.concatenate([self.columns, newer.columns], axis=1)
        order = np.argsort(columns[2], kind="stable")
        signed = np.concatenate([self.signatures, newer.signatures])
        return self._banded(columns[:, order], signed[order])

    def only(self, texts: Array) -> Self:
        """Return the segment with these folded texts alone, sorted, in its bands."""
        is_kept = is_among(self.folded, texts)
        bands = np.stack([keys[is_kept[keys & PLACE]] for keys in self.bands])
        return type(self)(self.columns, self.signatures, bands)

    def before(self, version: int) -> Self:
        """Return the rows that were added before that version."""
        is_kept = self.versions < version
        return self._banded(self.columns[:, is_kept], self.signatures[is_kept])

    def __len__(self) -> int:
        return int(self.columns.shape[1])

    @property
    def ids(self) -> Array:
        ids: Array = self.columns[0].view(np.int64)
        return ids

    @property
    def folded(self) -> Array:
        folded: Array = self.columns[2]
        return folded

    @property
    def versions(self) -> Array:
        versions: Array = self.columns[4] >> VERSION_SHIFT
        return versions

    def column(self, name: Column) -> tuple[Array, Array]:
        """Return the keys of the rows that have one, and the ids of these rows."""
        if name == "same":
            return self.columns[1], self.ids
        keys = self.columns[2] if name == "folded" else self.columns[3]
        has_key = keys != 0 if name == "folded" else self.columns[4] & HAS_PICTURE != 0
        return keys[has_key], self.ids[has_key]

    def ids_of(self, folded: Array) -> tuple[Array, Array]:
        """Return the folded texts and the ids of the rows that have one of those asked."""
        low = np.searchsorted(self.folded, folded, "left")
        counts = np.searchsorted(self.folded, folded, "right") - low
        return np.repeat(folded, counts), self.ids[spread(low, counts)]


def spread(low: Array, counts: Array) -> Array:
    """Return low, low + 1, ... of each, as many as its count."""
    before = np.cumsum(counts) - counts
    steps: Array = np.arange(counts.sum()) + np.repeat(low - before, counts)
    return steps


def is_among(keys: Array, known: Array) -> Array:
    """Say which keys are among the known ones, which must be sorted."""
    if not len(known):
        return np.zeros(len(keys), bool)
    # The lowest bits tell most keys apart from a few known ones, without a search for each.
    has_bits = np.zeros(LOW_BITS + np.uint64(1), bool)
    has_bits[known & LOW_BITS] = True
    is_known: Array = has_bits[keys & LOW_BITS]
    searched = keys[is_known]
    at = np.searchsorted(known, searched)
    at[at == len(known)] = 0
    is_known[is_known] = known[at] == searched
    return is_known
