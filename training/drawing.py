"""The way of feedback into a model as a picture: its stages, each with its page in the admin."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse

from training.became import teaches
from training.lineage import Document
from training.models import Reason

STEP, NODE = 72, 52  # from stage to stage and the height of one, in the picture's units
MOST_CHARACTERS = 40  # that fit a line of the picture
LISTED = 20  # things of a stage beside the picture


@dataclass(frozen=True)
class Thing:
    """One thing on the way; `url` is its page, "" where it has none."""

    label: str
    url: str = ""


@dataclass(frozen=True)
class Stage:
    """One step of the way and what is there of it, the newest last."""

    name: str
    things: list[Thing]

    @property
    def newest(self) -> Thing:
        return self.things[-1] if self.things else Thing("none yet")

    @property
    def text(self) -> str:
        """What the picture says: the newest thing, and how many there are beside it."""
        more = f" and {len(self.things) - 1} more" if len(self.things) > 1 else ""
        label, room = self.newest.label, MOST_CHARACTERS - len(more)
        return (label if len(label) <= room else f"{label[: room - 1]}…") + more

    @property
    def listed(self) -> list[Thing]:
        return self.things[: -LISTED - 1 : -1]


def picture(document: Document) -> str:
    """Return the HTML of the way that a lineage tells; it has primary keys (`has_keys`)."""
    stages = _stages(document)
    placed = [(number * STEP + 1, stage) for number, stage in enumerate(stages)]
    height = len(stages) * STEP - STEP + NODE + 2
    return render_to_string("emend/lineage.html", {"placed": placed, "height": height})


def _stages(document: Document) -> list[Stage]:
    first = document.get("dataset_version", document)  # of a model, of a version
    versions = document.get("dataset_versions", [first] if first else [])
    by_time = sorted(versions, key=lambda row: row["as_of"] or "")  # a lineage has them by name
    models = document.get("models", [document])
    return [
        *(_said(document) if "examples" in document else _counted(first)),
        _stage("Dataset version", "training_datasetversion", "{dataset} v{version}", by_time),
        _stage("Run", "training_run", "{status}, {created_at:.10}", document["runs"]),
        _stage(
            "Model", "training_modelversion", "{task} v{version}{serving}", map(_serving, models)
        ),
        _stage("Rollout", "training_rollout", "{status}, {created_at:.10}", document["rollouts"]),
    ]


def _stage(name: str, page: str, words: str, rows: Iterable[Any]) -> Stage:
    return Stage(name, [Thing(words.format(**row), _page(page, row["pk"])) for row in rows])


def _page(name: str, pk: int) -> str:
    return reverse(f"admin:{name}_change", args=[pk])


def _serving(model: Document) -> Document:
    aliases = ", ".join(model["aliases"])
    return model | {"serving": f", {aliases}" if aliases else ""}


def _said(document: Document) -> list[Stage]:
    """Return the stages of one feedback and of its examples."""
    feedback = Thing(
        f"{document['signal']}, {document['status']}", _page("feedback_feedback", document["pk"])
    )
    return [
        Stage("Feedback", [feedback]),
        Stage("Example", [Thing(_state(row)) for row in document["examples"]]),
    ]


def _state(example: Document) -> str:
    """Say what an example is for now; if no dataset has it, which left it out last and why."""
    if not example["is_current"]:
        return "replaced by a later decision"
    stays, gaps = (
        [stay for stay in example[name] if stay["until"] is None]
        for name in ("versions", "left_out")
    )
    if gaps and not stays:
        # The dataset comes last: the picture cuts what is too long.
        return f"left out: {Reason(gaps[-1]['reason']).label} ({gaps[-1]['dataset']})"
    is_taught = any(map(teaches, stays)) if stays else example["split"] == "train"
    return "to teach models" if is_taught else "to test models"


def _counted(version: Document | None) -> list[Stage]:
    """Return the same stages of a version: how many there are."""
    if not version:
        return []
    count = version["feedback_source"].get("count", 0)
    total = version["counts"].get("total", 0)
    return [
        Stage("Feedback", [Thing(f"{count:,}")] if count else []),
        Stage("Examples", [Thing(f"{total:,}")] if total else []),
    ]
