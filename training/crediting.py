"""What each correction did to the held-out loss of a model: computed once after its run, and kept.

What is kept names nobody: a person is known by one of their feedbacks, as long as that tells who
it was. Exact twins share the credit of their row.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from django.db import transaction
from django.db.models import F, QuerySet
from scipy.sparse import csr_array

from config import leases
from config.errors import EmendError, LeaseLost, Unavailable
from feedback.contributors import FEWEST_ACTS
from feedback.models import Feedback, Task
from privacy.models import DataSubject, Project, Purpose
from training import datasets, run_weights, runs
from training.classifiers import LinearClassifier
from training.credit import Credit, Labelled, NoCreditError, influence
from training.curation import permission
from training.errors import NoCredit
from training.models import DatasetVersion, Membership, ModelCredit, ModelVersion, Run
from training.trainers import TRAINERS

logger = logging.getLogger(__name__)
MOST_ROWS = 100_000  # to train on; more take longer than the answer is worth
LISTED = 1_000  # from either end
CHUNK_ROWS = 10_000
CHUNK_MODELS = 10  # their documents are large
METHOD = (
    "By how much the mean log loss (nats) of the held-out rows would rise without these rows, with"
    " vocabulary and temperature as they are: one Newton step a row, the loss to the second order;"
    " 95% limits by holdouts drawn anew."
)


def queued() -> QuerySet[ModelCredit]:
    return ModelCredit.objects.filter(status="queued")


def waiting_seconds() -> float | None:
    return leases.waiting_seconds(queued())


def credit_next() -> ModelCredit | None:
    """Claim one model and credit what it learned from; return it, or None if there is none.

    Raises Unavailable; then the model is tried again when its lease is over.
    """
    row = leases.claim(queued())
    if row is not None:
        with suppress(LeaseLost), leases.heartbeat(row):  # another worker goes on with it
            _credit(row)
    return row


def _credit(row: ModelCredit) -> None:
    try:
        row.document = _document(row.model_version)
    except Unavailable:
        # No worker died of it, so it does not count: the storage may be away for long.
        held = ModelCredit.objects.filter(pk=row.pk, attempts=row.attempts)
        held.update(attempts=F("attempts") - 1)
        raise
    except EmendError as error:
        row.error = f"{error.code}: {error.detail}"[:500]
    with transaction.atomic():
        leases.require_held(row)
        row.move_to("failed" if row.error else "ready")
        row.lease_until = None
        row.save()
    logger.info("model.credited model=%d status=%s", row.model_version_id, row.status)


class Voice(NamedTuple):
    """One example behind a row of the train side."""

    row: int
    source: str
    feedback: int | None
    user_id: str | None


def _document(model_version: ModelVersion) -> dict[str, Any]:
    run = model_version.run
    version = run.dataset_version
    if version is None:
        raise NoCredit("What it was trained on is not known.")
    rows = list(datasets.rows(version))
    if sum(row.split == "train" for row in rows) > MOST_ROWS:
        raise NoCredit(f"It was trained on more than {MOST_ROWS:,} rows.")
    classifier = runs.load(model_version)
    # Who refused when it was trained may permit by now, with labels that it never saw.
    rows = [row for row in rows if row.output in classifier.labels]
    taught = [row for row in rows if row.split == "train"]
    asked = [row for row in rows if row.split == "holdout"]
    if not taught:
        raise NoCredit("Who is behind what it was trained on permits it no more.")
    try:
        found = influence(
            classifier,
            _labelled(run.task, classifier, taught),
            run_weights.of_rows(run, version, taught),
            _labelled(run.task, classifier, asked),
            inverse_regularization=_inverse_regularization(run),
        )
    except NoCreditError as error:
        raise NoCredit(str(error)) from error
    voices = _voices(version, {row.row_hash: n for n, row in enumerate(taught)})
    return {"held_out_rows": len(asked), "loss": found.loss, **_summed(found, voices)}


def _labelled(task: Task, classifier: LinearClassifier, rows: Sequence[datasets.Row]) -> Labelled:
    texts = [runs.reading(task.kind.text_of(row.input)) for row in rows]
    return Labelled(
        texts, np.array([classifier.labels.index(r.output) for r in rows], dtype=np.intp)
    )


def _inverse_regularization(run: Run) -> float:
    # Through its dotted path: torch is loaded by the worker, not by who reads what it found.
    trainer = import_module(TRAINERS[run.task.modality])
    return float(trainer.ClassifierConfig(**run.config).inverse_regularization)


def _voices(version: DatasetVersion, place: dict[str, int]) -> list[Voice]:
    """Return who and what is behind the rows, of all twins; `place` is each row's number."""
    never = permission.forbidden(version.dataset.task)
    members = Membership.objects.of_version(version).filter(split="train").order_by("pk")
    columns = members.values_list(
        *("example", "row_hash", "example__source", "example__feedback"),
        "example__feedback__user_id",
    )
    return [
        Voice(place[bytes(digest).hex()], source, feedback, user_id)
        for example, digest, source, feedback, user_id in columns.iterator(CHUNK_ROWS)
        if example not in never and bytes(digest).hex() in place  # who permitted it just now is not
    ]


