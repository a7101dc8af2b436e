"""Find what is nearly the same: texts by their character 4-grams, images by difference hashes.

Signatures by one-permutation hashing (Li, Owen and Zhang 2012, "One permutation hashing") with
empty bins filled from others (Shrivastava 2017, "Optimal densification for fast and accurate
minwise hashing"); candidates by locality-sensitive hashing in bands; then the exact Jaccard.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feedback.normalise import normalise

GRAM = 4
BINS = 128
BAND_BINS = 4  # as 16-bit bins in one 64-bit key; finds a pair at Jaccard 0.5 with 0.87, 0.7 surely
# Low enough to find nearly every copy with a typo or a lost word, high enough to tell apart
# sentences that only sound alike: see benchmarks/duplicates.py.
DUPLICATE_JACCARD = 0.7
# In fewer characters a changed letter inside is too much for the threshold anyway; what would pass
# differs at its ends, as "room 1" and "room 2" do. So short texts must be the same once folded.
SHORT_CHARS = 20
DUPLICATE_BITS = 6
CHUNK_ROWS = 4_096
CHUNK_CHARS = 500_000
BUCKET_ROWS = 32  # looked at in one bucket: where more are alike, any of them will do
CHECKED_ROWS = 8
AGREEING_BANDS = 2  # before a pair is checked: of 32, about 8 agree at the threshold
EMPTY = np.uint32(2**32 - 1)

Array = NDArray[Any]
PUNCTUATION = {
    code: " " for code in range(2**16) if unicodedata.category(chr(code))[0] in {"P", "Z"}
}


class Match(NamedTuple):
    """A row and the nearest of the others, both by position; similarity from 0 to 1."""

    row: int
    other: int
    similarity: float


def fold(text: str) -> str:
    """Write a text so that case, punctuation and white space make no difference."""
    text = normalise(text)
    return " ".join(text.translate(PUNCTUATION).split()) or text


def jaccard(left: str, right: str) -> float:
    """Compare two folded texts by the sets of their character 4-grams."""
    mine, theirs = _grams(left), _grams(right)
    shared = len(mine & theirs)
    return shared / (len(mine) + len(theirs) - shared)


def _grams(folded: str) -> set[str]:
    return {folded[start : start + GRAM] for start in range(max(1, len(folded) - GRAM + 1))}


def signatures(texts: Iterable[str]) -> Array:
    """Return 16-bit signatures (texts, 128); bins agree as often as the texts' Jaccard says."""
    parts = [_sign(chunk) for chunk in _chunks(map(fold, texts))]
    return np.concatenate(parts) if parts else np.empty((0, BINS), np.uint16)


def near_duplicates(rows: Iterable[str], others: Sequence[str]) -> Iterator[Match]:
    """Yield, in order, each row that is a near-duplicate of another text, with the nearest.

    Rows are read a few thousand at a time. Where thousands of others are alike, only some of them
    are compared: the one that is found may then not be the very nearest.
    """
    index = _Index(others)
    first = 0
    for chunk in _chunks(map(fold, rows)):
        for match in index.matches(chunk):
            yield match._replace(row=first + match.row)
        first += len(chunk)


