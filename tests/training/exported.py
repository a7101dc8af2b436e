"""Rows as exports have them, from plain to hostile, and what formats make of them."""

import io
import json
import zipfile
from datetime import UTC, datetime

from training.formats import COLUMNS, FORMATS, About
from training.formats.base import CONTENT
from training.formats.csv import FORMULA

FORMULAS = ["=cmd|' /C calc'!A0", "'=x", "''-1", "+1", "-1", "@a", "\t=1", "\r", "\n=1"]
TEMPLATES = [
    *("{{7*7}}", "{% raw %}x{% endraw %}", "{# c #}", "{{{#}}}", "{", "{{", "{%", "#}", "}}"),
    *("file:///etc/passwd", "package:x:y", "{{input}}", "ends\n", "x {\n"),
]
JSON_LIKE = ["007", "1e5", "true", "null", '{"a":1}', "[1]", '"', "'", "NA"]
LINES = ["a\u2028b\u2029c\x85d", "a\r\nb\nc\rd", "</script>", "é漢🙂", "x" * 65_536]
HOSTILE = FORMULAS + TEMPLATES + JSON_LIKE + LINES


def about(modality="text", purpose="train", labels=()):
    return About(
        name="mood-train",
        version=3,
        content_hash="ab" * 32,
        created_at=datetime(2026, 11, 21, 10, tzinfo=UTC),
        modality=modality,
        purpose=purpose,
        labels=list(labels),
        counts={},
        picture=lambda image: (image.split("-")[0].encode(), "image/png"),
    )


def row(purpose="train", **values):
    defaults = {
        "input": "Good.",
        "output": "pos",
        "original": None,
        "chosen": "pos",
        "rejected": "neg",
        "label": True,
        "weight": 0.1 + 0.2,
        "split": "train",
        "case": "golden",
        "is_seen": True,
        "is_pinned": False,
        "source": "feedback",
        "signal": "up",
    }
    return {name: (defaults | values)[name] for name in COLUMNS[purpose]}


def rows_of(modality, purpose, number=4):
    """Return rows of that kind; every other one is of the holdout."""
    made = {
        "classification": lambda n: ({"title": f"t {n}"}, "pos", "neg"),
        "text": lambda n: (f"t {n}", f"good {n}", f"bad {n}"),
        "layout": lambda n: (
            {"page": {"width": 100, "height": 50.5}, "scene": f"s-{n}"},
            *({"boxes": [{"id": n, "label": label, "bbox": [1.1, 2, 30, 4]}]} for label in "ab"),
        ),
        "image": lambda n: (
            {"prompt": f"t {n}", "size": n},
            *({"image": f"{name}{n}-"} for name in ("good", "bad")),
        ),
    }[modality]
    for number_ in range(number):
        value, good, bad = made(number_)
        contents = {"input": value, "output": good, "chosen": good, "rejected": bad}
        yield row(purpose, **contents, split=("train", "holdout")[number_ % 2])


def written(name, rows, told=None):
    return b"".join(FORMATS[name].write(iter(rows), told or about()))


def lines(name, rows, told=None):
    return [json.loads(line) for line in written(name, rows, told).decode().splitlines()]


def restored(cells):
    """Return a row from the cells of a table."""
    content = {
        name: json.loads(cells[name]) if cells[f"{name}_is_json"] else cells[name]
        for name in CONTENT
        if name in cells
    }
    return {name: content.get(name, cells[name]) for name in cells if "_is_json" not in name}


def of_text(cells):
    """Return the cells of a table from those of its CSV."""
    back = {}
    for name, cell in cells.items():
        if name.startswith("is_") or name.endswith("_is_json"):
            back[name] = cell == "true"
        elif name == "weight":
            back[name] = float(cell)
        else:
            back[name] = cell[1:] if cell[:1] == "'" and FORMULA.match(cell) else cell
    return back


def unzipped(data):
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    return {entry.filename: archive.read(entry) for entry in archive.infolist()}
