"""Contents of every modality, as its tests judge them, and how they judge."""

import uuid

from feedback.modalities import MODALITIES

A, B = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
PAGE = {"page": {"width": 800, "height": 600.5}, "book": "Tintin"}


def box(id_, label="panel", bbox=(10, 20, 30, 40)):
    return {"id": id_, "label": label, "bbox": list(bbox)}


def boxes(*given):
    return {"boxes": list(given)}


# For each modality: labels, an input, an output, and corrections of it that change something.
SAMPLES = {
    "classification": (["neg", "pos"], {"title": "x", "body": "y"}, "neg", ["pos"]),
    "text": (
        [],
        {"messages": [{"role": "user", "content": "Translate."}]},
        "The cat sat\non the  mat.",
        ["The dog sat\non the  mat.", "", "\t", "The cat sat on the mat", "ß 中文 😀"],
    ),
    "layout": (
        ["panel", "balloon"],
        PAGE,
        boxes(box("a"), box("b", "balloon"), box(3)),
        [
            boxes(),
            boxes(box("a", bbox=(11, 20, 30, 40)), box("b", "balloon"), box(3)),
            boxes(box("a", bbox=(10, 20, 31, 40.5)), box("b", "balloon"), box(3)),
            boxes(box("a", "balloon"), box("b", "balloon"), box(3)),
            boxes(box(3), box("a"), box("b", "balloon")),
            boxes(box("new"), box("b", bbox=(0, 0, 800, 600.5)), box("a"), box("end")),
        ],
    ),
    "image": (
        [],
        {"prompt": "a cat", "seed": 7},
        {"image": A},
        [
            {"image": B},
            {"prompt": "a black cat"},
            {"regions": [{"bbox": [0, 0, 10, 10], "note": "six fingers"}]},
            {"image": A, "prompt": "a black cat"},
        ],
    ),
}


def pointers(problems):
    return [problem.pointer for problem in problems]


def faults(name, value, labels=(), input_=None):
    """Return the places that are wrong in an output; all have the one documented code."""
    problems = MODALITIES[name].validate_output(value, labels=labels, input_=input_)
    assert {problem.code for problem in problems} <= {"feedback.schema_mismatch"}
    return pointers(problems)
