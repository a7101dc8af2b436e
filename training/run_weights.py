"""What the rows of a run weigh: as trust and silence stood when it began, and for ever after."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from django.db import transaction

from feedback import contributors
from feedback.models import Standing
from training import datasets
from training.models import DatasetVersion, Run
from training.weighing import LEAST_WEIGHT, Floats, speakers, weigh


def of_rows(run: Run, version: DatasetVersion, rows: Sequence[datasets.Row]) -> Floats:
    """Return the weights of a version's rows (n,); what they go by is noted on the run."""
    _decide(run)
    silence = run.weighing["silence"]
    base = np.array([row.weight * (silence if row.source == "silence" else 1) for row in rows])
    if not run.weighing["trust"]:
        return np.asarray(np.maximum(base, LEAST_WEIGHT), dtype=np.float64)
    known = contributors.standings_as_of(run.task, run.weighing["as_of"])
    behind = datasets.people_behind(version)
    people = sorted(set().union(*behind.values()))
    standings = [known.get(user_id, (Standing.PROBATION, 1.0)) for user_id in people]
    is_new = np.array([standing == Standing.PROBATION for standing, _ in standings], dtype=bool)
    trust = np.array([share for _, share in standings], dtype=np.float64)
    place = {user_id: n for n, user_id in enumerate(people)}
    crowds = [[place[user_id] for user_id in behind.get(row.row_hash, ())] for row in rows]
    weights, how = weigh(base, speakers(crowds, trust, is_new), trust, is_new)
    run.weighing |= asdict(how)
    return weights


def _decide(run: Run) -> None:
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
