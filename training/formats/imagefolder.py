"""ImageFolder, as Hugging Face's `datasets` (5.2, "Create an image dataset") loads it: a zip.

A folder for each split has its pictures, named by their SHA-256 and each there once, and a
`metadata.jsonl`. The holdout's is `test/`: the loader knows only some names of splits, and leaves
out other folders without a word. `rejected_file_name` is loaded as pictures named `rejected`.
"""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import msgspec

from training.formats import jsonl
from training.formats.base import About, Row, notes_of
from training.formats.sink import Zip, lines_of

FOLDERS = {"train": "train", "holdout": "test"}
# What of a row shows a picture, and the column that names it: in this order, for the loader gives
# the picture of `file_name` to the first of them.
PICTURES = {"output": "file_name", "chosen": "file_name", "rejected": "rejected_file_name"}


def write(rows: Iterable[Row], about: About) -> Iterator[bytes]:
    """Yield the file; the metadata wait on disk until the pictures are through."""
    archive = Zip(about)
    with ExitStack() as files:
        waiting = {name: files.enter_context(tempfile.TemporaryFile()) for name in FOLDERS.values()}
        for row in rows:
            folder = FOLDERS[row["split"]]
            pictures = _pictures(row, about)
            for name, data in pictures.values():
                yield from _added(archive, f"{folder}/{name}", data)
            waiting[folder].writelines(jsonl.lines([_metadata(row, pictures)]))
        for folder, metadata in waiting.items():
            if metadata.tell():
                yield from archive.add(f"{folder}/metadata.jsonl", lines_of(metadata))
        yield archive.end()


def _pictures(row: Row, about: About) -> dict[str, tuple[str, bytes]]:
    """Return name and bytes of the pictures of a row, by column."""
    pictures = {}
    for part, column in PICTURES.items():
        if part in row:
            data, media_type = about.picture(row[part]["image"])
            suffix = media_type.removeprefix("image/")
            pictures[column] = (f"{hashlib.sha256(data).hexdigest()}.{suffix}", data)
    return pictures


def _added(archive: Zip, name: str, data: bytes) -> Iterator[bytes]:
    if not archive.has(name):
        yield from archive.add(name, [data])


def _metadata(row: Row, pictures: dict[str, tuple[str, bytes]]) -> dict[str, Any]:
    return {
        **{column: name for column, (name, _) in pictures.items()},
        "text": row["input"]["prompt"],
        # As text: a column of objects would need the same keys in all rows.
        "input": msgspec.json.encode(row["input"]).decode(),
        **{name: note for name, note in notes_of(row).items() if name != "split"},
    }
