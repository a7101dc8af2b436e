"""The door: a body in, one stored row out, or a refusal that stored nothing.

Consent is asked and personal data redacted in memory before the first write; what validation
refuses is kept as `rejected`, what looks suspicious as `flagged`.
"""

import hmac
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import IntegrityError, connection, transaction
from msgspec import UNSET

from config.api import malformed
from config.celery import lock_key
from config.errors import IdConflict, Malformed, Problem, Unavailable
from config.health import has_free_disk
from config.json import JSON
from feedback.models import Captured, Feedback, Inference, Status, Task
from feedback.normalise import content_hash
from feedback.serializers import FeedbackBody, InferenceBody, SentBody
from feedback.validation import Act, judge
from privacy import consent
from privacy.idempotency import fingerprint
from privacy.models import ApiKey, Project, Scope
from privacy.redaction import redact

Row = TypeVar("Row", bound=Captured)
LATEST_YEAR = 9998  # PostgreSQL knows years after 9999, Python does not


def require_free_disk() -> None:
    """Raise Unavailable before PostgreSQL meets a full disk, from which it does not come back."""
    if not has_free_disk():
        raise Unavailable


def take_turn(project: Project) -> None:
    """Wait until no other batch of the project is being stored.

    Two that bring the same new people, or ids, in another order would else deadlock.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock_key(f"batch {project.pk}")])


def find_task(project: Project, slug: str) -> Task:
    task = Task.objects.filter(project=project, slug=slug).select_related("project").first()
    if task is None:
        raise malformed("/task", f"The project has no task {slug!r}.", "feedback.unknown_task")
    return task


def find_inference(project: Project, inference_id: uuid.UUID, pointer: str) -> Inference:
    known = Inference.objects.select_related("task__project")
    inference: Inference | None = known.filter(project=project, uuid=inference_id).first()
    if inference is None:
        detail = "The project has no inference of that id."
        raise malformed(pointer, detail, "feedback.unknown_inference")
    return inference


def capture_inference(*, key: ApiKey, body: InferenceBody, sent: object) -> tuple[Inference, bool]:
    """Store one output of a model; return the row and whether it is new.

    Raises Malformed, IdConflict, and OptedOut or NoConsent; then nothing is stored.
    """

    def build() -> Inference:
        task = find_task(key.project, body.task)
        parent = None
        if body.parent_inference is not None:
            parent = find_inference(key.project, body.parent_inference, "/parent_inference")
        inference = build_inference(task, body.input, body.output, body)
        inference.confidence = body.confidence
        inference.model_version = Redactor(task).clean(body.model_version)
        inference.parent = parent
        if body.target is not None:
            inference.target_type, inference.target_id = body.target.type, body.target.id
        return inference

    return _store_once(Inference, key, body, sent, build)


def build_inference(task: Task, input_: JSON, output: JSON, body: SentBody) -> Inference:
    """Check and redact an input and its output; return the row, not stored yet."""
    check_input(task, input_)
    problems = task.kind.validate_output(output, labels=task.labels)
    if problems:
        raise malformed_content("/output", problems)
    redactor = Redactor(task)
    inference = redacted_inference(redactor, input_)
    inference.output = redactor.clean_output(output)
    inference.metadata = redactor.clean(body.metadata)
    inference.redactions = redactor.found
    return inference


def redacted_inference(redactor: "Redactor", input_: JSON) -> Inference:
    """Return the row of a checked input, which has no output yet."""
    clean = redactor.clean(input_)
    return Inference(
        task=redactor.task, input=clean, input_hash=content_hash(clean), redactions=redactor.found
    )


def check_input(task: Task, input_: JSON) -> None:
    """Raise Malformed unless the value is an input of the task, within its length."""
    problems = task.kind.validate_input(input_)
    limit = task.options.max_characters
    if not problems and len(task.kind.text_of(input_)) > limit:
        problems = [Problem("", "feedback.too_long", f"Longer than {limit:,} characters.")]
    if problems:
        raise malformed_content("/input", problems)


def capture_feedback(*, key: ApiKey, body: FeedbackBody, sent: object) -> tuple[Feedback, bool]:
    """Judge and store one act of a person; return the row and whether it is new.

    What validation refuses is stored too, with the status `rejected`. Raises Malformed,
    IdConflict, and OptedOut or NoConsent; then nothing is stored.
    """

    def build() -> Feedback:
        if body.inference_id is not None:
            inference = find_inference(key.project, body.inference_id, "/inference_id")
        else:
            inference = _inference_on_the_way(key, body)
        return _build_feedback(inference, body)

    _check_subject(body)
    return _store_once(Feedback, key, body, sent, build)


def _check_subject(body: FeedbackBody) -> None:
    """Refuse a body that names both an inference and the parts of one, or neither."""
    parts = {"task": body.task, "input": body.input, "output": body.output}
    given = [name for name, value in parts.items() if value is not None and value is not UNSET]
    if body.inference_id is not None and given:
        raise malformed(f"/{given[0]}", "Send inference_id, or task, input and output; not both.")
    if body.inference_id is None and len(given) < len(parts):
        missing = next(name for name in parts if name not in given)
        raise malformed(f"/{missing}", "Send inference_id, or task, input and output.")


def _inference_on_the_way(key: ApiKey, body: FeedbackBody) -> Inference:
    task = find_task(key.project, body.task or "")
    inference = build_inference(task, body.input, body.output, body)
    inference.metadata = {}  # the metadata is the feedback's
    sign(inference, key, body, fingerprint(key.project, None))
    Inference.objects.bulk_create([inference])
    return inference


def _build_feedback(inference: Inference, body: FeedbackBody) -> Feedback:
    task = inference.task
    if body.correction_type is not None and body.correction_type not in task.correction_types:
        detail = f"The task has no correction type {body.correction_type!r}."
        raise malformed("/correction_type", detail, "feedback.unknown_correction_type")
    redactor = Redactor(task)
    corrected = None if body.corrected is UNSET else redactor.clean_output(body.corrected)
    feedback = Feedback(
        task=task,
        inference=inference,
        signal=body.signal,
        correction_type=body.correction_type or "",
        original=inference.output,
        corrected=corrected,
        comment=redactor.clean(body.comment),
        metadata=redactor.clean(body.metadata),
        input_hash=bytes(inference.input_hash),
        queue=task.kind.queue,
        user_id=body.user_id,
    )
    is_hidden = corrected is not None and corrected != body.corrected
    _judge(feedback, is_change_redacted=is_hidden and corrected == inference.output)
    feedback.redactions = redactor.found
    return feedback


def _judge(feedback: Feedback, *, is_change_redacted: bool) -> None:
    """Ask validation and write its verdict on the row: rejections, flags, quality, status."""
    task = feedback.task
    verdict = judge(
        Act(
            signal=feedback.signal,
            input=feedback.inference.input,
            output=feedback.original,
            corrected=feedback.corrected,
            comment=feedback.comment,
            labels=tuple(task.labels),
            modality=task.kind,
            max_chars=task.options.max_characters,
            is_repeat=_is_repeat(feedback),
            is_contradiction=_contradicts(feedback),
            is_change_redacted=is_change_redacted,
        )
    )
    feedback.rejections = [
        {"pointer": p.pointer, "code": p.code, "detail": p.detail} for p in verdict.rejections
    ]
    feedback.flags = verdict.flags
    feedback.quality = verdict.quality
    if verdict.rejections:
        feedback.status = Status.REJECTED
    else:
        feedback.status = Status.FLAGGED if verdict.flags else Status.PENDING


def _is_repeat(feedback: Feedback) -> bool:
    """Return whether this contributor said the same of this inference already."""
    if feedback.user_id is None or feedback.inference.pk is None:
        return False
    same = feedback.inference.feedback.filter(
        user_id=feedback.user_id, signal=feedback.signal, comment=feedback.comment
    ).exclude(status=Status.REJECTED)
    if feedback.corrected is None:
        return same.filter(corrected__isnull=True).exists()
    return same.filter(corrected=feedback.corrected).exists()


def _contradicts(feedback: Feedback) -> bool:
    """Return whether another contributor corrected the same input differently."""
    if feedback.corrected is None:
        return False
    others = Feedback.objects.filter(
        task=feedback.task,
        input_hash=feedback.input_hash,
        corrected__isnull=False,
        status__in=[Status.PENDING, Status.FLAGGED, Status.PROCESSED],
    ).exclude(corrected=feedback.corrected)
    if feedback.user_id is not None:
        others = others.exclude(user_id=feedback.user_id)
    return others.exists()


class Redactor:
    """Redact the parts of one row and count what was found in all of them."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.found: dict[str, int] = {}

    def clean(self, value: Any) -> Any:
        clean, found = redact(value, regions=self.task.options.phone_regions)
        self.found = dict(Counter(self.found) + Counter(found))
        return clean

    def clean_output(self, value: Any) -> Any:
        """Redact an output; a label of the task is no personal data and stays as it is."""
        is_label = self.task.kind.has_label_output and value in self.task.labels
        return value if is_label else self.clean(value)