def _summed(found: Credit, voices: list[Voice]) -> dict[str, Any]:
    """Share each row's credit among its voices; what a moderator audited is nobody's."""
    first: dict[str, int | None] = {}
    contributors = [
        first.setdefault(voice.user_id, voice.feedback)
        if voice.user_id is not None and voice.source == "feedback"
        else None
        for voice in voices
    ]
    return {
        "sources": _listed("source", [voice.source for voice in voices], voices, found),
        "contributors": _listed("feedback", contributors, voices, found),
        "feedback": _listed("feedback", [voice.feedback for voice in voices], voices, found),
    }


def _listed(
    name: str, keys: Sequence[str | int | None], voices: list[Voice], found: Credit
) -> list[dict[str, Any]]:
    """Sum credits by key, where a voice has one; the most helpful is first, of many both ends."""
    rows = np.array([voice.row for voice in voices])
    share = 1 / np.bincount(rows)[rows]
    spoken = {n: key for n, key in enumerate(keys) if key is not None}
    place = {key: n for n, key in enumerate(dict.fromkeys(spoken.values()))}
    chosen, groups = list(spoken), [place[key] for key in spoken.values()]
    shape = (len(place), found.slope.size)
    sums = found.of(csr_array((share[chosen], (groups, rows[chosen])), shape=shape))
    counts, names = np.bincount(groups, minlength=len(place)), list(place)
    order = np.argsort(-sums.value, kind="stable")
    ends = np.r_[: len(order)]
    if len(order) > 2 * LISTED:
        ends = np.r_[:LISTED, len(order) - LISTED : len(order)]
    return [
        {
            name: names[group],
            "rows": int(counts[group]),
            "credit": float(sums.value[group]),
            "low": float(sums.low[group]),
            "high": float(sums.high[group]),
            "rank": int(rank) + 1,
        }
        for rank, group in zip(ends, order[ends], strict=True)
    ]


def of_model(
    model_version: ModelVersion, *, is_harmful_first: bool = True, limit: int = LISTED
) -> dict[str, Any]:
    """Return the credit of a model's sources, contributors and feedback, `limit` of each.

    Names who permits it, as far as they are still known. Raises NoCredit where there is none (yet).
    """
    row = ModelCredit.objects.filter(model_version=model_version).first()
    if row is None or row.status != "ready":
        raise NoCredit((row and row.error) or "It was not computed yet.")
    kept = row.document
    document = {"model_version": model_version.version, "method": METHOD, **kept}
    for name in ("contributors", "feedback"):
        document[name] = kept[name][:: -1 if is_harmful_first else 1][:limit]
    groups = [*document["contributors"], *document["feedback"]]
    known = Feedback.objects.in_bulk([group["feedback"] for group in groups])
    people = _nameable(model_version.task, known.values())
    document["contributors"] = [
        {"user_id": people.get(group["feedback"]), **_figures(group)}
        for group in document["contributors"]
    ]
    document["feedback"] = [
        {"feedback_id": known[group["feedback"]].uuid, **_figures(group)}
        for group in document["feedback"]
        if group["feedback"] in known
    ]
    return document


def of_person(project: Project, user_id: str) -> Iterator[dict[str, Any]]:
    """Yield from each model's credit what one person's feedback got, and all of it together."""
    theirs = Feedback.objects.filter(project=project, user_id=user_id)
    said = dict(theirs.values_list("pk", "uuid"))
    ready = ModelCredit.objects.filter(model_version__task__project=project, status="ready")
    for row in ready.select_related("model_version__task").order_by("pk").iterator(CHUNK_MODELS):
        model = {"task": row.model_version.task.slug, "model_version": row.model_version.version}
        groups = [(None, group) for group in row.document["contributors"]]
        groups += [(said.get(group["feedback"]), group) for group in row.document["feedback"]]
        for which, group in groups:
            if group["feedback"] in said:
                yield {**model, "feedback_id": which, **_figures(group)}


def harmful(task: Task) -> set[str]:
    """Return whose rows did harm to the newest credited model: enough rows, all limits below 0."""
    done = ModelCredit.objects.filter(model_version__task=task, status="ready")
    row = done.order_by("-model_version__version").first()
    groups = row.document["contributors"] if row else []
    judged = [group for group in groups if group["rows"] >= FEWEST_ACTS]
    numbers = [group["feedback"] for group in judged if group["high"] < 0]
    theirs = Feedback.objects.filter(pk__in=numbers, user_id__isnull=False)
    return set(theirs.values_list("user_id", flat=True))


def _figures(group: dict[str, Any]) -> dict[str, Any]:
    return {name: group[name] for name in ("rows", "credit", "low", "high", "rank")}


def _nameable(task: Task, rows: Iterable[Feedback]) -> dict[int, str | None]:
    """Return whose feedback it is, by its number, of those who have withdrawn no consent."""
    people = {row.pk: row.user_id for row in rows}
    subjects = DataSubject.objects.filter(project=task.project_id, user_id__in=people.values())
    left = set(subjects.withdrawn(*Purpose).values_list("user_id", flat=True))
    return {pk: user_id for pk, user_id in people.items() if user_id not in left}
