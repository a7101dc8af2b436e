"""Starting data from files: format -> a reader that yields what is in it, row by row. Pure."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from feedback.imports import Item
from training.importers import coco, label_studio, labelme, tabular
from training.importers.tabular import Columns

__all__ = ["READERS", "Columns", "read"]

READERS: dict[str, Callable[[Path, Columns], Iterator[Item]]] = {
    "jsonl": tabular.read_jsonl,
    "csv": tabular.read_csv,
    "tsv": tabular.read_tsv,
    "parquet": tabular.read_parquet,
    "label-studio": label_studio.read,
    "labelme": labelme.read,
    "coco": coco.read,
}
_ARCHIVES = (".tar", ".tar.gz", ".tgz")


def read(path: Path, *, name: str | None = None, columns: Columns | None = None) -> Iterator[Item]:
    """Yield a file's rows; the format is `name`, else what the file's name or content says.

    `columns` name the input and the output where they are not called so. Raises KeyError for one
    that is missing, OSError and ValueError (and csv.Error) for a file that cannot be read; a row
    that cannot be read is an item with a fault.
    """
    return READERS[name or _format_of(path)](path, columns or Columns())


def _format_of(path: Path) -> str:
    if path.is_dir() or path.name.lower().endswith(_ARCHIVES):
        return "labelme"
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _format_by_content(path.read_bytes())
    if suffix[1:] not in READERS:
        raise ValueError(f"it is none of {', '.join(READERS)} by its name.")
    return suffix[1:]


def _format_by_content(data: bytes) -> str:
    shape: Any = list[msgspec.Raw] | dict[str, msgspec.Raw]
    content = msgspec.json.decode(data, type=shape)
    if isinstance(content, list):
        return "label-studio"
    if "shapes" in content:
        return "labelme"
    if "annotations" in content:
        return "coco"
    raise ValueError("it is none of label-studio, labelme and coco by its content.")
