"""Tasks with annotations, as Label Studio 1.x imports them ("Import pre-annotated data").

A labelling interface shows `text` (or `image`, which is the input's `image` or `file_name`) and
names what is said `label`, by Choices or RectangleLabels, or `answer`, by TextArea. Boxes are
percent of the page there, which is not exact: the `meta` of a result keeps the box as it was, as
`data.input` keeps what is no string.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from feedback.modalities import MODALITIES
from training.formats import jsonl
from training.formats.base import About, Row, notes_of


def write(rows: Iterable[Row], about: About) -> Iterator[bytes]:
    """Yield one JSON array of tasks."""
    results = _RESULTS[about.modality]
    tasks = (
        {
            "data": _data(row["input"], about.modality),
            "annotations": [{"result": results(row)}],
            "meta": notes_of(row),
        }
        for row in rows
    )
    return jsonl.array(jsonl.lines(tasks))


def _data(value: Any, modality: str) -> dict[str, Any]:
    if modality == "layout":
        picture = value.get("image") or value.get("file_name")
        return {"image": str(picture or ""), "input": value}
    text = MODALITIES[modality].text_of(value)
    return {"text": text} if isinstance(value, str) else {"text": text, "input": value}


def _label(row: Row) -> list[dict[str, Any]]:
    return [
        {
            "id": "label",
            "type": "choices",
            "from_name": "label",
            "to_name": "text",
            "value": {"choices": [row["output"]]},
        }
    ]


def _answer(row: Row) -> list[dict[str, Any]]:
    return [
        {
            "id": "answer",
            "type": "textarea",
            "from_name": "answer",
            "to_name": "text",
            "value": {"text": [row["output"]]},
        }
    ]


def _boxes(row: Row) -> list[dict[str, Any]]:
    page = row["input"]["page"]
    return [_rectangle(box, page["width"], page["height"]) for box in row["output"]["boxes"]]


def _rectangle(box: dict[str, Any], page_width: float, page_height: float) -> dict[str, Any]:
    x, y, width, height = box["bbox"]
    return {
        "id": str(box["id"]),
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": page_width,
        "original_height": page_height,
        "image_rotation": 0,
        "value": {
            "x": 100 * x / page_width,
            "y": 100 * y / page_height,
            "width": 100 * width / page_width,
            "height": 100 * height / page_height,
            "rotation": 0,
            "rectanglelabels": [box["label"]],
        },
        "meta": {"id": box["id"], "bbox": box["bbox"]},
    }


_RESULTS = {"classification": _label, "text": _answer, "layout": _boxes}
