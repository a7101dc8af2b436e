"""COCO's object detection format (cocodataset.org, "Data format"), in one JSON object.

What COCO has no place for stands under keys of its own, which readers leave alone: an image's
`input`, `split`, `weight`, `case`, `source` and `signal`, and a box's `box_id`. Pages have no
picture here: `file_name` is the input's, or its `image`, where it has one.
"""

import math
import tempfile
from collections.abc import Iterable, Iterator
from itertools import count
from typing import IO, Any

import msgspec

from training.formats import jsonl
from training.formats.base import About, Row, notes_of
from training.formats.sink import lines_of


def write(rows: Iterable[Row], about: About) -> Iterator[bytes]:
    """Yield the file; the annotations wait on disk until the images are through."""
    numbers = {label: number for number, label in enumerate(about.labels, 1)}
    with tempfile.TemporaryFile() as waiting:
        yield b'{"info": ' + msgspec.json.encode(_info(about)) + b', "licenses": [], "images": '
        yield from jsonl.array(jsonl.lines(_images(rows, numbers, waiting)))
        yield b', "annotations": '
        yield from jsonl.array(lines_of(waiting))
        categories = [
            {"id": number, "name": label, "supercategory": ""} for label, number in numbers.items()
        ]
        yield b', "categories": ' + msgspec.json.encode(categories) + b"}\n"


def _info(about: About) -> dict[str, Any]:
    return {
        "year": about.created_at.year,
        "version": str(about.version),
        "description": f"{about.name}, version {about.version}, {about.content_hash}",
        "contributor": "",
        "url": "",
        "date_created": about.created_at.isoformat(),
    }


def _images(
    rows: Iterable[Row], numbers: dict[str, int], annotations: IO[bytes]
) -> Iterator[dict[str, Any]]:
    """Yield the images, and write the annotations of each to that file, one a line."""
    ids = count(1)
    for image_id, row in enumerate(rows, 1):
        page = row["input"]["page"]
        picture = row["input"].get("file_name") or row["input"].get("image")
        yield {
            "id": image_id,
            "width": math.ceil(page["width"]),  # readers take whole numbers only
            "height": math.ceil(page["height"]),
            "file_name": str(picture or ""),
            "input": row["input"],
            **notes_of(row),
        }
        boxes = row["output"]["boxes"]
        annotations.writelines(
            jsonl.lines(_annotation(next(ids), image_id, numbers, box) for box in boxes)
        )


def _annotation(id_: int, image_id: int, numbers: dict[str, int], box: Row) -> dict[str, Any]:
    x, y, width, height = box["bbox"]
    right, bottom = x + width, y + height
    return {
        "id": id_,
        "image_id": image_id,
        # A label that was taken from the task since has a number too.
        "category_id": numbers.setdefault(box["label"], len(numbers) + 1),
        "bbox": box["bbox"],
        "area": width * height,
        "iscrowd": 0,
        "segmentation": [[x, y, right, y, right, bottom, x, bottom]],  # masks are made of it
        "box_id": box["id"],
    }
