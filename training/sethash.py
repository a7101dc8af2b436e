"""An updatable hash of a set of rows: the identity of a dataset version.

LtHash (Bellare and Micciancio 1997, "A new paradigm for collision-free hashing"; Lewi et al. 2019,
"Securing update propagation with homomorphic hashing"): each row becomes 1024 lanes of 16 bits,
here drawn by SHAKE-128, and the state is the sum of the rows' lanes modulo 2^16.
"""

import hashlib
from collections.abc import Iterable
from itertools import islice
from math import isfinite

import msgspec
import numpy as np
from numpy.typing import NDArray

LANES = 1024
STATE_BYTES = 2 * LANES
ROW_HASH_BYTES = 32
CHUNK_ROWS = 512
EXACT = 2**53  # up to here a float names one integer

Lanes = NDArray[np.uint16]


def row_hash(row: dict[str, object]) -> bytes:
    """Hash a row's canonical JSON to 32 bytes; the order of keys does not matter.

    1 and 1.0 are one number, as for most who write JSON. Raises ValueError for NaN, infinities and
    lone surrogates, TypeError for what JSON cannot hold.
    """
    text = msgspec.json.encode(_canonical(row), order="sorted")
    return hashlib.sha256(text).digest()


def _canonical(value: object) -> object:
    if isinstance(value, float):
        if not isfinite(value):
            message = f"{value} is no number of JSON"
            raise ValueError(message)
        return int(value) if value.is_integer() and abs(value) <= EXACT else value
    if isinstance(value, list | tuple):
        return [_canonical(child) for child in value]
    if isinstance(value, dict):
        # Most of a million rows is text.
        return {k: v if type(v) is str else _canonical(v) for k, v in value.items()}
    return value


class SetHash:
    """Add and remove row hashes in any order, and read the same state for the same rows.

    It counts: a row added twice must be removed twice, so the caller gives distinct rows.
    """

    def __init__(self, state: bytes | None = None) -> None:
        """Start from a stored state, or from no rows; raises ValueError for a wrong length."""
        if state is not None and len(state) != STATE_BYTES:
            message = f"a set hash has {STATE_BYTES} bytes, not {len(state)}"
            raise ValueError(message)
        self._lanes: Lanes = np.frombuffer(state or bytes(STATE_BYTES), dtype="<u2").copy()

    def add(self, row_hashes: Iterable[bytes]) -> None:
        """Add rows by their 32-byte hashes."""
        self._lanes += _sum_of(row_hashes)

    def remove(self, row_hashes: Iterable[bytes]) -> None:
        """Take out rows that were added, by their 32-byte hashes."""
        self._lanes -= _sum_of(row_hashes)

    @property
    def state(self) -> bytes:
        """Return the 2,048 bytes that a later SetHash starts from."""
        return self._lanes.astype("<u2").tobytes()

    def hexdigest(self) -> str:
        """Return the SHA-256 of the state, 64 hexadecimal digits."""
        return hashlib.sha256(self.state).hexdigest()


def _sum_of(row_hashes: Iterable[bytes]) -> Lanes:
    total = np.zeros(LANES, dtype=np.uint16)
    rows = iter(row_hashes)
    # A megabyte of lanes at a time: a version may have millions of rows.
    while chunk := b"".join(map(_lanes_of, islice(rows, CHUNK_ROWS))):
        total += np.frombuffer(chunk, dtype="<u2").reshape(-1, LANES).sum(axis=0, dtype=np.uint16)
    return total


def _lanes_of(row: bytes) -> bytes:
    if len(row) != ROW_HASH_BYTES:
        message = f"a row hash has {ROW_HASH_BYTES} bytes, not {len(row)}"
        raise ValueError(message)
    return hashlib.shake_128(row).digest(STATE_BYTES)
