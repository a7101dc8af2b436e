"""COCO's object detection format; of an own export, ids and the whole input come back, too."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from feedback.imports import Item
from training.importers.tabular import Columns, item_of, item_or_fault, unread


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
    annotations: dict[int, list[Annotation]] = defaultdict(list)
    for annotation in file.annotations:
        annotations[annotation.image_id].append(annotation)
    for image in file.images:
        place = f"image {image['id']}"
        item = item_or_fault(place, _item, image, annotations.pop(image["id"], []), labels)
        yield item._replace(place=place)
    for missing in annotations:
        yield unread(f"image {missing}", ValueError("It has annotations, and is not in the file."))


def _item(image: dict[str, Any], annotations: list[Annotation], labels: dict[int, str]) -> Item:
    boxes = [_box(annotation, labels) for annotation in annotations]
    row = image | {"output": {"boxes": boxes}}
    row.setdefault("input", _input(image))
    return item_of(row, Columns())


def _input(image: dict[str, Any]) -> dict[str, Any]:
    page = {"width": image["width"], "height": image["height"]}
    return {"page": page, "file_name": image.get("file_name", "")}


def _box(annotation: Annotation, labels: dict[int, str]) -> dict[str, Any]:
    if annotation.category_id not in labels:
        raise ValueError(f"Annotation {annotation.id} is of no category that the file has.")
    named = annotation.box_id
    id_ = str(annotation.id) if named is None else named
    return {"id": id_, "label": labels[annotation.category_id], "bbox": annotation.bbox}