def malformed_content(pointer: str, problems: list[Problem]) -> Malformed:
    """Return the error for problems whose pointers are relative to the value at `pointer`."""
    placed = [Problem(pointer + p.pointer, p.code, p.detail) for p in problems]
    return Malformed(placed[0].detail, errors=placed)


def sign(row: Captured, key: ApiKey, body: SentBody, print_: bytes) -> None:
    """Write on the row who sent it; raise Malformed for a time that cannot be read back."""
    if body.occurred_at is not None and not 1970 <= body.occurred_at.year <= LATEST_YEAR:
        raise malformed("/occurred_at", f"Between the years 1970 and {LATEST_YEAR}.")
    row.project = key.project
    row.api_key = key
    row.user_id = body.user_id
    row.is_verified = key.scope == Scope.MANAGE
    row.session_id = body.session_id or ""
    row.occurred_at = body.occurred_at
    row.fingerprint = print_


def _store_once(
    model: type[Row], key: ApiKey, body: SentBody, sent: object, build: Callable[[], Row]
) -> tuple[Row, bool]:
    """Store what `build` makes unless a row of that id exists; a repeat returns that row."""
    print_ = fingerprint(key.project, sent)
    known = _known(model, key.project, body.id, print_)
    if known is not None:
        return known, False
    require_free_disk()
    if key.scope == Scope.CAPTURE and body.user_id is None:
        # Without a person nobody's consent could be asked.
        raise malformed("/user_id", "A capture key says whose act it sends.")
    try:
        with transaction.atomic():
            consent.require(key.project, body.user_id)
            row = build()
            sign(row, key, body, print_)
            if body.id is not None:
                row.uuid = body.id
            model._default_manager.bulk_create([row])
    except IntegrityError:  # the same id arrived twice at once: the other request won
        known = _known(model, key.project, body.id, print_)
        if known is None:
            raise
        return known, False
    return row, True


def _known(
    model: type[Row], project: Project, row_id: uuid.UUID | None, print_: bytes
) -> Row | None:
    """Return the row that has this id; raise IdConflict if it was made of another content."""
    if row_id is None:
        return None
    related = ["task__project", "inference"] if model is Feedback else ["task__project"]
    known = model._default_manager.select_related(*related).filter(project=project, uuid=row_id)
    row = known.first()
    if row is not None and not hmac.compare_digest(bytes(row.fingerprint), print_):
        raise IdConflict
    return row
