"""One training execution: dataset version + config + seed -> a model version."""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from config import leases, storage
from config.errors import EmendError, Malformed, Problem
from feedback.models import Example, Task
from feedback.normalise import normalise
from training import datasets, evaluation, run_weights, slices
from training.classifiers import LinearClassifier
from training.datasets import shards
from training.errors import CannotJudge, NoTrainer, TrainingDataUnfit
from training.evaluation import Answers, Case, Predictor
from training.models import Dataset, DatasetVersion, ModelVersion, Run
from training.trainers import TRAINERS
from training.weighing import Floats

logger = logging.getLogger(__name__)
Progress = Callable[[float], None]


def request(
    task: Task,
    *,
    dataset: Dataset | None = None,
    version: DatasetVersion | None = None,
    seed: int = 0,
    config: dict[str, Any] | None = None,
) -> Run:
    """Queue a full retrain; without `version` the dataset's next version is built for it."""
    if task.modality not in TRAINERS:
        raise NoTrainer(f"There is no trainer for {task.modality}.")
    dataset = dataset or (version and version.dataset) or datasets.default_dataset(task)
    if dataset.task_id != task.pk or dataset.purpose != "train":
        said = f"{dataset} is not of the task {task}."
        if dataset.task_id == task.pk:
            said = f"{dataset} is for {dataset.purpose}: a run takes a dataset for train."
        problem = Problem("/dataset", Malformed.code, said)
        raise Malformed(problem.detail, errors=[problem])
    version = version or datasets.request_version(dataset)
    return Run.objects.create(
        task=task, dataset=dataset, dataset_version=version, seed=seed, config=config or {}
    )


def executable() -> QuerySet[Run]:
    """Return runs to execute: their dataset version is built, and they have not ended.

    Exact retrains are the erasure's own, which goes on with them.
    """
    return Run.objects.filter(status__in=["queued", "running"], replacing=None).exclude(
        dataset_version__status="building"
    )


def waiting_seconds() -> float | None:
    return leases.waiting_seconds(executable())


def claim(runs: QuerySet[Run] | None = None) -> Run | None:
    run = leases.claim(executable() if runs is None else runs)
    if run is not None and run.status == "queued":
        run.move_to("running")
        run.save(update_fields=["status"])
    return run


def train(run: Run, on_progress: Progress = lambda _ratio: None) -> ModelVersion:
    """Train a claimed run and register its model; the run stays `running` until it is gated.

    Raises TrainingDataUnfit when the rows cannot train a model. Trained again after its worker
    died, a run gives the same artefact and keeps one model version.
    """
    started, cpu_started = time.monotonic(), time.process_time()
    version = _ready_version(run)
    rows = list(datasets.rows(version, split="train"))

    def show(ratio: float) -> None:
        Run.objects.filter(pk=run.pk).update(progress_ratio=ratio)
        on_progress(ratio)

    classifier = fit(run, rows, run_weights.of_rows(run, version, rows), show)
    data = classifier.to_bytes()
    cases = cases_of(version)
    scores = evaluation.score(predictor(classifier), cases)
    run.metrics = {
        "train_rows": len(rows),
        "temperature": classifier.temperature,
        "environment": import_module(TRAINERS[run.task.modality]).environment(),
        "holdout": evaluation.holdout_summary(scores, cases),
    }
    run.fingerprint = fingerprint(version, run)
    run.cost = {
        "seconds": round(time.monotonic() - started, 3),
        "cpu_seconds": round(time.process_time() - cpu_started, 3),
    }
    with transaction.atomic():
        leases.require_held(run)
        run.save(update_fields=["metrics", "fingerprint", "cost", "weighing"])
        model_version = _register(run, storage.put(data), len(data))
    logger.info("run.trained run=%s version=%d", run.uuid, model_version.version)
    return model_version


def _ready_version(run: Run) -> DatasetVersion:
    version = run.dataset_version
    if version is None or version.status != "ready":
        raise TrainingDataUnfit(f"The dataset version could not be built: {version}.")
    return version