def near_images(rows: Sequence[int], others: Sequence[int]) -> Iterator[Match]:
    """Yield each row whose difference hash is within 6 bits of another, with the nearest."""
    theirs = _unsigned(others)
    step = max(1, 2 * CHUNK_CHARS // max(1, len(others)))
    for start in range(0, len(rows) if len(others) else 0, step):
        mine = _unsigned(rows[start : start + step])
        bits = np.bitwise_count(mine[:, None] ^ theirs)
        nearest = bits.argmin(axis=1)
        for row in np.flatnonzero(bits.min(axis=1) <= DUPLICATE_BITS).tolist():
            other = int(nearest[row])
            yield Match(start + row, other, 1 - int(bits[row, other]) / 64)


def hamming(left: int, right: int) -> int:
    """Count the bits in which two 64-bit hashes differ, signed or not."""
    return ((left ^ right) & (2**64 - 1)).bit_count()


def _unsigned(hashes: Sequence[int]) -> Array:
    return np.array([value & (2**64 - 1) for value in hashes], np.uint64)


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Cut into lists that are short in rows and in characters, so that memory stays small."""
    chunk: list[str] = []
    chars = 0
    for text in texts:
        chunk.append(text)
        chars += len(text)
        if len(chunk) >= CHUNK_ROWS or chars >= CHUNK_CHARS:
            yield chunk
            chunk, chars = [], 0
    if chunk:
        yield chunk


def _mix(values: Array) -> Array:
    """Scatter 64-bit integers (the finaliser of SplitMix64, Steele, Lea and Flood 2014)."""
    mixed: Array = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


# For each bin (column) the order in which it asks the others, should it be empty.
PROBES = np.argsort(_mix(np.arange(BINS * BINS, dtype=np.uint64)).reshape(BINS, BINS), axis=0)


def _sign(folded: list[str]) -> Array:
    """Return the signatures (texts, 128) of folded texts; one below four characters is padded."""
    padded = [text.ljust(GRAM, "\0") for text in folded]
    codes = np.frombuffer("".join(padded).encode("utf-32-le"), "<u4").astype(np.uint64)
    ends = np.fromiter(accumulate(map(len, padded)), np.int64, len(padded))
    grams = np.zeros(len(codes) - GRAM + 1, np.uint64)
    for offset in range(GRAM):  # 21 bits hold any character: three are exact, the fourth is mixed
        grams = _mix(grams) if offset == GRAM - 1 else grams << np.uint64(21)
        grams ^= codes[offset : offset + len(grams)]
    grams = _mix(grams)
    owners = np.repeat(np.arange(len(padded)), np.diff(ends, prepend=0))
    is_whole = owners[: len(grams)] == owners[GRAM - 1 :]  # lies in one text
    grams, owners = grams[is_whole], owners[: len(grams)][is_whole]
    minima = np.full(len(padded) * BINS, EMPTY)
    bins = owners * BINS + (grams >> np.uint64(57)).astype(np.int64)
    np.minimum.at(minima, bins, grams.astype(np.uint32))
    return _densified(minima).astype(np.uint16).reshape(-1, BINS)


def _densified(minima: Array) -> Array:
    """Fill each empty bin of each text from the first filled bin that it asks."""
    filled = minima.copy()
    empty = np.flatnonzero(minima == EMPTY)
    for probe in PROBES:
        bins = empty % BINS
        found = minima[empty - bins + probe[bins]]
        filled[empty] = found
        empty = empty[found == EMPTY]
    return filled


class _Index:
    """The others, ready to be asked."""

    def __init__(self, others: Sequence[str]) -> None:
        self._exact: dict[str, int] = {}
        for position, text in enumerate(map(fold, others)):
            if text:  # nothing at all is like nothing
                self._exact.setdefault(text, position)
        self._texts = [text for text in self._exact if len(text) >= SHORT_CHARS]
        bands = _bands(self._texts)
        self._order = np.argsort(bands, axis=1, kind="stable").astype(np.int32)
        self._keys = np.take_along_axis(bands, self._order, axis=1)

    def matches(self, folded: list[str]) -> Iterator[Match]:
        long = [row for row, text in enumerate(folded) if self._is_to_compare(text)]
        found = self._candidates([folded[row] for row in long])
        nearest = {row: self._nearest(folded[row], found[n]) for n, row in enumerate(long)}
        for row, text in enumerate(folded):
            similarity, other = nearest.get(row, (1.0, self._exact.get(text)))
            if other is not None and similarity >= DUPLICATE_JACCARD:
                yield Match(row, other, similarity)

    def _is_to_compare(self, text: str) -> bool:
        return len(text) >= SHORT_CHARS and text not in self._exact

    def _nearest(self, text: str, candidates: list[int]) -> tuple[float, int | None]:
        judged = ((jaccard(text, self._texts[n]), n) for n in candidates)
        similarity, n = max(judged, default=(0.0, None))
        return similarity, None if n is None else self._exact[self._texts[n]]

    def _candidates(self, folded: list[str]) -> dict[int, list[int]]:
        """Return, by row, the others that agree in most bands, at most eight."""
        size = max(1, len(self._texts))
        pairs = [np.empty(0, np.int64)]
        for mine, keys, order in zip(_bands(folded), self._keys, self._order, strict=True):
            low = np.searchsorted(keys, mine, "left")
            counts = np.minimum(np.searchsorted(keys, mine, "right") - low, BUCKET_ROWS)
            rows = np.repeat(np.arange(len(mine)), counts)
            steps = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
            pairs.append(rows * size + order[np.repeat(low, counts) + steps])
        codes, agreed = np.unique(np.concatenate(pairs), return_counts=True)
        is_likely = agreed >= AGREEING_BANDS
        codes, agreed = codes[is_likely], agreed[is_likely]
        candidates: dict[int, list[int]] = defaultdict(list)
        for code in codes[np.argsort(-agreed, kind="stable")].tolist():
            row, other = divmod(code, size)
            if len(candidates[row]) < CHECKED_ROWS:
                candidates[row].append(other)
        return candidates


def _bands(folded: list[str]) -> Array:
    """Return the 64-bit keys (bands, texts) of folded texts."""
    parts = [_sign(chunk) for chunk in _chunks(folded)]
    signed = np.concatenate(parts) if parts else np.empty((0, BINS), np.uint16)
    return np.ascontiguousarray(signed.view(np.uint64).T)
