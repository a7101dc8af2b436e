"""What feedback holds of people: the table, who stands in it, and a copy for one of them."""

from collections.abc import Iterator
from typing import Any, TypeAlias

from django.db.models import CASCADE, Exists, Model, OuterRef, Q, QuerySet

from feedback import erasing
from feedback.models import Contributor, DeadLetter, Feedback, Image, Inference, Review, Status
from privacy.holders import Counts, Holder, Holdings, Step
from privacy.models import Project
from privacy.tombstones import WITHHELD

Table: TypeAlias = tuple[type[Model], QuerySet[Any]]

CHUNK_ROWS = 1_000
WITH_ACT = "while the act is kept"
HOLDERS = [
    Holder("feedback.Task"),
    Holder("feedback.HistoricalTask"),
    Holder(
        "feedback.Inference",
        "answers that a person was shown: inputs, outputs, user and session, metadata",
        "deleted; where somebody else acted on it, emptied of everything and of the person",
        "until its content is no longer trained on",
    ),
    Holder(
        "feedback.Image",
        "who uploaded which picture; its size, its hash, a hash of its looks",
        "deleted",
        "until its content is no longer trained on",
    ),
    Holder(
        "feedback.Feedback",
        "acts of a person on answers: corrections, comments, user and session, metadata",
        "deleted; what others said of the person's answers is emptied and becomes `erased`",
        "until its content is no longer trained on",
    ),
    Holder(
        "feedback.HistoricalFeedback",
        "which status an act had when, and who decided it; no content and no user_id",
        "deleted with the act",
        WITH_ACT,
    ),
    Holder(
        "feedback.Review",
        "what a moderator decided about an act and why, with the moderator's own correction",
        "deleted, also where it was of what others said of the person's answers",
        WITH_ACT,
    ),
    Holder(
        "feedback.HistoricalReview",
        "earlier decisions about an act, with their reasons",
        "deleted with the review",
        WITH_ACT,
    ),
    Holder(
        "feedback.Approval",
        "which moderators accepted an act, and a hash of what they accepted",
        "deleted with the review",
        WITH_ACT,
    ),
    Holder(
        "feedback.SecondLook",
        "which two moderators judged an act, and whether each would accept it",
        "deleted with the review",
        WITH_ACT,
    ),
    Holder("feedback.ReviewClaim", "which moderator has an item open", "nothing", "minutes"),
    Holder(
        "feedback.HourFigures",
        "how many acts came in an hour and when the last one did; no person, no content",
        "the times are rounded to the hour; counts stay until their hour is counted again",
        "while the task is there",
    ),
    Holder("feedback.FiguresMark"),
    Holder("feedback.Claim"),
    Holder(
        "feedback.Contributor",
        "how far a person's acts on a task are trusted, and what that follows from",
        "deleted",
        "while the person is known",
    ),
    Holder(
        "feedback.HistoricalContributor",
        "how far a person was trusted before; no user_id",
        "deleted with the contributor",
        "while the person is known",
    ),
    Holder(
        "feedback.DeadLetter",
        "messages of a stream that could not be stored, redacted, with the user_id they name",
        "deleted",
        "as the rule for dead letters says",
    ),
    Holder(
        "feedback.Example",
        "inputs and outputs to train on, made of acts and answers; no user_id",
        "deleted",
        "until its content is no longer trained on",
    ),
    Holder(
        "storage/images",
        "pictures, decoded and written anew without metadata",
        "removed, unless somebody else uploaded the same picture",
        "with their rows; what no row names for a day",
    ),
    Holder(
        "a worker's memory",
        "what it has in hand; acts of a stream that wait for their answer, up to 30 seconds",
        "asked for the tombstone when it is stored, and dropped",
        "seconds",
    ),
    Holder(
        "a stream's topic",
        "messages that the product sent; Emend reads them and keeps none",
        "not Emend's: the product lets its topics expire; read again, they are refused",
        "as the product's broker is set",
    ),
    Holder("the queues of feedback"),
    Holder("the log lines of feedback"),
]
_NAMES = {  # in the copy, of what is called otherwise here
    "uuid": "id",
    "task__slug": "task",
    "inference__uuid": "inference_id",
    "parent__uuid": "parent_inference",
    "feedback__uuid": "feedback_id",
    "history_date": "at",
}
_CAPTURED = [
    *("uuid", "task__slug", "is_verified", "session_id", "metadata", "redactions"),
    *("occurred_at", "created_at"),
]
_FEEDBACK = [
    *_CAPTURED,
    *("inference__uuid", "signal", "correction_type", "original", "corrected", "comment"),
    *("source", "status", "flags", "rejections", "quality", "quality_parts", "edit_distance"),
    *("disagreement", "error", "processed_at"),
]
_INFERENCE = [
    *_CAPTURED,
    *("input", "output", "is_sensitive", "confidence", "probabilities", "model_version", "arm"),
    *("target_type", "target_id", "parent__uuid"),
]
_IMAGE = ["uuid", "sha256", "media_type", "width", "height", "is_verified", "created_at"]
_STANDING = ["task__slug", "standing", "trust", "is_held", "reason"]
_SCORES = ["honesty", "evidence", "acts", "agreed", "disagreed", "scored_at", "created_at"]
_REVIEW = ["feedback__uuid", "decision", "reason", "is_pinned", "decided_at"]
_LETTER = [
    *("topic", "partition", "offset", "sent_at", "source", "event_id", "code", "detail"),
    *("content", "created_at"),
]

