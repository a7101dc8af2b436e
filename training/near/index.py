"""The rows of one side of a dataset, signed, as files that each build appends to."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import msgspec
import numpy as np

from training.near.rows import BANDS, SEGMENT_ROWS, Array, Segment, Signed

# Raise it when rows are signed, or files laid out, in another way: what is older does not count.
FORMAT = 1
COLUMNS = 5
MANIFEST = "manifest"  # its digest, then JSON
DIGEST_BYTES = 32
WORD_BYTES = 8


class SegmentFile(msgspec.Struct, frozen=True):
    """A segment's file, and what must be in it."""

    name: str
    rows: int
    words: int
    sum: int
    written_ns: int
    newest: int


class Manifest(msgspec.Struct, frozen=True):
    """Which files make up the index: it alone decides, so that replacing it is one step."""

    covered: int = 0
    files: tuple[SegmentFile, ...] = ()
    format: int = FORMAT


class NearIndex:
    """One side of one dataset in a folder of its own; one process at a time may add.

    It may hold rows that are gone. A file that is damaged, lost or of another format makes all of
    it empty. All of a million rows is summed only where a file is not as it was left.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifest = self._sound()

    @property
    def covered(self) -> int:
        """Return the version up to which rows were added, 0 for none."""
        return self._manifest.covered

    def segments(self) -> Iterator[Segment]:
        """Open one after another, so that few pages are in memory."""
        return map(self._open, self._manifest.files)

    def add(self, version: int, parts: Iterable[Signed]) -> None:
        """Add the rows that a version brings, all or none of them.

        What is there of this version or a later one goes: its build did not end well.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        files: list[SegmentFile] = []
        for file in self._manifest.files:
            if file.newest < version:
                files.append(file)
            else:
                self._append(files, self._open(file).before(version))

        def append(rows: Signed) -> None:
            earlier = map(self._open, files)
            self._append(files, Segment.of(rows, version=version, earlier=earlier))

        # Sorted and written while the next rows are read: numpy and the disk leave Python free.
        with ThreadPoolExecutor(1) as writer:
            written: Future[None] | None = None
            for rows in _joined(parts):
                if written is not None:
                    written.result()
                written = writer.submit(append, rows)
            if written is not None:
                written.result()
        self._replace(Manifest(version, tuple(files)))

    def _append(self, files: list[SegmentFile], segment: Segment) -> None:
        """Write a segment with those before it that are not far bigger: so few are ever there."""
        while files and files[-1].rows <= min(2 * len(segment), SEGMENT_ROWS - len(segment)):
            segment = self._open(files.pop()).followed_by(segment)
        if len(segment):
            files.append(self._write(segment))

    def _write(self, segment: Segment) -> SegmentFile:
        name = uuid4().hex
        arrays = (segment.columns, segment.signatures, segment.bands)
        with (self._folder / name).open("wb") as file:
            for array in arrays:
                array.tofile(file)
            file.flush()
            os.fsync(file.fileno())
            written_ns = os.fstat(file.fileno()).st_mtime_ns
        return SegmentFile(
            name=name,
            rows=len(segment),
            words=sum(array.size for array in arrays),
            sum=sum(map(_sum, arrays)) % 2**64,
            written_ns=written_ns,
            newest=int(segment.versions.max()),
        )

    def _replace(self, manifest: Manifest) -> None:
        """Put the new state in the place of the old one; remove what no state needs any more."""
        draft = self._folder / f"{uuid4().hex}.draft"
        data = msgspec.json.encode(manifest)
        draft.write_bytes(_digest(data) + data)
        draft.replace(self._folder / MANIFEST)
        self._manifest = manifest
        needed = {MANIFEST, *(file.name for file in manifest.files)}
        for path in self._folder.iterdir():
            if path.name not in needed:
                path.unlink()

    def _sound(self) -> Manifest:
        with suppress(OSError, ValueError, msgspec.DecodeError):
            sealed = (self._folder / MANIFEST).read_bytes()
            digest, data = sealed[:DIGEST_BYTES], sealed[DIGEST_BYTES:]
            manifest = msgspec.json.decode(data, type=Manifest)
            is_ours = digest == _digest(data) and manifest.format == FORMAT
            if is_ours and all(map(self._is_whole, manifest.files)):
                return manifest
        return Manifest()

    def _is_whole(self, file: SegmentFile) -> bool:
        found = (self._folder / file.name).stat()
        if found.st_size != file.words * WORD_BYTES:
            return False
        return found.st_mtime_ns == file.written_ns or _sum(self._words(file)) == file.sum

    def _words(self, file: SegmentFile) -> Array:
        return np.asarray(np.memmap(self._folder / file.name, "<u8", mode="r"))

    def _open(self, file: SegmentFile) -> Segment:
        columns, signatures, bands = np.split(
            self._words(file), [COLUMNS * file.rows, (COLUMNS + BANDS) * file.rows]
        )
        return Segment(
            columns.reshape(COLUMNS, -1), signatures.reshape(-1, BANDS), bands.reshape(BANDS, -1)
        )


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _sum(words: Array) -> int:
    return int(words.sum(dtype=np.uint64))  # modulo 2^64: no changed byte leaves it as it was


def _joined(parts: Iterable[Signed]) -> Iterator[Signed]:
    """Join parts until they fill a segment."""
    waiting: list[Signed] = []
    rows = 0
    for part in parts:
        for start in range(0, len(part.ids), SEGMENT_ROWS):
            piece = part.at(slice(start, start + SEGMENT_ROWS))
            if rows + len(piece.ids) > SEGMENT_ROWS:
                yield Signed.joined(waiting)
                waiting, rows = [], 0
            waiting.append(piece)
            rows += len(piece.ids)
    if rows:
        yield Signed.joined(waiting)
