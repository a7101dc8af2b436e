"""What becomes of versions and models when a person leaves: rows go, models are trained anew.

Examples go first, in one transaction with the note of which models had learned from them. Then
what serves is replaced by an exact retrain, and what is left of the others is removed.
"""

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

from feedback.models import Feedback
from privacy.holders import Counts
from privacy.models import ErasureRequest, Project
from training import crediting, lineage
from training.erasing.examples import delete_checks, expire, take_out, unlink
from training.erasing.files import remove_files
from training.erasing.retraining import retrain
from training.erasing.verifying import contradictions
from training.models import AnswerToCheck, Fate, ModelErasure, Prediction, VersionErasure

__all__ = ["contradictions", "counted", "delete_checks", "expire", "held", "proven"]
__all__ += ["remove_files", "retrain", "take_out", "unlink"]


def proven(erasure: ErasureRequest) -> dict[str, Any]:
    """Return for the receipt what became of versions and models, by their hashes."""
    versions = VersionErasure.objects.filter(erasure=erasure.uuid)
    versions = versions.select_related("dataset_version").order_by("dataset_version")
    models = ModelErasure.objects.filter(erasure=erasure.uuid).order_by("model_version")
    models = models.select_related("model_version__task", "replacement")
    return {
        "versions": [_of_version(row) for row in versions],
        "models": [_of_model(row) for row in models],
    }


def _of_version(row: VersionErasure) -> dict[str, Any]:
    version = row.dataset_version
    return {
        "dataset": version.name,
        "version": version.version,
        "rows": row.rows,
        "content_hash": version.content_hash,
        "current_hash": row.current_hash,
    }


def _of_model(row: ModelErasure) -> dict[str, Any]:
    model, new = row.model_version, row.replacement
    return {
        "task": model.task.slug,
        "version": model.version,
        "weights_hash": model.weights_hash,
        "fate": row.fate,
        "method": "exact" if row.fate == Fate.REPLACED else None,
        "replacement": new and {"version": new.version, "weights_hash": new.weights_hash},
    }


def held(project: Project, user_id: str) -> Iterator[tuple[str, Iterator[Any]]]:
    """Yield what became of what a person said, who answered them, what of it is checked; credit."""
    theirs = Feedback.objects.filter(project=project, user_id=user_id).order_by("pk")
    yield "lineage", (lineage.of_feedback(row) for row in theirs.iterator())
    answered = _predictions(project, user_id).order_by("pk")
    columns = ("inference__uuid", "inference__task__slug", "model_version__version", "arm")
    names = ("inference_id", "task", "model_version", "arm")
    rows = answered.values_list(*columns).iterator()
    yield "predictions", (dict(zip(names, row, strict=True)) for row in rows)
    told = ("inference__uuid", "status", "is_random", "chosen_at", "answered_at")
    checks = _checks(project, user_id).order_by("pk").values_list(*told).iterator()
    yield "checks", (dict(zip(("inference_id", *told[1:]), row, strict=True)) for row in checks)
    yield "credit", crediting.of_person(project, user_id)


def _predictions(project: Project, user_id: str) -> QuerySet[Prediction]:
    return Prediction.objects.filter(inference__task__project=project, inference__user_id=user_id)


def _checks(project: Project, user_id: str) -> QuerySet[AnswerToCheck]:
    return AnswerToCheck.objects.filter(task__project=project, inference__user_id=user_id)


def counted(project: Project, user_id: str) -> Counts:
    """Count what is found by an index: of credit all documents would be read."""
    return {
        "lineage": Feedback.objects.filter(project=project, user_id=user_id).count(),
        "predictions": _predictions(project, user_id).count(),
        "checks": _checks(project, user_id).count(),
    }
