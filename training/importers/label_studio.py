"""Label Studio's tasks with annotations: Choices, TextArea and RectangleLabels.

Each annotation that was not cancelled is an item; predictions are not read. Boxes are percent of
the page there; of an own export the pixels come back as they were, where nobody moved them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from feedback.imports import Item
from training.importers.tabular import Columns, item_of, unread

DECIMALS = 3  # of a pixel: what percent are not exact by is far below
# Regions, but for rectanglelabels: these, and each type whose name ends in "labels".
SHAPES = {"rectangle", "polygon", "brush", "ellipse", "keypoint", "vector", "bitmask"}


class Page(msgspec.Struct):
    width: float
    height: float


class Kept(msgspec.Struct):
    """What an own export says of a box besides percents; editors hand it on as it is."""

    id: str | int | None = None
    bbox: list[int | float] = []


class Result(msgspec.Struct):
    """One thing that an annotation says; what it is stands under `value`."""

    type: str = ""
    id: str = ""
    value: dict[str, Any] = {}
    original_width: float = 0
    original_height: float = 0
    meta: Kept | None = None

    @property
    def is_unread_region(self) -> bool:
        is_region = self.type in SHAPES or self.type.endswith("labels")
        return is_region and self.type != "rectanglelabels"


class Annotation(msgspec.Struct):
    result: list[Result]
    was_cancelled: bool = False


class Task(msgspec.Struct):
    data: dict[str, Any]
    annotations: list[Annotation]
    id: int | str | None = None
    meta: dict[str, Any] | None = None


def read(path: Path, columns: Columns) -> Iterator[Item]:
    """Yield items; `columns.input` is looked for in a task's data, else `text`."""
    tasks = msgspec.json.decode(path.read_bytes(), type=list[msgspec.Raw])
    for number, raw in enumerate(tasks):
        place = f"Task {number}"
        try:
            task = msgspec.json.decode(raw, type=Task)
            place = f"Task {task.id or number}"
            rows = [_row(task, a.result, columns) for a in task.annotations if not a.was_cancelled]
        except ValueError as error:
            yield unread(place, error)
        else:
            for row in filter(None, rows):
                yield item_of(row, Columns())._replace(place=place)


def _row(task: Task, results: list[Result], columns: Columns) -> dict[str, Any] | None:
    """Return the columns that an annotation gives; None where it says nothing.

    Raises ValueError where what is left without a region that is not read is not the whole answer.
    """
    input_ = task.data.get(columns.input)
    boxes = [result for result in results if result.type == "rectanglelabels"]
    is_page = bool(boxes) or _has_page(input_)
    others = {result.id: result.type for result in results if result.is_unread_region}
    answers = [result for result in results if result.type in ("choices", "textarea")]
    said = [result.value for result in answers if result.id not in others]  # else of that region
    if others and (is_page or not said):
        kind = next(iter(others.values()))
        raise ValueError(f"It has {kind}, and of regions only rectanglelabels are read.")
    if is_page:
        input_ = input_ or _page(task, boxes[0])
        output: Any = {"boxes": [_box(result, input_) for result in boxes]}
    elif said:
        output = _only([answer for value in said for answer in _answers(value)])
        input_ = task.data["text"] if input_ is None else input_
    else:
        return None
    return (task.meta or {}) | {"input": input_, "output": output}


def _has_page(input_: Any) -> bool:
    return isinstance(input_, dict) and "page" in input_


def _answers(value: dict[str, Any]) -> list[Any]:
    answers = value.get("choices", value.get("text"))
    return answers if isinstance(answers, list) else [answers]


def _only(answers: list[Any]) -> Any:
    """Return the one answer; several stay a list, which no task takes."""
    return answers[0] if len(answers) == 1 else answers


def _page(task: Task, result: Result) -> dict[str, Any]:
    page = {"width": result.original_width, "height": result.original_height}
    return {"page": page, "image": task.data.get("image", "")}


def _box(result: Result, input_: Any) -> dict[str, Any]:
    value, kept = result.value, result.meta or Kept()
    if value.get("rotation"):
        raise ValueError(f"The box {result.id} is rotated, and boxes here are not.")
    page = _sides(result, input_)
    sides = {"x": page.width, "y": page.height, "width": page.width, "height": page.height}
    bbox = [round(value[name] * side / 100, DECIMALS) for name, side in sides.items()]
    return {
        "id": result.id if kept.id is None else kept.id,
        "label": _only(value["rectanglelabels"]),
        "bbox": kept.bbox if _is_same(kept.bbox, bbox) else bbox,
    }


def _sides(result: Result, input_: Any) -> Page:
    """Return what percent are of: the input's page, of whatever size the editor's picture was."""
    if _has_page(input_):
        return msgspec.convert(input_["page"], Page)
    return Page(result.original_width, result.original_height)


def _is_same(kept: list[float], computed: list[float]) -> bool:
    """Return whether two boxes differ by no more than rounding: else a person moved one."""
    pairs = zip(kept, computed, strict=False)
    return len(kept) == 4 and all(abs(a - b) < 10**-DECIMALS for a, b in pairs)
