"""Files in a folder: on a disk of this machine, or one that machines share."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit


def from_url(url: str) -> "Folder":
    """Return the folder of a path or a file URL; raise ValueError for any other URL."""
    if "://" not in url:
        return Folder(Path(url))
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc or not parts.path:
        raise ValueError("STORAGE_URL is a path, file:///path or s3://bucket/prefix.")
    return Folder(Path(unquote(parts.path)))


class Folder:
    """A store whose files survive a loss of power once they are written."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, data: bytes) -> None:
        place = self.root / path
        _make(place.parent)
        with tempfile.NamedTemporaryFile(
            prefix=f"{place.name}.", dir=place.parent, delete=False
        ) as file:
            new = Path(file.name)
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                new.replace(place)
            except OSError:
                new.unlink(missing_ok=True)
                raise
        _sync(place.parent)

    def read(self, path: str) -> bytes | None:
        with suppress(FileNotFoundError):
            return (self.root / path).read_bytes()
        return None

    def remove(self, path: str, unless_since: datetime | None) -> bool:
        place = self.root / path
        aside = place.with_name(f"{place.name}.removed")
        try:
            place.rename(aside)
        except FileNotFoundError:
            return False
        # Only now nobody can write it anew between the look at its time and its end.
        if unless_since is not None and _written_at(aside) >= unless_since:
            aside.rename(place)
            return False
        aside.unlink()
        _sync(place.parent)
        return True

    def files(self, folder: str) -> Iterator[tuple[str, datetime]]:
        for place in (self.root / folder).glob("??/*"):
            with suppress(FileNotFoundError):  # removed since
                yield place.name, _written_at(place)

    def folders(self) -> dict[str, int]:
        return {place.name: _bytes_in(place) for place in self.root.glob("*/")}


def _bytes_in(folder: Path) -> int:
    total = 0
    for place in folder.glob("??/*"):
        with suppress(FileNotFoundError):  # removed since
            total += place.stat().st_size
    return total


def _written_at(place: Path) -> datetime:
    return datetime.fromtimestamp(place.stat().st_mtime, UTC)


def _make(folder: Path) -> None:
    """Make a folder and those above it, so that a loss of power does not undo it."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Write to disk what a folder holds: a rename is not before that."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
