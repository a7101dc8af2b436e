"""Boxes over a page: where each is drawn, where it was before, and its change in words."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from config.json import JSON
from feedback.admin.words import excerpt
from feedback.modalities.base import is_number

# The drawing's own units: wide enough for a label, and on a phone still large enough to read.
WIDTH, HEIGHT = 400.0, 560.0
MARGIN = 10.0
MOST_BOXES = 400
SIGNS = {"added": "+ ", "removed": "\N{MINUS SIGN} "}
LINE, LETTER = 14.0, 7.0  # how high a label is, and how wide each of its letters at most
TIMES = "\N{MULTIPLICATION SIGN}"
Bbox = tuple[float, float, float, float]


class Shape(NamedTuple):
    """One box; `state` is kept, changed, added or removed, and numbers are written for SVG."""

    label: str
    state: str
    now: dict[str, str]
    text: dict[str, str] = {}
    before: dict[str, str] | None = None
    arrow: dict[str, str] | None = None


def drawn(page: JSON, before: JSON, after: JSON) -> dict[str, Any] | None:
    """Place the boxes of an output, and of its correction if there is one, on their page.

    Returns None where they cannot be read as boxes on a page: the page shows a tree instead.
    """
    sides = page_of(page)
    if sides is None:
        return None
    width, height = sides
    scale = min(WIDTH / width, HEIGHT / height)
    old, new = boxes_of(before), boxes_of(before if after is None else after)
    if old is None or new is None:
        return None
    shapes = sorted(_shapes(old, new, scale), key=lambda shape: shape.state != "kept")
    shapes, left_out = shapes[-MOST_BOXES:], len(shapes[:-MOST_BOXES])
    across, down = max(width * scale, 1.0), max(height * scale, 1.0)
    return {
        "view": f"{-MARGIN} {-MARGIN - LINE} {WIDTH + 2 * MARGIN} {down + 2 * (MARGIN + LINE):.1f}",
        "width": f"{across:.1f}",
        "height": f"{down:.1f}",
        "size": f"{_pixels(width)} {TIMES} {_pixels(height)} px",
        "shapes": _labelled(shapes),
        "left_out": left_out,
        "states": {shape.state for shape in shapes},
        "counts": _counted([shape.state for shape in shapes]),
    }


def page_of(page: Any) -> tuple[float, float] | None:
    match page:
        case {"width": width, "height": height} if all(map(is_number, (width, height))):
            return (width, height) if min(width, height) >= 1 else None
    return None


def boxes_of(value: Any) -> dict[str, tuple[str, Bbox]] | None:
    """Return label and place of each box by its id; None for what is no output of boxes."""
    boxes = value.get("boxes") if isinstance(value, dict) else None
    if not isinstance(boxes, list):
        return None
    found: dict[str, tuple[str, Bbox]] = {}
    for box in boxes:
        match box:
            case {"id": id_, "label": label, "bbox": [x, y, width, height]} if all(
                map(is_number, (x, y, width, height))
            ):
                found[str(id_)] = (str(label), (x, y, width, height))
            case _:
                return None
    return found


def in_words(changes: list[dict[str, Any]], before: JSON) -> list[str]:
    """Say of each box what became of it: "panel 3 moved 40 px right, 12 px wider"."""
    labels = {id_: label for id_, (label, _) in (boxes_of(before) or {}).items()}
    said: dict[str, list[str]] = {}
    for change in changes:
        if change["change"] == "reordered":
            said["The order"] = ["is now " + ", ".join(map(str, change["ids"]))]
            continue
        box = change.get("box") or change
        id_ = str(box["id"])
        name = f"{labels.get(id_) or box.get('label', '')} {id_}".strip()
        said.setdefault(name, []).append(_words(change))
    return [f"{name} {', '.join(what)}" for name, what in said.items()]


def _words(change: dict[str, Any]) -> str:
    match change:
        case {"change": "moved", "from": [x, y], "to": [to_x, to_y]}:
            steps = [_step(to_x - x, "right", "left"), _step(to_y - y, "down", "up")]
            return "moved " + " and ".join(filter(None, steps))
        case {"change": "resized", "from": [width, height], "to": [to_width, to_height]}:
            steps = [
                _step(to_width - width, "wider", "narrower"),
                _step(to_height - height, "taller", "shorter"),
            ]
            return " and ".join(filter(None, steps))
        case {"change": "relabelled", "to": label}:
            return f"is now {label}"
        case {"change": "added", "box": {"bbox": [x, y, width, height]}}:
            size = f"{_pixels(width)} {TIMES} {_pixels(height)} px"
            return f"added at {_pixels(x)}, {_pixels(y)} ({size})"
    return str(change["change"])


def _step(by: float, ahead: str, back: str) -> str:
    return f"{_pixels(abs(by))} px {ahead if by > 0 else back}" if by else ""


def _pixels(number: float) -> str:
    """Write a number of pixels; what is less than a tenth of one is not called none."""
    if 0 < abs(number) < 0.1:
        return "less than 0.1"
    return f"{number:,.1f}".removesuffix(".0")


def _shapes(
    old: dict[str, tuple[str, Bbox]], new: dict[str, tuple[str, Bbox]], scale: float
) -> Iterator[Shape]:
    for id_, (label, bbox) in old.items():
        if id_ not in new:
            yield Shape(_label("removed", label, id_), "removed", _placed(bbox, scale))
    for id_, (label, bbox) in new.items():
        was, place = old.get(id_), _placed(bbox, scale)
        if was is None:
            yield Shape(_label("added", label, id_), "added", place)
        elif was == (label, bbox):
            yield Shape(_label("", label, id_), "kept", place)
        else:
            name = label if was[0] == label else f"{was[0]} → {label}"
            before = _placed(was[1], scale)
            arrow = _arrow(before, place) if was[1] != bbox else None
            yield Shape(_label("changed", name, id_), "changed", place, {}, before, arrow)


def _labelled(shapes: list[Shape]) -> list[Shape]:
    """Give each label a place on the outline of its box, below those that stand there already.

    It stands above, or under a box that has come from above: its arrow is left to be seen.
    """
    taken: set[tuple[float, int]] = set()
    labelled = []
    for shape in reversed(shapes):  # what was changed has the first choice
        now, before = shape.now, shape.before or shape.now
        is_lower = float(now["y"]) > float(before["y"])
        x = min(float(now["x"]), WIDTH + MARGIN - LETTER * len(shape.label))
        y = float(now["y"]) + (float(now["height"]) if is_lower else -LINE)
        columns = range(int(x / LETTER), int(x / LETTER) + len(shape.label) + 1)
        for _ in range(10):
            rows = (2 * y // LINE, 2 * y // LINE + 1)
            cells = {(row, column) for row in rows for column in columns}
            if not cells & taken:
                break
            y += LINE
        taken |= cells
        labelled.append(shape._replace(text={"x": f"{x:.1f}", "y": f"{y:.1f}"}))
    return labelled[::-1]


def _label(state: str, label: str, id_: str) -> str:
    return SIGNS.get(state, "") + excerpt(f"{label} {id_}")[:40]


def _placed(bbox: Bbox, scale: float) -> dict[str, str]:
    """Return a box in the drawing's units, held near the page whatever its numbers are."""
    x, y, width, height = (min(max(side, -1e9), 1e9) * scale for side in bbox)
    left, top = (min(max(place, -MARGIN), HEIGHT + MARGIN) for place in (x, y))
    sides = {
        "x": left,
        "y": top,
        "width": min(max(width, 1.0), HEIGHT + 2 * MARGIN),
        "height": min(max(height, 1.0), HEIGHT + 2 * MARGIN),
    }
    return {name: f"{side:.1f}" for name, side in sides.items()}


def _arrow(before: dict[str, str], now: dict[str, str]) -> dict[str, str] | None:
    """Lead from the middle of where a box was to its middle now, if that is far enough to see."""
    ends = [
        (float(box["x"]) + float(box["width"]) / 2, float(box["y"]) + float(box["height"]) / 2)
        for box in (before, now)
    ]
    (x1, y1), (x2, y2) = ends
    if abs(x2 - x1) + abs(y2 - y1) < 8:
        return None
    return {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}


def _counted(states: list[str]) -> str:
    names = ("kept", "changed", "added", "removed")
    return ", ".join(f"{states.count(name)} {name}" for name in names if name in states)
