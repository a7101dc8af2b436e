"""Replace what serves by what it would be had an erased person never been there: bit by bit.

The same run, with its seed and settings and what it weighed rows by, on the same version without
that person's rows. Other people's decisions count as they were recorded; all else, as which rows
are like one of the holdout, is computed anew.
"""

import time
from collections import Counter
from contextlib import suppress

from django.db import transaction
from django.db.models import F, QuerySet

from config import leases
from config.errors import FileDamaged, LeaseLost
from privacy.errors import NotErased
from privacy.holders import Counts
from privacy.models import ErasureRequest
from training import datasets, gates, rollouts, runs
from training.errors import CannotJudge, TrainingDataUnfit
from training.models import Fate, ModelErasure, ModelVersion, Run

LOOK_SECONDS = 1.0
MOST_RUNS = 3  # for one model, an older one that had failed with them
# What a run went by that people decided, or that was found of them; strata and caps are its own.
DECIDED = ("trust", "as_of", "silence", "slice_keys")


def retrain(erasure: ErasureRequest) -> Counts:
    """Replace the models of an erasure that have an alias; a canary with any of them ends.

    What was replaced before it was cut off stays so.
    """
    concerned = decided_by(erasure)
    waiting = concerned.filter(fate=Fate.PENDING).order_by("model_version")
    for row in waiting.select_related("model_version__task", "model_version__run"):
        if row.model_version.aliases.exists():
            _replace(erasure, row)
        else:
            rollouts.replace(row.model_version, None)
    fates = Counter(concerned.values_list("fate", flat=True))
    return {
        f"training.ModelVersion {fate}": fates[fate] for fate in (Fate.REPLACED, Fate.WITHDRAWN)
    }


def decided_by(erasure: ErasureRequest) -> QuerySet[ModelErasure]:
    """Return what became of models, but of those that an earlier erasure had withdrawn."""
    concerned = ModelErasure.objects.filter(erasure=erasure.uuid)
    return concerned.exclude(model_version__withdrawn_at__lt=F("at"))


def _replace(erasure: ErasureRequest, row: ModelErasure) -> None:
    new = _trained(erasure, row)
    with transaction.atomic():
        leases.require_held(erasure)
        rollouts.replace(row.model_version, new)
        row.fate = Fate.WITHDRAWN if new is None else Fate.REPLACED
        row.replacement = new
        row.save(update_fields=["fate", "replacement"])


def _trained(erasure: ErasureRequest, row: ModelErasure) -> ModelVersion | None:
    """Return the exact retrain of a model, None if what is left cannot train one.

    Raises NotErased where it fails otherwise each time: then the erasure can be tried again.
    """
    failed = None
    for _ in range(MOST_RUNS):
        run = _run_of(erasure, row, failed)
        while run.status in {"queued", "running"}:
            _go_on(run)
            run.refresh_from_db()
        new = ModelVersion.objects.filter(run=run).first()
        if new is not None or run.error.startswith(TrainingDataUnfit.code):
            return new
        failed = run  # as when its worker died too often: that says nothing of the rows
    raise NotErased(f"{row.model_version} cannot be trained again: {run.error}")


@transaction.atomic
def _run_of(erasure: ErasureRequest, row: ModelErasure, failed: Run | None) -> Run:
    """Return the run for a model's place; where there is none but one that failed, queue it.

    It is like the model's own, on a version without the erased that is built for it. Raises
    LeaseLost where another worker is at the erasure by now.
    """
    row.refresh_from_db(fields=["run"])
    if row.run is not None and row.run != failed:
        return row.run
    old = row.model_version.run
    version = old.dataset_version
    if version is None:
        raise TrainingDataUnfit(f"What {row.model_version} was trained on is not known.")
    as_of = max(old.created_at, version.as_of or old.created_at)
    without = datasets.build_without(version, as_of=as_of)
    row.run = Run.objects.create(
        task=old.task,
        dataset=without.dataset,
        dataset_version=without,
        strategy=old.strategy,
        config=old.config,
        seed=old.seed,
        weighing={name: old.weighing[name] for name in DECIDED if name in old.weighing},
    )
    leases.require_held(erasure)  # only now: whoever asks for the erasure waits for this lock
    row.save(update_fields=["run"])
    return row.run


def _go_on(run: Run) -> None:
    """Execute a run unless somebody is at it; raises Unavailable."""
    claimed = runs.claim(Run.objects.filter(pk=run.pk, status__in=["queued", "running"]))
    if claimed is None:
        time.sleep(LOOK_SECONDS)
        return
    with suppress(LeaseLost), leases.heartbeat(claimed):
        try:
            model = runs.train(claimed)
        except TrainingDataUnfit as error:
            runs.finish(claimed, "failed", error)
            return
        try:
            gates.judge_run(claimed, model)
        except (CannotJudge, FileDamaged) as error:
            runs.finish(claimed, "refused", error)
