"""Which examples a version takes, and why the others were left out."""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec
from django.db import connection, transaction

from feedback.models import Task
from training.curation import content
from training.curation.alike import SPLITS, Sides
from training.curation.content import Content, Pictures
from training.curation.deciding import GONE, GUARD, decide
from training.curation.settings import DatasetSettings, settings_of
from training.models import Dataset, Reason
from training.purposes import PURPOSES, Purpose

__all__ = [
    "GONE",
    "GUARD",
    "DatasetSettings",
    "Sides",
    "choose",
    "decide",
    "judge",
    "rules_of",
    "settings_of",
]
RULES = 3  # raised when what is decided here or hashed changes: versions are then built whole
_JUDGED = """
    DROP TABLE IF EXISTS judged;
    CREATE TEMPORARY TABLE judged (
        example_id bigint PRIMARY KEY, split text, reason text, row_hash bytea,
        holdout_example_id bigint, similarity float8
    ) ON COMMIT DROP"""
_COPY = "COPY judged (example_id, split, reason, row_hash) FROM STDIN"


def rules_of(dataset: Dataset) -> str:
    """Return a digest of what decides besides rows: a version may only build on its like."""
    task = dataset.task
    rules = (
        *(RULES, dataset.purpose, settings_of(dataset), task.project.consent_default),
        *(sorted(task.labels) if task.kind.has_label_output else [], task.silence_weight > 0),
    )
    return hashlib.sha256(msgspec.json.encode(rules, order="sorted")).hexdigest()


def choose(dataset: Dataset, sides: Sides | None, *, since: int | None) -> None:
    """Fill the temporary tables `decided` and `judged` with all of the task, or what changed."""
    decide(dataset, settings_of(dataset), since=since)
    judge(dataset, sides, is_whole=since is None)


def judge(dataset: Dataset, sides: Sides | None, *, is_whole: bool) -> None:
    """Fill the temporary table `judged` with what `decided` leaves in.

    It says of each example that rows would let in its hash, or why it stays out: the holdout
    wins, an input that any of its rows has, or nearly has, is never trained on.
    """
    purpose, settings = PURPOSES[dataset.purpose], settings_of(dataset)
    with connection.cursor() as cursor:
        cursor.execute(_JUDGED)
    rows: dict[str, Iterable[list[Content]]] = {
        split: (_judge(dataset.task, purpose, settings, part) for part in content.of_decided(split))
        for split in SPLITS
    }
    if sides is not None:
        rows["holdout"] = chain(rows["holdout"], content.of_decided("holdout", reason=GUARD))
        sides.add(rows, is_whole=is_whole)
    else:
        for _ in chain.from_iterable(rows.values()):
            pass  # judged as they are read


def guards_of(dataset: Dataset, *, unless_since: int) -> Iterator[list[Content]]:
    """Yield what the task holds out and the dataset never takes, if nothing changed it since."""
    settings = settings_of(dataset)
    with transaction.atomic():
        decide(dataset, settings, since=unless_since)
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM decided")
            changed = {pk for (pk,) in cursor.fetchall()}
        decide(dataset, settings, since=None)
        for rows in content.of_decided("holdout", reason=GUARD):
            yield [row for row in rows if row.id not in changed]


def _judge(
    task: Task, purpose: Purpose, settings: DatasetSettings, rows: list[Content]
) -> list[Content]:
    """Write rows to `judged`, and return those that are fit."""
    pictures = Pictures(task, rows)
    fit = []
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for row in rows:
            reason = ""
            if purpose.is_split and content.is_short(task.kind, row, settings.shortest):
                reason = Reason.TOO_SHORT
            elif purpose.has_rejected and pictures.is_near_identical(row):
                reason = Reason.NEAR_IDENTICAL
            else:
                fit.append(row)
            digest = None if reason else content.hash_of(row, pictures)
            copy.write_row((row.id, row.split, reason, digest))
    return fit
