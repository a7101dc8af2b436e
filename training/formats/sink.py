"""Files that are sent while they are written: what was written is taken and forgotten."""

import io
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO, Any

from training.formats.base import About

PIECE_BYTES = 64 * 1024


class Sink(io.RawIOBase):
    """A file that keeps only what was not taken yet, and still knows its position."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self.pieces.append(piece)
        self.position += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self.position

    def take(self) -> bytes:
        data, self.pieces = b"".join(self.pieces), []
        return data


class Zip:
    """A zip file that is the same bytes for the same content, as it has the version's time.

    Entries are not compressed: pictures and Parquet are already. Their names stay in memory.
    """

    def __init__(self, about: About) -> None:
        self._sink = Sink()
        self._archive = zipfile.ZipFile(self._sink, "w")
        self._time = about.created_at.timetuple()[:6]

    def has(self, name: str) -> bool:
        return name in self._archive.NameToInfo

    def add(self, name: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Write an entry; yield what is to be sent."""
        entry = zipfile.ZipInfo(name, self._time)
        with self._archive.open(entry, "w", force_zip64=True) as file:
            for piece in pieces:
                file.write(piece)
                yield self._sink.take()

    def end(self) -> bytes:
        """Return the last piece: the directory of what is inside."""
        self._archive.close()
        return self._sink.take()


def lines_of(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file from its start, in pieces of whole lines."""
    file.seek(0)
    while lines := file.readlines(PIECE_BYTES):
        yield b"".join(lines)
