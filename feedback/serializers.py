"""The bodies that clients send and the documents they get; msgspec refuses any other shape."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from feedback.modalities import MODALITIES
from feedback.models import Contributor, Feedback, Inference, Task
from feedback.signals import SIGNALS
from feedback.task_settings import TaskSettings
from privacy.serializers import UserId
from privacy.tombstones import WITHHELD

Identifier = UserId
Time = Annotated[datetime, Meta(tz=True)]
Slug = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[-a-zA-Z0-9_]+(?!\n)$")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Short = Annotated[str, Meta(min_length=1, max_length=50)]
Metadata = dict[str, Any]


def in_utc(moment: datetime) -> datetime:
    """Return a client's time as the database takes it, which knows no offset of 16 hours."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # in the first or last hours of all time
        return moment.replace(tzinfo=UTC)


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A request's body: what it does not name is refused."""


class TaskBody(Body, kw_only=True):
    slug: Slug
    modality: Annotated[str, Meta(extra_json_schema={"enum": list(MODALITIES)})]
    labels: list[Name] = []
    correction_types: list[Short] = []
    settings: TaskSettings = msgspec.field(default_factory=TaskSettings)
    retrain_every_hours: Annotated[int, Meta(ge=1, le=8760)] | None = None
    retrain_after_examples: Annotated[int, Meta(ge=1, le=10**9)] | None = None


class TaskChange(Body, kw_only=True):
    labels: list[Name] | UnsetType = UNSET
    correction_types: list[Short] | UnsetType = UNSET
    settings: TaskSettings | UnsetType = UNSET
    retrain_every_hours: Annotated[int, Meta(ge=1, le=8760)] | UnsetType | None = UNSET
    retrain_after_examples: Annotated[int, Meta(ge=1, le=10**9)] | UnsetType | None = UNSET


class Target(Body, kw_only=True):
    type: Annotated[str, Meta(pattern=r"^[a-z_]{1,50}(?!\n)$")]
    id: Identifier


class SentBody(Body, kw_only=True):
    """What inferences and feedback have in common."""

    id: UUID | None = None
    user_id: Identifier | None = None
    user_token: Annotated[str, Meta(description="A JWT that vouches for the user.")] | None = None
    session_id: Identifier | None = None
    metadata: Metadata = {}
    occurred_at: Annotated[Time, Meta(description="In the years 1970 to 9998.")] | None = None


class InferenceBody(SentBody, kw_only=True):
    task: str
    input: Any
    output: Any
    confidence: Annotated[float, Meta(ge=0, le=1)] | None = None
    model_version: Annotated[str, Meta(max_length=200)] = ""
    target: Target | None = None
    parent_inference: UUID | None = None


class FeedbackBody(SentBody, kw_only=True):
    signal: Literal[
        "up", "down", "correction", "edited", "regenerated", "accepted", "resolved", "abandoned"
    ]
    inference_id: UUID | None = None
    task: str | None = None
    input: Any = UNSET
    output: Any = UNSET
    correction_type: str | None = None
    corrected: Any = UNSET
    comment: str = ""
    source: Annotated[
        Literal["user", "audit"],
        Meta(description="`audit`: a moderator checked the answer. For manage keys only."),
    ] = "user"


class BatchBody(Body, kw_only=True):
    items: Annotated[list[FeedbackBody], Meta(min_length=1, max_length=1_000)]


class StandingBody(Body, kw_only=True):
    """Who decides: a moderator, or with `null` the scores again."""

    standing: Literal["trusted", "quarantined"] | None
    moderator: Annotated[str, Meta(min_length=1, max_length=150)]
    reason: Annotated[str, Meta(max_length=200)] = ""


class ReviewBody(Body, kw_only=True):
    decision: Literal["accept", "reject", "escalate"]
    moderator: Annotated[str, Meta(min_length=1, max_length=150)]
    reason: Annotated[str, Meta(max_length=500)] = ""
    corrected: Any = UNSET
    pinned: bool = False


