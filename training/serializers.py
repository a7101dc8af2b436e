"""The bodies of the training endpoints and the documents they answer with."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from config.api import PageQuery
from feedback.serializers import Body, Slug
from feedback.signals import Case
from training.curation import DatasetSettings
from training.formats import FORMATS
from training.models import (
    CHALLENGER,
    CHAMPION,
    DatasetVersion,
    LeftOut,
    ModelVersion,
    Reason,
    Rollout,
    Run,
)
from training.purposes import PurposeName
from training.rollouts import Plan, outcomes
from training.serving import Served


class DatasetBody(Body, kw_only=True):
    name: Slug
    task: str
    purpose: PurposeName = "train"
    settings: DatasetSettings = msgspec.field(default_factory=DatasetSettings)


class ExamplesBody(Body, kw_only=True):
    task: str
    items: Annotated[list["ExampleItem"], Meta(min_length=1, max_length=1_000)]
    split: Literal["train", "holdout"] | None = None


class ExampleItem(Body, kw_only=True):
    """One row of starting data; its fields are those of `feedback.imports.Item`."""

    input: Any
    output: Any
    split: Annotated[
        Literal["train", "holdout"] | None, Meta(description="Of this item; else the body's.")
    ] = None
    weight: Annotated[float, Meta(ge=0, le=1)] = 1.0
    rejected: Annotated[Any, Meta(description="A worse output: makes it a pair as well.")] = None
    case: Annotated[Case, Meta(description="Makes it a case of eval datasets as well.")] = ""
    label: Annotated[
        bool | None, Meta(description="Of `unpaired` datasets: is the output desirable?")
    ] = None


class RunBody(Body, kw_only=True):
    task: str
    strategy: Literal["full"] = "full"
    dataset: str | None = None
    version: Annotated[int, Meta(ge=1)] | None = None
    seed: Annotated[int, Meta(ge=0, lt=2**31)] = 0


class RolloutBody(Body, kw_only=True):
    task: str
    challenger: Annotated[int, Meta(ge=1)]
    plan: Plan = msgspec.field(default_factory=Plan)


class ExportQuery(Body, kw_only=True):
    format: Annotated[str, Meta(extra_json_schema={"enum": list(FORMATS)})] = "jsonl"
    split: Annotated[
        Literal["train", "holdout", "all"] | None,
        Meta(description="Default: all; of formats whose rows do not say their side, train."),
    ] = None


class DiffQuery(Body, kw_only=True):
    against: Annotated[str, Meta(pattern=r"^[0-9]{1,9}(?!\n)$", description="The other version.")]


class LineageQuery(Body, kw_only=True):
    format: Annotated[
        Literal["json", "prov"], Meta(description="Emend's own JSON, or W3C PROV-JSON.")
    ] = "json"


class RouteQuery(Body, kw_only=True):
    user_id: str | UnsetType = UNSET


class LeftOutQuery(PageQuery, kw_only=True):
    reason: Literal[tuple(Reason.values)] | None = None  # type: ignore[valid-type]


def version_document(version: DatasetVersion) -> dict[str, Any]:
    return {
        "dataset": version.name,
        "version": version.version,
        "status": version.status,
        "parent": version.parent,
        "content_hash": version.content_hash,
        "current_hash": version.current_hash,
        "erasures": [
            {"id": row.erasure, "at": row.at, "rows": row.rows, "current_hash": row.current_hash}
            for row in version.erasures.order_by("pk")
        ],
        "counts": version.counts,
        "near_duplicates_compared": version.is_compared,
        "feedback_source": version.feedback_source,
        "created_at": version.created_at,
        "build_seconds": version.build_seconds,
        "error": version.error or None,
    }


def left_out_document(row: LeftOut) -> dict[str, Any]:
    example = row.example
    return {
        "reason": row.reason,
        "example_id": example.pk,
        "feedback_id": example.feedback and example.feedback.uuid,
        "input_hash": bytes(example.input_hash).hex(),
        "holdout_example_id": row.holdout_example_id,
        "similarity": row.similarity,
    }


def run_document(run: Run) -> dict[str, Any]:
    model: ModelVersion | None = getattr(run, "model_version", None)
    version = run.dataset_version
    return {
        "id": run.uuid,
        "task": run.task.slug,
        "strategy": run.strategy,
        "status": run.status,
        "progress": run.progress_ratio,
        "seed": run.seed,
        "dataset": version and {"name": version.name, "version": version.version},
        "metrics": run.metrics,
        "gates": [
            {
                "name": gate.name,
                "passed": gate.passed,
                "value": gate.value,
                "threshold": gate.threshold,
                "reason": gate.reason,
                "details": gate.details,
            }
            for gate in run.gate_results.order_by("pk")
        ],
        "model_version": model and model.version,
        "weights_hash": model and model.weights_hash,
        "cost": run.cost,
        "error": run.error or None,
        "created_at": run.created_at,
        "ended_at": run.ended_at,
    }


def model_document(model: ModelVersion) -> dict[str, Any]:
    return {
        "version": model.version,
        "weights_hash": model.weights_hash,
        "artifact_bytes": model.artifact_bytes,
        "run": model.run.uuid,
        "status": model.run.status,
        "metrics": model.run.metrics,
        "created_at": model.created_at,
        "withdrawn_at": model.withdrawn_at,
        "erasures": [
            {
                "id": row.erasure,
                "at": row.at,
                "fate": row.fate,
                "replacement": row.replacement and row.replacement.version,
                "decision": row.decision or None,
            }
            for row in sorted(model.erasures.all(), key=lambda row: row.pk)
        ],
    }


def rollout_document(rollout: Rollout) -> dict[str, Any]:
    counts = outcomes(rollout)
    return {
        "id": rollout.uuid,
        "task": rollout.task.slug,
        "stage": rollout.status,
        "share": rollout.share,
        "champion": rollout.champion.version,
        "challenger": rollout.challenger.version,
        "plan": rollout.plan,
        "arms": {
            arm: {"outcomes": counts[arm][1], "bad": counts[arm][0]}
            for arm in (CHAMPION, CHALLENGER)
        },
        "statistic": {
            "log_e_value": rollout.evidence["log_e"],
            "e_value_bound": 1 / rollout.plan["alpha"],
        },
        "decision": rollout.decision or None,
        "created_at": rollout.created_at,
    }


def served_document(served: Served) -> dict[str, Any]:
    return {
        "inference_id": served.inference.uuid if served.is_stored else None,
        "output": served.inference.output,
        "confidence": served.inference.confidence,
        "model_version": served.route.model_version.version,
        "arm": served.route.arm,
    }
