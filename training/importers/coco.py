"""COCO's object detection format; of an own export, ids and the whole input come back, too."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from feedback.imports import Item
from training.importers.tabular import Columns, item_of


class Annotation(msgspec.Struct):
    id: int
    image_id: int
    category_id: int
    bbox: list[float]
    box_id: str | int | None = None


class Category(msgspec.Struct):
    id: int
    name: str


class File(msgspec.Struct):
    images: list[dict[str, Any]]
    annotations: list[Annotation]
    categories: list[Category]


def read(path: Path, _columns: Columns) -> Iterator[Item]:
    """Yield an item for each image; one without annotations has no boxes."""
    file = msgspec.json.decode(path.read_bytes(), type=File)
    labels = {category.id: category.name for category in file.categories}
    boxes: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for annotation in file.annotations:
        if annotation.category_id not in labels:
            raise ValueError(f"annotation {annotation.id} is of no category that the file has.")
        boxes[annotation.image_id].append(_box(annotation, labels[annotation.category_id]))
    for image in file.images:
        row = image | {"output": {"boxes": boxes.pop(image["id"], [])}}
        row.setdefault("input", _input(image))
        yield item_of(row, Columns())._replace(place=f"image {image['id']}")
    if boxes:
        raise ValueError(f"it has no image {next(iter(boxes))}, and annotations of it.")


def _input(image: dict[str, Any]) -> dict[str, Any]:
    page = {"width": image["width"], "height": image["height"]}
    return {"page": page, "file_name": image.get("file_name", "")}


def _box(annotation: Annotation, label: str) -> dict[str, Any]:
    named = annotation.box_id
    id_ = str(annotation.id) if named is None else named
    return {"id": id_, "label": label, "bbox": annotation.bbox}
