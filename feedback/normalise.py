"""One canonical text for an input: what duplicates, contradictions and the split go by."""

import hashlib
import unicodedata
from typing import Literal

import msgspec

from config.json import JSON

HOLDOUT_RATIO = 0.2


def normalise(value: JSON) -> str:
    """Write an input canonically: case, white space and Unicode form make no difference.

    Objects become JSON with sorted keys; letters that look alike (NFKC) stay apart.
    """
    if isinstance(value, str):
        return _normalise_text(value)
    return msgspec.json.encode(_normalise_values(value), order="sorted").decode()


def content_hash(value: JSON) -> bytes:
    """Return the SHA-256 of the normalised value: 32 bytes, unsalted."""
    return hashlib.sha256(normalise(value).encode()).digest()


def split_of(digest: bytes) -> Literal["train", "holdout"]:
    """Read the side of the split from a content hash, so that no input ever changes sides."""
    position = int.from_bytes(digest[:8], "big") / 2**64
    return "holdout" if position < HOLDOUT_RATIO else "train"


def fold_case(text: str) -> str:
    """Write a text so that neither case nor Unicode form makes a difference."""
    if text.isascii():  # the same, in a third of the time
        return text.lower()
    # Casefold can undo the normal form, hence twice.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _normalise_text(text: str) -> str:
    return " ".join(fold_case(text).split())


def _normalise_values(value: JSON) -> JSON:
    if isinstance(value, str):
        return _normalise_text(value)
    if isinstance(value, list):
        return [_normalise_values(child) for child in value]
    if isinstance(value, dict):
        return {key: _normalise_values(child) for key, child in value.items()}
    return value
