"""Artefacts and images as files that are named by their SHA-256, written whole or not at all.

`STORAGE_URL` says where, or the `url` that a verb is given: a folder, or a bucket of an
S3-compatible store. Every verb raises Unavailable where that place does not answer or refuses.
"""

import errno
import hashlib
import logging
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from importlib import import_module
from typing import Protocol, cast

from django.conf import settings

from config.errors import FileDamaged, FileMissing, Unavailable

logger = logging.getLogger(__name__)
DIGEST_LENGTH = 64
_NAME = re.compile(r"[0-9a-f]{64}(\.\w+)*")  # what an interrupted write left has a suffix


class Store(Protocol):
    """A place of files; paths are relative with three parts. Its verbs raise OSError."""

    def write(self, path: str, data: bytes) -> None:
        """Put a whole file in the place of what was there; its time is now."""

    def read(self, path: str) -> bytes | None:
        """Return the bytes, None where there is no file."""

    def remove(self, path: str, unless_since: datetime | None) -> bool:
        """Remove a file that was not written since then; return whether it was removed."""

    def files(self, folder: str) -> Iterator[tuple[str, datetime]]:
        """Yield the name and the time of each file, by the clock of the place."""

    def folders(self) -> dict[str, int]:
        """Return how many bytes each folder holds."""


def put(data: bytes, folder: str = "artifacts", *, url: str = "") -> str:
    """Store bytes and return their SHA-256; the same bytes are one file, mended if damaged.

    A file that was there counts as written now.
    """
    digest = hashlib.sha256(data).hexdigest()
    path = _path(digest, folder)
    with _answering():
        _store(url or settings.STORAGE_URL).write(path, data)
    return digest


def get(digest: str, folder: str = "artifacts", *, url: str = "") -> bytes:
    """Return the bytes of that SHA-256; raise FileDamaged if they are gone or changed."""
    path = _path(digest, folder)
    with _answering():
        data = _store(url or settings.STORAGE_URL).read(path)
    if data is None:
        raise FileMissing(f"No file {digest}.")
    if hashlib.sha256(data).hexdigest() != digest:
        raise FileDamaged(f"The file {digest} was changed on disk.")
    return data


def delete(digest: str, folder: str = "artifacts", *, unless_since: datetime | None = None) -> bool:
    """Remove a file, unless it was written since then; return whether it was removed."""
    path = _path(digest, folder)
    with _answering():
        return _store(settings.STORAGE_URL).remove(path, unless_since)


def digests(folder: str = "artifacts", *, url: str = "") -> Iterator[tuple[str, datetime]]:
    """Yield each file's name and when it was written, by the clock of the store.

    What interrupted writes left has longer names than a digest; `delete` takes them too.
    """
    with _answering():
        yield from _store(url or settings.STORAGE_URL).files(folder)


def folders(*, url: str = "") -> dict[str, int]:
    """Return all folders that were ever stored in, and how many bytes each holds."""
    with _answering():
        return _store(url or settings.STORAGE_URL).folders()


def problem() -> str:
    """Return why nothing can be stored, read or removed, empty if all can; it tries."""
    try:
        digest = put(secrets.token_bytes(16), "probes")
        get(digest, "probes")
        delete(digest, "probes")
    except (Unavailable, FileDamaged) as error:
        return str(error.__cause__ or error)
    return ""


def _path(name: str, folder: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("Files are named by their SHA-256.")
    return f"{folder}/{name[:2]}/{name}"


@cache
def _store(url: str) -> Store:
    # By its dotted path: who stores in a folder never loads the client of S3.
    kind = "bucket" if url.startswith("s3://") else "folder"
    return cast("Store", import_module(f"config.storage.{kind}").from_url(url))


@contextmanager
def _answering() -> Iterator[None]:
    """Raise Unavailable for what a store raises, or for a URL that names none."""
    try:
        yield
    except (OSError, ValueError) as error:
        logger.warning("storage.unavailable reason=%s", _reason(error))
        raise Unavailable("The storage does not answer.") from error


def _reason(error: Exception) -> str:
    """Return an error's code alone: its message quotes paths."""
    told = re.search(r"AWS Error (\w+)", str(error))
    number = getattr(error, "errno", None)
    return told[1] if told else errno.errorcode.get(number or 0, type(error).__name__)