def task_document(task: Task) -> dict[str, Any]:
    return {
        "slug": task.slug,
        "modality": task.modality,
        "labels": task.labels,
        "correction_types": task.correction_types,
        "settings": task.options,
        "retrain_every_hours": task.retrain_every_hours,
        "retrain_after_examples": task.retrain_after_examples,
        "reactions": {
            "approving": task.approving_ratio,
            "disagreeing": task.disagreeing_ratio,
            "silence_weight": task.silence_weight,
            "scored_at": task.scored_at,
        },
        "created_at": task.created_at,
    }


def contributor_document(row: Contributor) -> dict[str, Any]:
    names = ("user_id", "standing", "trust", "honesty", "evidence", "acts", "agreed", "disagreed")
    return {
        **{name: getattr(row, name) for name in names},
        "explanation": row.explanation,
        "is_held": row.is_held,
        "scored_at": row.scored_at,
    }


class InferenceReceipt(msgspec.Struct, kw_only=True):
    """What the sender of an inference learns."""

    id: UUID
    task: str
    created_at: datetime


class Receipt(InferenceReceipt, kw_only=True):
    """What the sender of a feedback learns; a capture key sees no more than this."""

    inference_id: UUID
    status: str
    flags: list[str]
    quality: float
    redactions: dict[str, int]


def receipt_of(row: Inference | Feedback) -> InferenceReceipt:
    """Return the receipt of a stored row; expects its task, and inference, fetched."""
    common: dict[str, Any] = {"id": row.uuid, "task": row.task.slug, "created_at": row.created_at}
    if isinstance(row, Inference):
        return InferenceReceipt(**common)
    return Receipt(
        **common,
        inference_id=row.inference.uuid,
        status=row.status,
        flags=row.flags,
        quality=row.quality,
        redactions=row.redactions,
    )


def feedback_document(feedback: Feedback) -> dict[str, Any]:
    """All of one feedback, for a manage key; expects inference, task and review fetched."""
    review = getattr(feedback, "review", None)
    corrected, inference = feedback.corrected, feedback.inference
    return msgspec.structs.asdict(receipt_of(feedback)) | {
        "input": inference.input,
        "user_id": None if feedback.user_id == WITHHELD else feedback.user_id,
        "is_verified": feedback.is_verified,
        "source": feedback.source,
        "correction_type": feedback.correction_type or None,
        "original": feedback.original,
        "corrected": corrected,
        "comment": feedback.comment,
        "metadata": feedback.metadata,
        "session_id": feedback.session_id or inference.session_id or None,
        "confidence": inference.confidence,
        "model_version": inference.model_version or None,
        "arm": inference.arm or None,
        "disagreement": feedback.disagreement,
        "edit_distance": feedback.edit_distance,
        "quality_parts": feedback.quality_parts,
        "signal": feedback.signal,
        "rejections": feedback.rejections,
        "error": feedback.error or None,
        "occurred_at": feedback.occurred_at,
        "processed_at": feedback.processed_at,
        "review": review
        and {
            "decision": review.decision,
            "reason": review.reason,
            "corrected": review.corrected,
            "pinned": review.is_pinned,
            "moderator": review.moderator,
            "at": review.decided_at,
        },
        "diff": _diff(feedback),
        "example_ids": [e.pk for e in feedback.examples.all() if e.superseded_at is None],
    }


def whole_document(feedback: Feedback) -> dict[str, Any]:
    """Add how the contributor stands and what it weighs; for one feedback, as it asks for both."""
    who = Contributor.objects.filter(task=feedback.task_id, user_id=feedback.user_id).first()
    return feedback_document(feedback) | {
        "contributor": who and contributor_document(who),
        "weight": weight_document(feedback, who),
    }


def weight_document(feedback: Feedback, contributor: Contributor | None) -> dict[str, float] | None:
    """Return what its example weighs in a run that takes it, before caps, and the parts."""
    current = [e.base_weight for e in feedback.examples.all() if e.superseded_at is None]
    if not current:
        return None
    signal = SIGNALS[feedback.signal].weight
    trust = contributor.trust if contributor and feedback.task.options.trust else 1.0
    parts = {"signal": signal, "edit_quality": current[0] / signal, "trust": trust}
    return parts | {"total": current[0] * trust}


def _diff(feedback: Feedback) -> list[dict[str, Any]]:
    """List the changes of a correction; none where it is no output of the task."""
    if feedback.edit_distance is None:
        return []
    return feedback.task.kind.diff(feedback.original, feedback.corrected)