def fit(
    run: Run,
    rows: list[datasets.Row],
    weights: Floats,
    on_progress: Progress = lambda _ratio: None,
) -> LinearClassifier:
    """Train on weighed rows in the order given, with the run's config and seed."""
    # Imported here through its dotted path: torch is loaded by who trains, not by who serves.
    trainer = import_module(TRAINERS[run.task.modality])
    kind = run.task.kind
    config = trainer.ClassifierConfig(**run.config, seed=run.seed)
    try:
        classifier: LinearClassifier = trainer.fit(
            [reading(kind.text_of(row.input)) for row in rows],
            [row.output for row in rows],
            weights,
            label_names=sorted({row.output for row in rows}),
            config=config,
            on_progress=on_progress,
        )
    except (trainer.TrainingDataError, TypeError) as error:
        raise TrainingDataUnfit(str(error)) from error
    return classifier


def reading(text: str) -> str:
    """Return a text as models read it: what is hashed is what is trained on and predicted."""
    return normalise(text)


def cases_of(version: DatasetVersion) -> list[Case]:
    """Return the questions that gates ask: the holdout, and every case that people made.

    Cases that the version has left out stand on neither side.
    """
    task = version.dataset.task
    asked = [row for row in datasets.rows(version) if row.split == "holdout" or row.case]
    columns = slices.facts_of(asked, task.options.slice_keys).columns
    cases = [
        replace(
            _case(task, row, row.example_id, row.feedback_id),
            slices={by: value for by, column in columns.items() if (value := column[n])},
        )
        for n, row in enumerate(asked)
    ]
    cases += _of_neither_side(task, datasets.cases_left_out(version))
    known = {case.feedback_id for case in cases if case.is_pinned}
    pinned = _of_neither_side(task, datasets.pinned_examples(task))
    return cases + [replace(case, case="") for case in pinned if case.feedback_id not in known]


def _of_neither_side(task: Task, examples: Sequence[Example]) -> list[Case]:
    said_by = (None if row.feedback is None else str(row.feedback.uuid) for row in examples)
    return [
        replace(_case(task, row, row.pk, feedback_id), split="")
        for row, feedback_id in zip(examples, said_by, strict=True)
    ]


def without_learnt(cases: Sequence[Case], *models: ModelVersion | None) -> list[Case]:
    """Leave out held-out cases whose input one of the models was trained on.

    There are none unless datasets of the task split by different rules; raises CannotJudge where
    no other are left.
    """
    held_out = [case.example_id for case in cases if case.split == "holdout" and case.example_id]
    learnt = {pk for model in models if model is not None for pk in learnt_of(model, held_out)}
    if held_out and learnt.issuperset(held_out):
        raise CannotJudge("One of the two models was trained on all that is held out.")
    return [case for case in cases if case.split != "holdout" or case.example_id not in learnt]


def learnt_of(model_version: ModelVersion, examples: Sequence[int]) -> set[int]:
    """Return which of the examples have an input that the model was trained on."""
    version = model_version.run.dataset_version
    return set() if version is None else datasets.taught_by(version, examples)


def _case(
    task: Task, row: datasets.Row | Example, example_id: int, feedback_id: str | None
) -> Case:
    return Case(
        example_id=example_id,
        text=reading(task.kind.text_of(row.input)),
        output=row.output,
        split=row.split,
        case=row.case,
        is_pinned=row.is_pinned,
        source=row.source,
        feedback_id=feedback_id,
    )


def predictor(classifier: LinearClassifier) -> Predictor:
    def predict(texts: Any) -> Answers:
        if not texts:
            return [], np.empty(0)
        probabilities = classifier.predict_proba(texts)
        best = probabilities.argmax(axis=1)
        return [classifier.labels[i] for i in best], probabilities.max(axis=1)

    return predict


def load(model_version: ModelVersion) -> LinearClassifier:
    return LinearClassifier.from_bytes(storage.get(model_version.weights_hash))


def fingerprint(version: DatasetVersion, run: Run) -> str:
    """Return the identity of what was computed: data, code, config, seed, pinned packages."""
    digest = hashlib.sha256()
    code = [Path(settings.BASE_DIR) / name for name in CODE]
    for part in (version.content_hash.encode(), *(path.read_bytes() for path in code)):
        digest.update(hashlib.sha256(part).digest())
    settings_ = (sorted(run.config.items()), run.seed, sorted(run.weighing.items()))
    digest.update(repr(settings_).encode())
    return digest.hexdigest()


