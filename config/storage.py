"""Artefacts and images as files that are named by their SHA-256, written whole or not at all."""

import hashlib
import os
import tempfile
from pathlib import Path

from django.conf import settings

from config.errors import FileDamaged


def _path(digest: str, folder: str = "artifacts") -> Path:
    return Path(settings.STORAGE_URL) / folder / digest[:2] / digest


def put(data: bytes, folder: str = "artifacts") -> str:
    """Store bytes and return their SHA-256; the same bytes are one file, mended if damaged."""
    digest = hashlib.sha256(data).hexdigest()
    path = _path(digest, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)
    return digest


def get(digest: str, folder: str = "artifacts") -> bytes:
    """Return the bytes of that SHA-256; raise FileDamaged if they are gone or changed."""
    try:
        data = _path(digest, folder).read_bytes()
    except FileNotFoundError:
        raise FileDamaged(f"No file {digest}.") from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise FileDamaged(f"The file {digest} was changed on disk.")
    return data
