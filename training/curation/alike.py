"""Keep train rows away from rows of the holdout that they are like, by files beside the database.

The files hold hashes of what was ever a member, may hold more than is there now, and are made again
where they are missing: only the database says what counts.
"""

import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

import numpy as np
from django.conf import settings
from django.db import connection

from training.curation import content, deciding
from training.curation.content import Content, Pictures
from training.curation.settings import settings_of
from training.models import Dataset, DatasetVersion, Reason
from training.near import Match, NearIndex, Signed, TooAlike, find, sign

logger = logging.getLogger(__name__)
SPLITS = ("holdout", "train")
PASSES = 2  # over what changed, for one version
CLAIMS = 8  # more than ever try to build one
_COUNTS = """
    SELECT asked.id FROM unnest(%(ids)s::bigint[]) AS asked(id) WHERE EXISTS (
        SELECT 1 FROM judged AS j
        WHERE j.example_id = asked.id AND j.split = %(split)s AND j.reason = ''
    ) OR EXISTS (
        SELECT 1 FROM training_membership AS m WHERE m.dataset_id = %(dataset)s
        AND m.example_id = asked.id AND m.until_version IS NULL AND m.split = %(split)s
        AND NOT EXISTS (SELECT 1 FROM decided AS d WHERE d.id = m.example_id)
    )"""
_FOUND = """
    WITH found AS (
        SELECT * FROM unnest(%(rows)s::bigint[], %(others)s::bigint[], %(similar)s::float8[],
            %(reasons)s::text[]) AS f(example_id, holdout_example_id, similarity, reason)
    ), late AS (
        INSERT INTO decided (id, split, kind, reason) SELECT f.example_id, 'train', '', ''
        FROM found AS f WHERE NOT EXISTS (SELECT 1 FROM decided AS d WHERE d.id = f.example_id)
    )
    INSERT INTO judged (example_id, split, reason, holdout_example_id, similarity)
    SELECT example_id, 'train', reason, holdout_example_id, similarity FROM found
    ON CONFLICT (example_id) DO UPDATE SET reason = excluded.reason,
        holdout_example_id = excluded.holdout_example_id, similarity = excluded.similarity"""


