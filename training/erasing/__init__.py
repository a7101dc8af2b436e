"""What becomes of versions and models when a person leaves: rows go, models are trained anew.

Examples go first, in one transaction with the note of which models had learned from them. Then
what serves is replaced by an exact retrain, and what is left of the others is removed.
"""

from collections.abc import Iterator
from typing import Any

from feedback.models import Feedback
from privacy.holders import Counts
from privacy.models import ErasureRequest, Project
from training import lineage
from training.erasing.examples import expire, take_out, unlink
from training.erasing.files import remove_files
from training.erasing.retraining import retrain
from training.models import ModelErasure, VersionErasure

__all__ = ["counted", "expire", "held", "proven", "remove_files", "retrain", "take_out", "unlink"]


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
        "method": "exact",
        "replacement": new and {"version": new.version, "weights_hash": new.weights_hash},
    }


def held(project: Project, user_id: str) -> Iterator[tuple[str, Iterator[Any]]]:
    """Yield what became of each thing that a person said."""
    theirs = Feedback.objects.filter(project=project, user_id=user_id).order_by("pk")
    yield "lineage", (lineage.of_feedback(row) for row in theirs.iterator())


def counted(project: Project, user_id: str) -> Counts:
    return {"lineage": Feedback.objects.filter(project=project, user_id=user_id).count()}
