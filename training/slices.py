"""By what rows are told apart: topic, label, month, and the keys that a task declares."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import starmap

import numpy as np
from django.db.models import F
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce

from feedback.models import Example, Task
from feedback.normalise import normalise
from training.bias import LEAST_ROWS, Floats, Topics, places, temper
from training.datasets import Row

CHUNK_ROWS = 10_000
VALUE_CHARS = 100
OTHER = "other"
Column = list[str | None]


@dataclass(frozen=True, eq=False)
class Facts:
    """What the record says of rows: whose each is, and columns by name; None is not known."""

    people: Column
    columns: dict[str, Column]


def facts_of(rows: Sequence[Row], keys: Sequence[str]) -> Facts:
    """Look up rows by their examples: the month of capture, and what metadata says under `keys`.

    A feedback's own metadata counts before its answer's. Of what was erased nothing is known.
    """
    known = Example.objects.annotate(
        person=Coalesce("feedback__user_id", "inference__user_id"),
        at=Coalesce("feedback__created_at", "inference__created_at", "created_at"),
        answer=Coalesce("feedback__inference__metadata", "inference__metadata"),
        said=F("feedback__metadata"),
    )
    for place, key in enumerate(keys):
        value = Coalesce(KeyTextTransform(key, "said"), KeyTextTransform(key, "answer"))
        known = known.annotate(**{f"key_{place}": value})
    names = ["person", "at", *(f"key_{place}" for place in range(len(keys)))]
    ids = [row.example_id for row in rows]
    found = {}
    for start in range(0, len(ids), CHUNK_ROWS):
        chunk = known.filter(pk__in=ids[start : start + CHUNK_ROWS]).values_list("pk", *names)
        found.update({pk: values for pk, *values in chunk})
    facts = [found.get(pk, [None] * len(names)) for pk in ids]
    columns: dict[str, Column] = {"month": [at and f"{at:%Y-%m}" for _, at, *_ in facts]}
    for place, key in enumerate(keys):
        columns[key] = [fact[place + 2] and fact[place + 2][:VALUE_CHARS] for fact in facts]
    return Facts([person for person, *_ in facts], columns)


def readings(task: Task, rows: Sequence[Row]) -> list[str]:
    return [normalise(task.kind.text_of(row.input)) for row in rows]


def told_apart(task: Task, rows: Sequence[Row], topics: Sequence[str]) -> dict[str, Column]:
    """Return the columns of rows (n,) that their content gives."""
    columns: dict[str, Column] = {"topic": [*topics]}
    if task.kind.has_label_output:
        columns["label"] = [row.output for row in rows]
    return columns


def strata_of(task: Task, rows: Sequence[Row], keys: Sequence[str], *, seed: int) -> list[str]:
    """Name the stratum of each row (n,): topic, label, month and declared keys.

    Values of fewer than LEAST_ROWS rows make one. Topics go by number: their words are content.
    """
    texts = readings(task, rows)
    topics = [str(topic + 1) for topic in Topics(texts, seed=seed).of(texts)]
    columns = told_apart(task, rows, topics) | facts_of(rows, keys).columns
    return list(map(", ".join, zip(*starmap(_common, columns.items()), strict=True)))


def _common(by: str, column: Column) -> list[str]:
    common = {value for value, rows in places(column).items() if rows.size >= LEAST_ROWS}
    return [f"{by} {value if value in common else OTHER}" for value in column]


def factors_of(strata: Sequence[str], weights: Floats) -> tuple[Floats, dict[str, float]]:
    """Return what rows of these strata and weights (n,) are multiplied by (n,), and by stratum."""
    names, stratum = np.unique(np.array(strata, dtype=object), return_inverse=True)
    factors = temper(np.bincount(stratum, weights).astype(np.float64))
    return factors[stratum], dict(zip(names.tolist(), factors.tolist(), strict=True))
