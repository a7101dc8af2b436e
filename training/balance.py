"""What is in a version, how that differs from what is served, and where its champion is worse."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from django.db import connection

from feedback.intervals import Interval, wilson
from feedback.models import Task
from feedback.normalise import normalise
from privacy.models import Scope
from training import bias, datasets, gates, runs, slices
from training.bias import ALPHA, Sample, Share, Slice, Topics
from training.curation.permission import WORD, parameters, refuses
from training.models import DatasetVersion, ModelVersion, Run
from training.trainers import TRAINERS

# Of larger versions the first rows are read: rows are ordered by hash, which is chance.
MOST_ROWS, MOST_SERVED, MOST_ASKED = 20_000, 10_000, 2_000
DAYS = 30
LISTED = 20
UNDESIRED = "undesirable"  # rows that say what is wrong
LATELY = f"in the last {DAYS} days"
NOTHING = (
    f"There is nothing to compare: no rows to train on, or nothing that your server sent {LATELY}."
)
METHOD = (
    "Of large versions and much traffic a part is read, see rows and served. Shares: Fisher's"
    " exact test, what one person says often counts for less. Slices: the same test, one-sided,"
    " against the rest of the holdout. In each table p-values are adjusted by Holm; intervals are"
    " 95% limits of one value (Wilson, Newcombe). Topics are k-means clusters of texts."
)
_RECENT = """
    FROM feedback_inference AS i LEFT JOIN privacy_apikey AS k ON k.id = i.api_key_id
    WHERE i.task_id = %(task)s AND i.created_at >= now() - make_interval(days => %(days)s)
    AND i.is_verified AND (k.id IS NULL OR k.scope = %(manage)s)"""
_COUNT = f"SELECT count(*) {_RECENT}"
_SERVED = f"""
    WITH {WORD} SELECT i.input::text, i.output::text, i.user_id {_RECENT}
    AND i.number %% %(step)s = 0 AND NOT {refuses("i.user_id")} ORDER BY i.number"""
Document = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Served:
    """Answers of the last days that the product's own server gave: every so many-th of them."""

    answers: int
    texts: list[str]
    outputs: list[Any]
    people: slices.Column


@dataclass(frozen=True, eq=False)
class Reading:
    """The rows of a version that are read, with columns (n,), beside the traffic that is."""

    version: DatasetVersion
    rows: list[datasets.Row]
    texts: list[str]
    columns: dict[str, slices.Column]
    people: slices.Column
    served: Served
    served_topics: list[str]


def of_version(version: DatasetVersion) -> Document:
    """Return what is in a version, shift and coverage against traffic, and slices by the champion.

    Nobody who withdrew consent to training is counted. Raises VersionNotReady.
    """
    read = _read(version)
    rows = {"total": version.counts["total"], "read": len(read.rows)}
    return {
        "dataset": version.name,
        "version": version.version,
        "method": METHOD,
        "rows": rows,
        "served": {"days": DAYS, "answers": read.served.answers, "read": len(read.served.texts)},
        "content": _content(read),
        "label_shift": _label_shift(read),
        "coverage": _coverage(read),
        "slices": _slices(read),
        "contributors": _contributors(version),
    }


def _read(version: DatasetVersion) -> Reading:
    task = version.dataset.task
    rows = list(islice(datasets.rows(version), MOST_ROWS))
    texts, served = slices.readings(task, rows), _served(task)
    topics = Topics(texts + served.texts, seed=0)  # of both: what only was served has its own
    facts = slices.facts_of(rows, task.options.slice_keys)
    columns = slices.told_apart(task, rows, topics.named(texts)) | facts.columns
    served_topics = topics.named(served.texts)
    return Reading(version, rows, texts, columns, facts.people, served, served_topics)


