"""The door: bodies in, one stored row each out, or a refusal that stored nothing.

Consent is asked and personal data redacted in memory before the first write; what validation
refuses is kept as `rejected`, what looks suspicious as `flagged`. One body takes the way of a
thousand: look up, judge in memory, store; three statements at most.
"""

import hmac
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from django.db import IntegrityError, OperationalError, connection, transaction
from psycopg.errors import DeadlockDetected

from config.errors import EmendError, IdConflict, Problem, Unavailable
from config.health import has_free_disk
from feedback.capture.drafts import Door, Draft, Sent
from feedback.capture.judging import judge_all
from feedback.capture.lookups import Wanted, look
from feedback.capture.rows import InferenceRow, bytea, store
from feedback.errors import Rejected
from feedback.modalities.image import IMAGE_ID
from feedback.models import Feedback, Inference
from feedback.serializers import (
    FeedbackBody,
    InferenceBody,
    InferenceReceipt,
    Receipt,
    receipt_of,
)
from privacy.access import Sender
from privacy.idempotency import fingerprint

Result = TypeVar("Result")
Body = TypeVar("Body", InferenceBody, FeedbackBody)
Row = TypeVar("Row", InferenceRow, Draft)
ATTEMPTS = 5


class Kept(NamedTuple):
    """What a body became; a repeat gets what is stored already."""

    receipt: Any
    rejections: list[dict[str, str]]
    is_new: bool

    @property
    def refusal(self) -> Rejected | None:
        """Why validation refused it; None for what it let through."""
        reasons = [Problem(**reason) for reason in self.rejections]
        return Rejected(reasons[0].detail, errors=reasons) if reasons else None


class Repeat(NamedTuple):
    """A body whose id and content are known."""

    id: UUID


def capture_inferences(*, sender: Sender, sent: Sequence[Sent[InferenceBody]]) -> list[Any]:
    """Store outputs of models; return for each, in order, a Kept or the EmendError that refused it.

    Raises Unavailable; then nothing is stored.
    """
    bodies = [item.body for item in sent]
    wanted = Wanted(
        images=_images(body.output for body in bodies),
        inferences={body.parent_inference for body in bodies if body.parent_inference},
        tasks={body.task for body in bodies},
        **_named(bodies),
    )

    def attempt() -> list[Any]:
        door = Door(sender, look(sender, "feedback_inference", wanted))
        results = [_enter(door, item, door.draft_inference) for item in sent]
        rows = [result for result in results if isinstance(result, InferenceRow)]
        stored = store(
            rows,
            project=sender.project,
            known_people=door.known.people,
            others=door.known.images.values(),
        )

        def kept(row: InferenceRow) -> Kept:
            slug = door.known.task_by_id(row.task_id).slug
            receipt = InferenceReceipt(id=row.id, task=slug, created_at=stored[row.id].created_at)
            return Kept(receipt, [], is_new=True)

        return _answers(sender, results, kept, Inference)

    return _until_stored(attempt)


