"""Compare what may be nearly the same: texts by their character 4-grams, images by hashes.

Signatures by one-permutation hashing (Li, Owen and Zhang 2012, "One permutation hashing") with
empty bins filled from others (Shrivastava 2017, "Optimal densification for fast and accurate
minwise hashing").
"""

import unicodedata
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedback.normalise import fold_case

GRAM = 4
BINS = 128
# Low enough to find nearly every copy with a typo or a lost word, high enough to tell apart
# sentences that only sound alike: see benchmarks/duplicates.py.
DUPLICATE_JACCARD = 0.7
# In fewer characters a changed letter inside is too much for the threshold anyway; what would pass
# differs at its ends, as "room 1" and "room 2" do. So short texts must be the same once folded.
SHORT_CHARS = 20
DUPLICATE_BITS = 6
# What is worked on at once stays in a core's cache.
CHUNK_ROWS = 1_024
CHUNK_CHARS = 64_000
EMPTY = np.uint32(2**32 - 1)

Array = NDArray[Any]
# What stays of ASCII is named too: str.translate is slow about each character that it lacks.
SPACED = {code: chr(code) for code in range(128)} | {
    code: " " for code in range(2**16) if unicodedata.category(chr(code))[0] in {"P", "Z"}
}


def fold(text: str) -> str:
    """Write a text so that case, punctuation and white space make no difference."""
    text = fold_case(text)
    return " ".join(text.translate(SPACED).split()) or " ".join(text.split())


def jaccard(left: str, right: str) -> float:
    """Compare two folded texts by the sets of their character 4-grams."""
    mine, theirs = _grams(left), _grams(right)
    shared = len(mine & theirs)
    return shared / (len(mine) + len(theirs) - shared)


def _grams(folded: str) -> set[str]:
    return {folded[start : start + GRAM] for start in range(max(1, len(folded) - GRAM + 1))}


def signatures(folded: Iterable[str]) -> Array:
    """Return 16-bit signatures (texts, 128); bins agree as often as the texts' Jaccard says."""
    parts = [_sign(chunk) for chunk in _chunks(folded)]
    return np.concatenate(parts) if parts else np.empty((0, BINS), np.uint16)


def hamming(left: int, right: int) -> int:
    """Count the bits in which two 64-bit hashes differ, signed or not."""
    return ((left ^ right) & (2**64 - 1)).bit_count()


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