# What an erasure leaves of others' acts and of answers; see erasing.py.
_SHELL = Q(
    original=None,
    corrected__isnull=True,
    comment="",
    metadata={},
    rejections=[],
    redactions={},
    quality_parts={},
    input_hash=b"",
    corrected_hash__isnull=True,
)
_STUB = Q(
    input=None,
    output=None,
    user_id__isnull=True,
    session_id="",
    metadata={},
    redactions={},
    model_version="",
    probabilities__isnull=True,
    target_type="",
    target_id="",
)


def people(project: Project) -> Iterator[tuple[str, str]]:
    """Yield who stands in which table; who has no name any more stands in none."""
    # Letters from before they said whose they are may be anybody's.
    strays: list[Table] = [(DeadLetter, DeadLetter.objects.filter(project=None))]
    for model, rows in _tables(project) + strays:
        named = rows.exclude(user_id=None).exclude(user_id=WITHHELD).order_by("user_id")
        for user_id in named.values_list("user_id", flat=True).distinct().iterator():
            yield model._meta.label, user_id


def _tables(project: Project) -> list[Table]:
    ours = list(project.tasks.values_list("pk", flat=True))
    return [
        (Feedback, Feedback.objects.filter(project=project)),
        (Inference, Inference.objects.filter(task__in=ours)),
        (Image, Image.objects.filter(project=project)),
        (Contributor, Contributor.objects.filter(task__in=ours)),
        (DeadLetter, DeadLetter.objects.filter(project=project)),
    ]


def held(project: Project, user_id: str) -> Iterator[tuple[str, Iterator[Any]]]:
    """Yield, section by section, the rows that are held of a person; moderators have no names."""
    for section, rows, columns in _sections(project, user_id):
        yield section, _named(rows.order_by("pk").values(*columns))


def _named(rows: QuerySet[Any, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows.iterator(CHUNK_ROWS):
        yield {_NAMES.get(name, name): value for name, value in row.items()}


def counted(project: Project, user_id: str) -> Counts:
    return {section: rows.count() for section, rows, _ in _sections(project, user_id)}


def _sections(project: Project, user_id: str) -> Iterator[tuple[str, QuerySet[Any], list[str]]]:
    rows = {model: found.filter(user_id=user_id) for model, found in _tables(project)}
    acts, standings = rows[Feedback].values("pk"), rows[Contributor].values("pk")
    yield "feedback", rows[Feedback], _FEEDBACK
    past = Feedback.history.filter(number__in=acts)
    yield "feedback_history", past, ["uuid", "history_date", "status", "flags"]
    yield "reviews", Review.objects.filter(feedback__in=acts), [*_REVIEW, "corrected"]
    yield "review_history", Review.history.filter(feedback__in=acts), _REVIEW
    yield "inferences", rows[Inference], _INFERENCE
    yield "images", rows[Image], _IMAGE
    yield "contributors", rows[Contributor], [*_STANDING, *_SCORES]
    past = Contributor.history.filter(id__in=standings)
    yield "contributor_history", past, ["history_date", *_STANDING]
    yield "dead_letters", rows[DeadLetter], _LETTER


def contradictions(project: Project) -> Counts:
    """Count what an erasure emptied and a restore has filled, in part, again."""
    shells = Feedback.objects.filter(project=project, status=Status.ERASED)
    stubs = Inference.objects.filter(task__in=[*project.tasks.all()], input_hash=b"")
    return {
        "feedback.Feedback emptied": _filled(shells, _SHELL).count(),
        "feedback.Inference emptied": _filled(stubs, _STUB).count(),
    }


def _filled(rows: QuerySet[Any], empty: Q) -> QuerySet[Any]:
    """Return rows with content, or with rows of any app that would be deleted with them."""
    filled = ~empty
    for relation in rows.model._meta.related_objects:
        if relation.on_delete is CASCADE:
            of_it = {relation.field.attname: OuterRef("pk")}
            filled |= Q(Exists(relation.related_model._base_manager.filter(**of_it)))
    return rows.filter(filled)


HOLDINGS = Holdings(
    holders=HOLDERS,
    steps=[
        Step("feedback.rows", "Removing feedback, answers and pictures", erasing.erase_rows),
        Step(
            "feedback.files",
            "Removing pictures from storage",
            erasing.remove_files,
            is_atomic=False,
        ),
    ],
    people=people,
    held=held,
    counted=counted,
    unlink=erasing.unlink,
    contradictions=contradictions,
)
