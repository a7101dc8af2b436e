"""What became of a feedback, and what a model learned from: one query each way, by foreign keys."""

from typing import Any

from django.db.models import Q

from feedback.models import Example, Feedback, Review
from training.models import (
    DatasetVersion,
    Membership,
    ModelAlias,
    ModelVersion,
    Prediction,
    Rollout,
)


def of_feedback(feedback: Feedback) -> dict[str, Any]:
    """Return the examples, versions, runs, models and rollouts that a feedback reached.

    Each example tells the decision under which it was admitted, even if that was revised since.
    """
    examples = list(Example.objects.filter(feedback=feedback).order_by("pk"))
    memberships = list(
        Membership.objects.filter(example__in=examples).select_related("dataset").order_by("pk")
    )
    versions = _versions(memberships)
    models = list(
        ModelVersion.objects.filter(run__dataset_version__in=versions)
        .select_related("run", "task")
        .order_by("version")
    )
    rollouts = Rollout.objects.filter(challenger__in=models).order_by("created_at")
    return {
        "feedback": str(feedback.uuid),
        "status": feedback.status,
        "examples": [_example_document(example, memberships) for example in examples],
        "dataset_versions": [
            {"dataset": v.name, "version": v.version, "content_hash": v.content_hash}
            for v in versions
        ],
        "models": [_model_document(model) for model in models],
        "rollouts": [
            {"id": str(r.uuid), "status": r.status, "decision": r.decision} for r in rollouts
        ],
    }


def _versions(memberships: list[Membership]) -> list[DatasetVersion]:
    inside = Q(pk__in=[])
    for member in memberships:
        interval = Q(dataset=member.dataset_id, version__gte=member.since_version)
        if member.until_version is not None:
            interval &= Q(version__lt=member.until_version)
        inside |= interval
    ready = DatasetVersion.objects.filter(inside, status="ready")
    return list(ready.order_by("name", "version"))


def _example_document(example: Example, memberships: list[Membership]) -> dict[str, Any]:
    return {
        "id": example.pk,
        "output": example.output,
        "rejected_output": example.rejected_output,
        "case": example.case or None,
        "split": example.split,
        "is_current": example.superseded_at is None,
        "decision": _decision(example),
        "versions": [
            {"dataset": m.dataset.name, "since": m.since_version, "until": m.until_version}
            for m in memberships
            if m.example_id == example.pk
        ],
    }


def _decision(example: Example) -> dict[str, Any] | None:
    """Return the review as it stood when it admitted the example; None: no person decided."""
    if example.review_history_id is None:
        return None
    record = Review.history.get(history_id=example.review_history_id)
    return {
        "decision": record.decision,
        "reason": record.reason,
        "moderator": record.moderator,
        "at": record.history_date,
    }


def _model_document(model: ModelVersion) -> dict[str, Any]:
    aliases = ModelAlias.objects.filter(model_version=model).values_list("name", flat=True)
    return {
        "task": model.task.slug,
        "version": model.version,
        "weights_hash": model.weights_hash,
        "run": str(model.run.uuid),
        "run_status": model.run.status,
        "aliases": sorted(aliases),
    }


def of_version(version: DatasetVersion) -> dict[str, Any]:
    """Return a dataset version's parent, its people's feedback by number, and its models."""
    models = ModelVersion.objects.filter(run__dataset_version=version).select_related("run", "task")
    return {
        "dataset": version.name,
        "version": version.version,
        "parent": version.parent,
        "content_hash": version.content_hash,
        "as_of": version.as_of,
        "task_history_id": version.task_history_id,
        "dataset_history_id": version.dataset_history_id,
        "counts": version.counts,
        "feedback_source": version.feedback_source,
        "models": [_model_document(model) for model in models.order_by("version")],
    }


def of_model(model: ModelVersion) -> dict[str, Any]:
    """Return what a model version learned from, how it was judged, and where it served."""
    run = model.run
    version = run.dataset_version
    rollouts = Rollout.objects.filter(challenger=model).order_by("created_at")
    return _model_document(model) | {
        "seed": run.seed,
        "config": run.config,
        "fingerprint": run.fingerprint,
        "gates": [
            {"name": g.name, "passed": g.passed, "reason": g.reason}
            for g in run.gate_results.order_by("pk")
        ],
        "dataset_version": version and of_version(version) | {"models": None},
        "rollouts": [
            {"id": str(r.uuid), "status": r.status, "decision": r.decision} for r in rollouts
        ],
        "predictions": Prediction.objects.filter(model_version=model).count(),
        "promotions": [
            {"at": h.history_date, "why": h.history_change_reason}
            for h in ModelAlias.history.filter(model_version=model, name="champion").order_by(
                "history_date"
            )
            if h.history_type != "-"
        ],
    }
