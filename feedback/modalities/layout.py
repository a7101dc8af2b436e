"""Layout: the boxes on a page, in pixels and in COCO's order [x, y, width, height]."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, TypedDict, cast

import msgspec

from config.errors import Problem
from config.json import JSON
from feedback.modalities.base import (
    MAX_SIDE_PIXELS,
    Mark,
    Modality,
    check_labels,
    find_bbox_fault,
    input_problem,
    is_number,
    mismatch,
)

MAX_ID_CHARS = 128
MAX_PROBLEMS = 20  # told of one output: what is wrong in all of a thousand boxes is soon clear


class Box(TypedDict):
    id: str | int
    label: str
    bbox: list[float]


class Layout(Modality):
    name = "layout"
    queue = "process.layout"

    def check_task(self, labels: Sequence[str]) -> list[Problem]:
        return check_labels(labels, fewest=1)

    def validate_input(self, value: JSON) -> list[Problem]:
        page = value.get("page") if isinstance(value, dict) else None
        if not isinstance(page, dict) or set(page) != {"width", "height"}:
            place = "/page" if isinstance(value, dict) else ""
            return [input_problem(place, 'An object with "page": {"width", "height"}.')]
        wrong = [
            name
            for name, side in page.items()
            if not (is_number(side) and 1 <= side <= MAX_SIDE_PIXELS)
        ]
        detail = f"A number of pixels from 1 to {MAX_SIDE_PIXELS:,}."
        return [input_problem(f"/page/{name}", detail) for name in wrong]

    def validate_output(self, value: JSON, *, labels: Sequence[str], input_: JSON) -> list[Problem]:
        boxes = value["boxes"] if isinstance(value, dict) and set(value) == {"boxes"} else None
        if not isinstance(boxes, list):
            return [mismatch("", 'An object {"boxes": [{"id", "label", "bbox"}]}.')]
        return list(islice(_find_problems(boxes, frozenset(labels), _page(input_)), MAX_PROBLEMS))

    def text_of(self, value: JSON) -> str:
        """Return what is written anywhere in the input; the page itself has no text."""
        return "\n".join(_strings(value))

    def identity(self, input_: JSON, output: JSON) -> JSON:
        """Return the input; with the boxes where it is a size of page, which many pages share."""
        is_bare = cast("dict[str, JSON]", input_).keys() == {"page"}
        return [input_, output] if is_bare else input_

    def near_key(self, input_: JSON, output: JSON) -> bytes | None:
        """Hash the labels and boxes, rounded to 1% of the page; neither order nor ids count."""
        if not _boxes(output):
            return None
        width, height = _page(input_)
        boxes = sorted(
            [box["label"], *_percent(box["bbox"], width, height)] for box in _boxes(output)
        )
        return hashlib.sha256(msgspec.json.encode(boxes)).digest()

    def spare(self, sent: JSON, redacted: JSON, labels: Sequence[str], mark: Mark) -> JSON:
        """Mark the ids that redaction changed: two may read the same now, and boxes pair by id."""
        match sent, redacted:
            case {"boxes": [*before]}, {"boxes": [*after]} if len(before) == len(after):
                pairs = zip(before, after, strict=True)
                spared: JSON = [_spared(was, box, labels, mark) for was, box in pairs]
                return cast("dict[str, JSON]", redacted) | {"boxes": spared}
        return redacted

    def diff(self, original: JSON, corrected: JSON) -> list[dict[str, JSON]]:
        """List what became of each box, by its id; `change` names it.

        {"change": "removed", "box"}, {"change": "reordered", "ids"} (of the boxes that stay),
        {"change": "added", "box", "index"}, and {"change": "moved" ([x, y]), "resized"
        ([width, height]) or "relabelled", "id", "from", "to"}: in this order, to be done so.
        """
        before, after = _by_id(original), _by_id(corrected)
        removed = [box for id_, box in before.items() if id_ not in after]
        changes: list[dict[str, Any]] = [{"change": "removed", "box": box} for box in removed]
        stay = [id_ for id_ in after if id_ in before]
        if stay != [id_ for id_ in before if id_ in after]:
            changes.append({"change": "reordered", "ids": stay})
        for index, (id_, box) in enumerate(after.items()):
            if id_ not in before:
                changes.append({"change": "added", "box": box, "index": index})
        for id_ in stay:
            changes += _changes(before[id_], after[id_])
        return changes

    def apply(self, original: JSON, diff: list[dict[str, JSON]]) -> JSON:
        boxes = {id_: Box(**box) for id_, box in _by_id(original).items()}
        order = list(boxes)
        for change in cast("list[dict[str, Any]]", diff):
            match change["change"]:
                case "removed":
                    order.remove(change["box"]["id"])
                case "reordered":
                    order = list(change["ids"])
                case "added":
                    boxes[change["box"]["id"]] = change["box"]
                    order.insert(change["index"], change["box"]["id"])
                case "moved":
                    box = boxes[change["id"]]
                    box["bbox"] = change["to"] + box["bbox"][2:]
                case "resized":
                    box = boxes[change["id"]]
                    box["bbox"] = box["bbox"][:2] + change["to"]
                case "relabelled":
                    boxes[change["id"]]["label"] = change["to"]
        return cast("JSON", {"boxes": [boxes[id_] for id_ in order]})

    def edit_distance(self, original: JSON, corrected: JSON) -> float:
        """Return 1 - mean intersection over union of the boxes, matched by id.

        A box that only one side has, or that has another label, matches nothing (0).
        """
        before, after = _by_id(original), _by_id(corrected)
        ids = before.keys() | after.keys()
        if not ids:
            return 0.0
        matched = [(before[id_], after[id_]) for id_ in before.keys() & after.keys()]
        same = [_iou(a["bbox"], b["bbox"]) for a, b in matched if a["label"] == b["label"]]
        return 1 - sum(sorted(same)) / len(ids)


def _find_problems(
    boxes: list[JSON], labels: frozenset[str], page: tuple[float, float]
) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, box in enumerate(boxes):
        place = f"/boxes/{index}"
        if not isinstance(box, dict) or set(box) != {"id", "label", "bbox"}:
            yield mismatch(place, 'An object {"id", "label", "bbox"}.')
            continue
        name = "" if isinstance(box["id"], bool | float | list | dict | None) else str(box["id"])
        if not 1 <= len(name) <= MAX_ID_CHARS:
            yield mismatch(f"{place}/id", f"A string of 1 to {MAX_ID_CHARS} characters.")
        elif name in seen:
            yield mismatch(f"{place}/id", "Another box has this id.")
        seen.add(name)
        if not isinstance(box["label"], str) or box["label"] not in labels:
            yield mismatch(f"{place}/label", "Not a label of the task.")
        fault = find_bbox_fault(box["bbox"], page)
        if fault is not None:
            yield mismatch(f"{place}/bbox", fault)


def _spared(was: JSON, box: JSON, labels: Sequence[str], mark: Mark) -> JSON:
    spared: dict[str, JSON] = {}
    match was, box:
        case {"label": str() as label}, {"label": str()} if label in labels:
            spared["label"] = label
    match was, box:
        case {"id": str() | int() as name}, {"id": str() | int() as left} if left != name:
            spared["id"] = f"{left} {mark(str(name))}"
    return cast("dict[str, JSON]", box) | spared if spared else box


def _changes(before: Box, after: Box) -> Iterator[dict[str, JSON]]:
    pairs: dict[str, tuple[JSON, JSON]] = {
        "moved": (list(before["bbox"][:2]), list(after["bbox"][:2])),
        "resized": (list(before["bbox"][2:]), list(after["bbox"][2:])),
        "relabelled": (before["label"], after["label"]),
    }
    for change, (old, new) in pairs.items():
        if old != new:
            yield {"change": change, "id": before["id"], "from": old, "to": new}


def _iou(a: list[float], b: list[float]) -> float:
    """Return the area that two boxes share over the area that they cover together."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def _percent(bbox: list[float], width: float, height: float) -> list[int]:
    """Return a box in whole hundredths of the page."""
    sides = (width, height, width, height)
    return [round(100 * value / side) for value, side in zip(bbox, sides, strict=True)]


def _page(input_: JSON) -> tuple[float, float]:
    page = cast("dict[str, dict[str, float]]", input_)["page"]
    return page["width"], page["height"]


def _boxes(output: JSON) -> list[Box]:
    return cast("dict[str, list[Box]]", output)["boxes"]


def _by_id(output: JSON) -> dict[str | int, Box]:
    return {box["id"]: box for box in _boxes(output)}


def _strings(value: JSON) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for child in value if isinstance(value, list) else value.values():
            yield from _strings(child)
