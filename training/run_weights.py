"""What the rows of a run weigh: as trust and silence stood when it began, and for ever after."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from django.db import transaction

from feedback import contributors
from feedback.models import Standing
from training import curation, datasets, slices
from training.models import DatasetVersion, Run
from training.weighing import LEAST_WEIGHT, Floats, speakers, weigh


def of_rows(run: Run, version: DatasetVersion, rows: Sequence[datasets.Row]) -> Floats:
    """Return the weights of a version's rows (n,); what they go by is noted on the run."""
    _decide(run, version)
    silence = run.weighing["silence"]
    base = np.array([row.weight * (silence if row.source == "silence" else 1) for row in rows])
    said_by = _said_by(run, version, rows)
    weights = _weigh(run, base, said_by)
    if "slice_keys" not in run.weighing or not rows:
        return weights
    # Trust comes first: strata go by what is believed. The cap of a contributor has the last word.
    strata = slices.strata_of(run.task, rows, run.weighing["slice_keys"], seed=run.seed)
    factors, run.weighing["strata"] = slices.factors_of(strata, weights)
    return _weigh(run, base * factors, said_by)


def _weigh(run: Run, base: Floats, said_by: tuple[Any, Any, Any] | None) -> Floats:
    if said_by is None:
        return np.asarray(np.maximum(base, LEAST_WEIGHT), dtype=np.float64)
    weights, how = weigh(base, *said_by)
    run.weighing |= asdict(how)
    return weights


def _said_by(
    run: Run, version: DatasetVersion, rows: Sequence[datasets.Row]
) -> tuple[Any, Any, Any] | None:
    """Return who speaks for each row (n,), their trust and whether they are new (c,), if asked."""
    if not run.weighing["trust"]:
        return None
    known = contributors.standings_as_of(run.task, run.weighing["as_of"])
    behind = datasets.people_behind(version)
    people = sorted(set().union(*behind.values()))
    standings = [known.get(user_id, (Standing.PROBATION, 1.0)) for user_id in people]
    is_new = np.array([standing == Standing.PROBATION for standing, _ in standings], dtype=bool)
    trust = np.array([share for _, share in standings], dtype=np.float64)
    place = {user_id: n for n, user_id in enumerate(people)}
    crowds = [[place[user_id] for user_id in behind.get(row.row_hash, ())] for row in rows]
    return speakers(crowds, trust, is_new), trust, is_new


def _decide(run: Run, version: DatasetVersion) -> None:
    """Note once what the run goes by, so that it can be built again."""
    if run.weighing:
        return
    with transaction.atomic():
        as_of = contributors.newest_decision(run.task)
    task = run.task
    run.weighing = {
        "trust": task.options.trust,
        "as_of": as_of,
        "silence": task.silence_weight,
    }
    if curation.settings_of(version.dataset).is_balanced:
        run.weighing["slice_keys"] = task.options.slice_keys
