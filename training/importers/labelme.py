"""LabelMe 5: one file a page, a folder of them or a tar archive of them.

A rectangle is two corners, whichever; of a polygon the box around it is taken. Pictures that stand
in the files are not read. A page is called by its picture's name, in the folder of its file.
"""

import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import msgspec

from feedback.imports import Item
from training.importers.tabular import Columns, item_or_fault

SHAPES = ("rectangle", "polygon")


class Shape(msgspec.Struct):
    label: str
    points: list[tuple[float, float]]
    shape_type: str = "polygon"


class File(msgspec.Struct, rename="camel"):
    image_width: float
    image_height: float
    image_path: str
    shapes: list[Shape]


def read(path: Path, _columns: Columns) -> Iterator[Item]:
    for name, data in _files(path):
        yield item_or_fault(name, _item, name, data)


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each page's file."""
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            yield file.relative_to(path).as_posix(), file.read_bytes()
    elif path.suffix == ".json":
        yield path.name, path.read_bytes()
    else:
        yield from _members(path)


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(path) as archive:
            pages = (member for member in archive if member.isfile())
            for member in (page for page in pages if page.name.endswith(".json")):
                yield member.name, cast("IO[bytes]", archive.extractfile(member)).read()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"not a whole archive: {error}") from error


def _item(name: str, data: bytes) -> Item:
    file = msgspec.json.decode(data, type=File)
    page = {"width": file.image_width, "height": file.image_height}
    picture = file.image_path.replace("\\", "/").rpartition("/")[2]
    input_ = {"page": page, "file_name": str(PurePosixPath(name).parent / picture)}
    boxes = [_box(number, shape) for number, shape in enumerate(file.shapes, 1)]
    return Item(input_, {"boxes": boxes}, place=name)


def _box(number: int, shape: Shape) -> dict[str, Any]:
    if shape.shape_type not in SHAPES or not shape.points:
        raise ValueError(f"Shape {number} is a {shape.shape_type}: only {' and '.join(SHAPES)}.")
    across, down = zip(*shape.points, strict=True)
    left, top = min(across), min(down)
    bbox = [left, top, max(across) - left, max(down) - top]
    return {"id": str(number), "label": shape.label, "bbox": bbox}