CODE = [
    "training/trainers/classification.py",
    "training/classifiers.py",
    "training/weighing.py",
    "training/slices.py",
    "training/bias.py",
    "feedback/normalise.py",
    "feedback/modalities/classification.py",
    "requirements/base.txt",
]


def _register(run: Run, weights_hash: str, artifact_bytes: int) -> ModelVersion:
    Task.objects.select_for_update().get(pk=run.task_id)  # numbers are consecutive
    known = ModelVersion.objects.filter(run=run)
    newest = ModelVersion.objects.filter(task=run.task).aggregate(newest=Max("version"))
    number = known.values_list("version", flat=True).first() or (newest["newest"] or 0) + 1
    return ModelVersion.objects.update_or_create(
        run=run,
        defaults={
            "task": run.task,
            "version": number,
            "weights_hash": weights_hash,
            "artifact_bytes": artifact_bytes,
        },
    )[0]


@transaction.atomic
def finish(run: Run, status: str, error: EmendError | None = None) -> None:
    """End a held run; raises LeaseLost if another worker has taken it over."""
    leases.require_held(run)
    run.move_to(status)
    run.error = "" if error is None else f"{error.code}: {error.detail}"[:500]
    run.ended_at = timezone.now()
    run.lease_until = None
    run.progress_ratio = 1.0
    run.save(update_fields=["status", "error", "ended_at", "lease_until", "progress_ratio"])


def rebuild(model_version: ModelVersion) -> str:
    """Train the version's run again from the record, store nothing, return the weights' hash."""
    run = model_version.run
    version = _ready_version(run)
    rows = list(datasets.rows(version, split="train", source=shards.of_record))
    return fit(run, rows, run_weights.of_rows(run, version, rows)).weights_hash


def due_tasks() -> QuerySet[Task]:
    """Return tasks whose retrain is due by time or by the number of new examples."""
    # An exact retrain is of what another run had seen.
    newest_run = Run.objects.filter(task=OuterRef("pk"), replacing=None).order_by("-pk")
    # What came while a run waited for its version is in that version.
    seen_until = newest_run.values(at=Coalesce("dataset_version__as_of", "created_at"))[:1]
    new = Example.objects.filter(task=OuterRef("pk"), created_at__gt=OuterRef("seen_until"))
    new = new.exclude(signal="down", case="")  # what not to answer is for other datasets
    by_number = (
        Task.objects.filter(retrain_after_examples__isnull=False)
        .annotate(seen_until=Coalesce(Subquery(seen_until), "created_at"))
        .annotate(new_examples=Subquery(new.values("task").annotate(n=Count("pk")).values("n")))
        .filter(new_examples__gte=F("retrain_after_examples"))
    )
    by_time = Q(retrain_every_hours__isnull=False, next_retrain_at__lte=Now())
    return Task.objects.filter(
        by_time | Q(pk__in=by_number.values("pk")), modality__in=TRAINERS
    ).exclude(runs__status__in=["queued", "running"])


def unscheduled_tasks() -> QuerySet[Task]:
    """Return tasks that are to be retrained by time and have no time yet."""
    return Task.objects.filter(retrain_every_hours__isnull=False, next_retrain_at=None)


@transaction.atomic
def start_due() -> list[Run]:
    """Queue a run for each task whose retrain is due, and set the time of the next."""
    next_time = Now() + F("retrain_every_hours") * timedelta(hours=1)
    unscheduled_tasks().update(next_retrain_at=next_time)
    due = list(due_tasks().select_for_update(skip_locked=True, of=("self",)))
    started = [request(task) for task in due]
    Task.objects.filter(pk__in=[task.pk for task in due]).update(next_retrain_at=next_time)
    return started


def due_waiting_seconds() -> float | None:
    """Return 0 if a retrain is due or a schedule is to be set, else None."""
    return 0.0 if unscheduled_tasks().exists() or due_tasks().exists() else None