def _served(task: Task) -> Served:
    asked = parameters(task) | {"days": DAYS, "manage": str(Scope.MANAGE)}
    decode = msgspec.json.decode
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, asked)
        (answers,) = cursor.fetchone()
        step = max(1, -(-answers // MOST_SERVED))
        cursor.execute(_SERVED, asked | {"step": step})
        found = [(decode(input_), decode(out), who) for input_, out, who in cursor.fetchall()]
    texts = [normalise(task.kind.text_of(input_)) for input_, _, _ in found]
    return Served(answers, texts, [row[1] for row in found], [row[2] for row in found])


def _content(read: Reading) -> list[Document]:
    """Count the commonest values of each column; what is not known is not counted."""
    columns = dict(read.columns)
    for name in ("source", "split"):
        columns[name] = [getattr(row, name) for row in read.rows]
    return [
        {
            "by": by,
            "values": [
                {"value": value, "rows": n, "share": n / len(read.rows)}
                for value, n in Counter(v for v in column if v is not None).most_common(LISTED)
            ],
        }
        for by, column in columns.items()
    ]


def _label_shift(read: Reading) -> Document:
    task = read.version.dataset.task
    shares = bias.compare(
        _trained(read, [_labels(task, row.output) for row in read.rows]),
        _sample([_labels(task, output) for output in read.served.outputs], read.served.people),
    )
    shown = [share for share in shares if share.p_value < ALPHA]
    says = f"No label is shown to be rarer or commoner in training than in answers {LATELY}."
    if not shares:
        says = NOTHING
    elif shown:
        says = _told("Label", shown[0])
    return {"says": says, "labels": [_share_document(share) for share in shares[:LISTED]]}


def _labels(task: Task, output: Any) -> list[str]:
    """Return the labels in an output of any modality: one, those of its boxes, or none."""
    if task.kind.has_label_output:
        return [output]
    boxes = output.get("boxes", []) if isinstance(output, dict) else []
    return [box["label"] for box in boxes]


def _coverage(read: Reading) -> Document:
    shares = bias.compare(
        _trained(read, [[str(topic)] for topic in read.columns["topic"]]),
        _sample([[topic] for topic in read.served_topics], read.served.people),
    )
    thin = [share for share in shares if _is_thin(share)]
    says = f"No topic served {LATELY} is thin in training."
    if not shares:
        says = NOTHING
    elif thin:
        says = _told("Topic", thin[0])
    topics = [_share_document(share) | {"is_thin": _is_thin(share)} for share in shares]
    return {"says": says, "topics": topics}


def _is_thin(share: Share) -> bool:
    """Tell whether training has less than half the share that was served."""
    return share.p_value < ALPHA and share.first < share.second / 2


def _trained(read: Reading, values: Sequence[list[str]]) -> Sample:
    said = [
        found if row.split == "train" and row.kind != UNDESIRED else []
        for found, row in zip(values, read.rows, strict=True)
    ]
    return _sample(said, read.people)


def _sample(values: Sequence[list[str]], people: slices.Column) -> Sample:
    """Gather what rows (n,) say; a row of nobody stands for itself."""
    said = [
        (value, place if person is None else person)
        for place, (found, person) in enumerate(zip(values, people, strict=True))
        for value in found
    ]
    return Sample([value for value, _ in said], [whose for _, whose in said])


def _share_document(share: Share) -> Document:
    return {
        "value": share.value,
        "trained": share.first,
        "served": share.second,
        **_limits("difference", share.difference),
        "p_value": share.p_value,
    }


def _limits(name: str, found: Interval) -> Document:
    return {name: found.estimate, f"{name}_low": found.low, f"{name}_high": found.high}


def _told(what: str, share: Share) -> str:
    return (
        f"{what} {share.value} is {share.first:.1%} of training and {share.second:.1%} of what"
        f" was served {LATELY}: {_points(share.difference)}."
    )


def _points(gap: Interval) -> str:
    low, high = 100 * gap.low, 100 * gap.high
    return f"{100 * gap.estimate:+.1f} points (95% interval {low:+.1f} to {high:+.1f})"


def _slices(read: Reading) -> Document:
    """Ask the champion the holdout, and compare each slice of it with the rest."""
    champion = gates.champion_of(read.version.dataset.task)
    asked = [] if champion is None else _to_ask(read, champion)
    if champion is None or not asked or champion.task.modality not in TRAINERS:
        says = "There is no champion to ask, or nothing held out that it was not trained on."
        return {"says": says, "slices": []}
    answers, _ = runs.predictor(runs.load(champion))([read.texts[n] for n in asked])
    right = [answer == read.rows[n].output for answer, n in zip(answers, asked, strict=True)]
    columns = {by: [column[n] for n in asked] for by, column in read.columns.items()}
    large, too_few = bias.slices_of(columns)
    judged = bias.judge_slices(np.array(right, dtype=bool), large)
    accuracy = wilson(sum(right), len(right))
    return {
        "says": _said_of(judged, accuracy, len(right)),
        "model_version": champion.version,
        "held_out_rows": len(right),
        **_limits("accuracy", accuracy),
        "least_rows": bias.LEAST_ROWS,
        "too_few": too_few,
        "slices": [_slice_document(found) for found in judged],
    }


def _to_ask(read: Reading, champion: ModelVersion) -> list[int]:
    """Return the places of held-out rows that say what is right and are new to the champion."""
    held_out = [
        (n, row.example_id)
        for n, row in enumerate(read.rows)
        if row.split == "holdout" and row.kind != UNDESIRED
    ]
    learnt = runs.learnt_of(champion, [example for _, example in held_out])
    return [n for n, example in held_out if example not in learnt][:MOST_ASKED]


def _slice_document(found: Slice) -> Document:
    return {
        "by": found.by,
        "value": found.value,
        "rows": found.n,
        **_limits("accuracy", found.accuracy),
        "rest": found.rest.estimate,
        **_limits("difference", found.difference),
        "p_value": found.p_value,
        "is_worse": found.is_worse,
    }


def _said_of(judged: list[Slice], accuracy: Interval, n: int) -> str:
    overall = f"The champion is right on {accuracy.estimate:.1%} of {n:,} held-out rows."
    if not judged or not judged[0].is_worse:
        return f"{overall} Of {len(judged)} slices none is shown to be worse than the rest."
    worst = judged[0]
    return (
        f"{overall} Worst is {worst.by} {worst.value}: right on {worst.accuracy.estimate:.1%} of"
        f" {worst.n:,}, {_points(worst.difference)} from the rest."
    )


def _contributors(version: DatasetVersion) -> Document:
    """Return how far single contributors were held back when a run last weighed the version."""
    weighed = Run.objects.filter(dataset_version=version, weighing__has_key="capped")
    run = weighed.order_by("-pk").first()
    if run is None:
        return {"says": "No run has weighed this version by trust yet."}
    names = ("contributors", "capped", "largest_share", "largest_share_capped")
    found = {name: run.weighing.get(name) for name in names}
    says = f"{found['capped']} of {found['contributors']} contributors were capped."
    return {"says": says} | found