class Sides:
    """The two sides of a dataset while one version of it is built, in one pass or more."""

    def __init__(
        self, dataset: Dataset, *, version: DatasetVersion, parent: DatasetVersion | None
    ) -> None:
        """Continue from the parent's files; without a parent they are begun anew.

        `is_compared` becomes false where too many texts are alike to compare them all.
        """
        self._dataset = dataset
        self._settings = settings_of(dataset)
        self._task = dataset.task
        # Named so that no other database's files are taken for this one's.
        name = f"{version.cluster}-{dataset.pk}-{dataset.created_at.timestamp():.0f}"
        self._folder = Path(settings.DATA_DIR) / "near" / name
        self._steps = count(_first_step(version))
        self.is_compared = True
        covered = 0 if parent is None else self._covered(parent)
        if not covered:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._indexes = {split: NearIndex(self._folder / split) for split in SPLITS}
        if parent is not None and covered < parent.version:
            self._catch_up(covered, parent)

    def _covered(self, parent: DatasetVersion) -> int:
        """Return the version that the files are of, 0 where they are of none that was finished.

        Another machine may have built since, or this one may have died over its own build.
        """
        steps = {NearIndex(self._folder / split).covered for split in SPLITS}
        ready = self._dataset.versions.filter(status="ready", version__lte=parent.version)
        known = {_last_step(v): v.version for v in ready.only("version", "attempts", "dataset")}
        return known.get(steps.pop(), 0) if len(steps) == 1 else 0

    def _catch_up(self, covered: int, parent: DatasetVersion) -> None:
        for split, index in self._indexes.items():
            parts = content.of_members(self._dataset, parent.version, split, after=covered)
            if split == "holdout" and self._dataset.purpose != "train":
                deciding.decide(self._dataset, self._settings, since=None)
                parts = chain(parts, content.of_decided(split, reason=deciding.GUARD))
            index.add(_last_step(parent), self._signed(parts))

    def add(self, rows: Mapping[str, Iterable[list[Content]]], *, is_whole: bool) -> None:
        """Take rows of both sides, of the holdout first, and mark in `judged` those to leave out.

        Each row of the train side is that is like one of the holdout; where these are not all of
        the task's rows, members that are like a new one of the holdout are too.
        """
        step = next(self._steps)
        new: dict[str, list[Signed]] = {split: [] for split in SPLITS}
        for split in SPLITS:
            signed = self._signed(rows[split])
            self._indexes[split].add(step, signed if is_whole else _kept(signed, new[split]))
        if is_whole:
            self._find(self._indexes["train"], "holdout", "row")
            return
        self._find(Signed.joined(new["train"]), "holdout", "row")
        self._find(Signed.joined(new["holdout"]), "train", "other")

    def _signed(self, parts: Iterable[list[Content]]) -> Iterator[Signed]:
        """Sign each part while the next is read."""
        waiting: Future[Signed] | None = None
        with ThreadPoolExecutor(1) as beside:
            for rows in parts:
                pictures = Pictures(self._task, rows)
                following = beside.submit(
                    sign,
                    [row.id for row in rows],
                    [row.input_hash for row in rows],
                    [content.near_text(self._task.kind, row.input, row.output) for row in rows],
                    [pictures.of(row.output) for row in rows],
                )
                if waiting is not None:
                    yield waiting.result()
                waiting = following
            if waiting is not None:
                yield waiting.result()

    def _find(self, rows: Signed | NearIndex, split: str, settle: Literal["row", "other"]) -> None:
        def read(ids: Iterable[int]) -> dict[int, str]:
            return content.near_texts(self._task, ids)

        def counts(ids: Any) -> Any:
            if isinstance(rows, NearIndex):  # both sides are of this very build
                return np.ones(len(ids), bool)
            return self._counting(ids, split)

        ways = {"read_mine": read, "read_others": read, "counts": counts}
        found: list[Match] = []
        try:
            for match in find(rows, self._indexes[split], settle=settle, **ways):
                found.append(match)  # what came before a refusal stands
        except TooAlike:
            logger.warning("dataset.too_alike dataset=%s", self._dataset.name)
            self.is_compared = False
        is_turned = settle == "other"
        self._write([m._replace(row=m.other, other=m.row) if is_turned else m for m in found])

    def _counting(self, ids: Any, split: str) -> Any:
        asked = {"ids": np.unique(ids).tolist(), "split": split, "dataset": self._dataset.pk}
        with connection.cursor() as cursor:
            cursor.execute(_COUNTS, asked)
            counting = [pk for (pk,) in cursor.fetchall()]
        others = sorted(set(asked["ids"]) - set(counting)) if split == "holdout" else []
        if others:
            counting += deciding.guards_among(self._dataset, self._settings, others)
        return np.isin(ids, np.array(counting, dtype=np.int64))

    def _write(self, found: list[Match]) -> None:
        columns: dict[str, list[Any]] = {
            "rows": [match.row for match in found],
            "others": [match.other for match in found],
            "similar": [match.similarity for match in found],
            "reasons": [
                Reason.IN_HOLDOUT if match.is_same else Reason.NEAR_HOLDOUT for match in found
            ],
        }
        with connection.cursor() as cursor:
            cursor.execute(_FOUND, columns)


def _first_step(version: DatasetVersion) -> int:
    """Return a number that no other attempt at any version has."""
    return (version.version * CLAIMS + version.attempts) * PASSES


def _last_step(version: DatasetVersion) -> int:
    return _first_step(version) + PASSES - 1


def _kept(parts: Iterable[Signed], kept: list[Signed]) -> Iterator[Signed]:
    for part in parts:
        kept.append(part)
        yield part
