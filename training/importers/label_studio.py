"""Label Studio's tasks with annotations: Choices, TextArea and RectangleLabels.

Each annotation that was not cancelled is an item; predictions are not read. Boxes are percent of
the page there; of an own export the pixels come back as they were.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from feedback.imports import Item
from training.importers.tabular import Columns, item_of

DECIMALS = 3  # of a pixel: what percent are not exact by is far below


class Result(msgspec.Struct):
    """One thing that an annotation says; what it is stands under `value`."""

    type: str = ""
    id: str = ""
    value: dict[str, Any] = {}
    original_width: float = 0
    original_height: float = 0
    meta: dict[str, Any] | None = None


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
        try:
            task = msgspec.json.decode(raw, type=Task)
            rows = [_row(task, a.result, columns) for a in task.annotations if not a.was_cancelled]
        except ValueError as error:
            raise ValueError(f"task {number}: {error}") from error
        for row in filter(None, rows):
            yield item_of(row, Columns())._replace(place=f"Task {task.id or number}")


def _row(task: Task, results: list[Result], columns: Columns) -> dict[str, Any] | None:
    """Return the columns that an annotation gives; None where it says nothing."""
    input_ = task.data.get(columns.input)
    boxes = [result for result in results if result.type == "rectanglelabels"]
    if boxes or (isinstance(input_, dict) and "page" in input_):
        output: Any = {"boxes": [_box(result) for result in boxes]}
        input_ = input_ or _page(task, boxes[0])
    else:
        said = [result.value for result in results if result.type in ("choices", "textarea")]
        if not said:
            return None
        output = _only([answer for value in said for answer in _answers(value)])
        input_ = task.data["text"] if input_ is None else input_
    return (task.meta or {}) | {"input": input_, "output": output}


def _answers(value: dict[str, Any]) -> list[Any]:
    answers = value.get("choices", value.get("text"))
    return answers if isinstance(answers, list) else [answers]


def _only(answers: list[Any]) -> Any:
    """Return the one answer; several stay a list, which no task takes."""
    return answers[0] if len(answers) == 1 else answers


def _page(task: Task, result: Result) -> dict[str, Any]:
    page = {"width": result.original_width, "height": result.original_height}
    return {"page": page, "image": task.data.get("image", "")}


def _box(result: Result) -> dict[str, Any]:
    value, meta = result.value, result.meta or {}
    if value.get("rotation"):
        raise ValueError(f"the box {result.id} is rotated, and boxes here are not.")
    width, height = result.original_width, result.original_height
    sides = {"x": width, "y": height, "width": width, "height": height}
    bbox = [round(value[name] * side / 100, DECIMALS) for name, side in sides.items()]
    return {
        "id": meta.get("id", result.id),
        "label": _only(value["rectanglelabels"]),
        "bbox": meta.get("bbox", bbox),
    }