def capture_feedback(*, sender: Sender, sent: Sequence[Sent[FeedbackBody]]) -> list[Any]:
    """Judge and store acts; return for each, in order, a Kept or the EmendError that refused it.

    What validation refuses is stored too, with the status `rejected`. Raises Unavailable; then
    nothing is stored.
    """
    bodies = [item.body for item in sent]
    wanted = Wanted(
        acts={(b.inference_id, b.user_id) for b in bodies if b.inference_id and b.user_id},
        images=_images(value for body in bodies for value in (body.output, body.corrected)),
        inferences={body.inference_id for body in bodies if body.inference_id},
        tasks={body.task for body in bodies if body.task},
        **_named(bodies),
    )

    def attempt() -> list[Any]:
        door = Door(sender, look(sender, "feedback", wanted))
        results = [_enter(door, item, door.draft_feedback) for item in sent]
        drafts = [result for result in results if isinstance(result, Draft)]
        judge_all(drafts, door.known)
        for position, draft in enumerate(drafts):
            draft.row.position = position
        made = [draft.made for draft in drafts if draft.made is not None]
        rows = [draft.row for draft in drafts]
        stored = store(
            made,
            rows,
            project=sender.project,
            known_people=door.known.people,
            others=[
                *door.known.images.values(),
                *(draft.seen.user_id for draft in drafts),
                *(draft.seen.uploader for draft in drafts),
            ],
        )

        def kept(draft: Draft) -> Kept:
            row = draft.row
            receipt = Receipt(
                id=row.id,
                inference_id=row.inference_uuid,
                task=draft.task.slug,
                status=row.status,
                flags=row.flags,
                quality=row.quality,
                redactions=row.redactions,
                created_at=stored[row.id].created_at,
            )
            return Kept(receipt, row.rejections, is_new=True)

        return _answers(sender, results, kept, Feedback)

    return _until_stored(attempt)


def require_free_disk() -> None:
    """Raise Unavailable before PostgreSQL meets a full disk, from which it does not come back."""
    if not has_free_disk():
        raise Unavailable


def _images(values: Iterable[Any]) -> set[UUID]:
    """Return the ids in what has the shape of an image's output, whatever its task is."""
    named = (value.get("image") for value in values if isinstance(value, dict))
    return {UUID(id_) for id_ in named if isinstance(id_, str) and IMAGE_ID.fullmatch(id_)}


def _named(bodies: Sequence[Body]) -> dict[str, Any]:
    return {
        "ids": {body.id for body in bodies if body.id},
        "people": {body.user_id for body in bodies if body.user_id},
    }


def _enter(
    door: Door, item: Sent[Body], draft: Callable[[Sent[Body], bytes], Row]
) -> Row | Repeat | EmendError:
    """Draft one body, unless its id is known from before or from this very request."""
    body = item.body
    print_ = fingerprint(door.sender.project, door.document(item))
    known = door.known.ids.get(body.id) if body.id else None
    if body.id is not None and known is not None:
        is_same = hmac.compare_digest(known, bytea(print_))
        return Repeat(body.id) if is_same else IdConflict()
    try:
        row = draft(item, print_)
    except EmendError as error:
        return error
    if body.id is not None:
        door.known.ids[body.id] = bytea(print_)
    return row


def _answers(
    sender: Sender,
    results: Sequence[Any],
    kept: Callable[[Any], Kept],
    model: type[Inference] | type[Feedback],
) -> list[Kept | EmendError]:
    """Say what became of each; what was stored before, or twice sent, is read back."""
    ids = {result.id for result in results if isinstance(result, Repeat)}
    rows = {}
    if ids:
        related = ["task"] if model is Inference else ["task", "inference"]
        known = model._default_manager.filter(project=sender.project, uuid__in=ids)
        rows = {row.uuid: row for row in known.select_related(*related)}

    def answer(result: Any) -> Kept | EmendError:
        if isinstance(result, EmendError):
            return result
        if isinstance(result, Repeat):
            row = rows[result.id]
            return Kept(receipt_of(row), getattr(row, "rejections", []), is_new=False)
        return kept(result)

    return [answer(result) for result in results]


def _until_stored(attempt: Callable[[], Result]) -> Result:
    """Try again where another request stored the same id or act, or somebody leaves, meanwhile.

    The next look knows of it.
    """
    require_free_disk()
    for _ in range(ATTEMPTS):
        try:
            if not connection.in_atomic_block:
                return attempt()  # only one statement writes: it needs no transaction around it
            with transaction.atomic():
                return attempt()
        except IntegrityError:
            continue
        except OperationalError as error:
            # Two batches that bring the same rows in another order: one of them won.
            is_deadlock = isinstance(error.__cause__, DeadlockDetected)
            if not is_deadlock or connection.in_atomic_block:
                raise
    raise Unavailable
