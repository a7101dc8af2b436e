"""What feedback and silence teach: rows of examples, made in bulk."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Any

import msgspec
from django.db.models.functions import Greatest, Now
from django.utils import timezone

from config.database import fetch, recordset
from config.errors import EmendError
from feedback.capture.rows import bytea
from feedback.errors import ExampleRefused
from feedback.modalities.base import ExampleDraft, Modality
from feedback.models import Example, Feedback, Inference, Task
from feedback.processing.detecting import redact_answer, redact_found
from feedback.signals import SIGNALS
from feedback.validation import edit_quality

SILENT_ROWS = 2_000
LONGEST_CAPTURE = timedelta(hours=1)  # from an answer's time until its row can be seen


class Work(msgspec.Struct):
    """A pending feedback with its inference and its standing review, as one row."""

    number: int
    task_id: int
    inference_id: int
    signal: str
    source: str
    input: Any
    input_hash: str
    original: Any
    corrected: Any
    comment: str
    metadata: Any
    reviewed: Any
    is_pinned: bool
    review_history_id: int | None


class ExampleRow(msgspec.Struct, kw_only=True):
    """An example before it is stored; names are those of columns."""

    task_id: int
    feedback_id: int | None = None
    inference_id: int | None = None
    source: str
    signal: str = ""
    input: Any
    output: Any
    rejected_output: Any = None
    case: str = ""
    is_pinned: bool = False
    input_hash: str
    base_weight: float
    split: str = ""
    review_history_id: int | None = None


@dataclass
class Made:
    """Numbers of the feedback that is done, and of what failed with its code."""

    done: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)


_TYPES = {
    **dict.fromkeys(("task_id", "feedback_id", "inference_id", "review_history_id"), "bigint"),
    **dict.fromkeys(("input", "output", "rejected_output"), "jsonb"),
    "is_pinned": "bool",
    "input_hash": "bytea",
    "base_weight": "float8",
}
_COLUMNS = {name: _TYPES.get(name, "text") for name in ExampleRow.__struct_fields__}
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
# Not of feedback or answers that an erasure has emptied or deleted meanwhile: it is waited for.
_INSERT = f"""
    WITH alive AS MATERIALIZED (
        SELECT f.number FROM feedback AS f
        WHERE f.number IN (SELECT feedback_id FROM {recordset("rows", _COLUMNS)})
            AND f.status <> 'erased' FOR KEY SHARE
    ), shown AS MATERIALIZED (
        SELECT i.number FROM feedback_inference AS i
        WHERE i.number IN (SELECT inference_id FROM {recordset("rows", _COLUMNS)})
            AND i.input_hash <> '' ORDER BY i.number FOR KEY SHARE
    ), stored AS (
        INSERT INTO feedback_example ({_NAMES}) SELECT {_NAMES}
        FROM {recordset("rows", _COLUMNS)}
        WHERE (feedback_id IS NULL OR feedback_id IN (SELECT number FROM alive))
            AND (inference_id IS NULL OR inference_id IN (SELECT number FROM shown))
        ON CONFLICT DO NOTHING RETURNING 1
    ) SELECT count(*)::text FROM stored
"""  # noqa: S608  built of the column names above alone
# A row that another session has in hand is left to it.
_WORK = """
    SELECT coalesce(json_agg(to_json(work)), '[]')::text FROM (
        SELECT f.number, f.task_id, f.inference_id, f.signal, f.source, i.input,
            f.input_hash::text, f.original, f.corrected, f.comment, f.metadata,
            CASE WHEN r.decision = 'accept' THEN r.corrected END AS reviewed,
            coalesce(r.decision = 'accept' AND r.is_pinned, false) AS is_pinned, (
                SELECT max(h.history_id) FROM feedback_historicalreview AS h WHERE h.id = r.id
            ) AS review_history_id
        FROM feedback AS f
        JOIN feedback_inference AS i ON i.number = f.inference_id
        LEFT JOIN feedback_review AS r ON r.feedback_id = f.number
        WHERE f.number = ANY(%(numbers)s) AND f.status = 'pending'
        ORDER BY f.number FOR UPDATE OF f SKIP LOCKED
    ) AS work
"""


def make_examples(numbers: list[int]) -> Made:
    """Store what pending feedback teaches, many signals nothing; call inside a transaction."""
    made = Made()
    rows: list[ExampleRow] = []
    work = fetch(_WORK, {"numbers": numbers}, list[Work])
    tasks = Task.objects.in_bulk({row.task_id for row in work})
    for row in work:
        try:
            task = tasks[row.task_id]
            redact_found(task, row)
            rows += _examples(task, row)
            made.done.append(row.number)
        except EmendError as error:
            made.failed[row.number] = error.code
    outdated = Example.objects.filter(feedback__in=made.done, superseded_at=None)
    outdated.update(superseded_at=Now())
    _store(rows)
    return made


def _examples(task: Task, row: Work) -> list[ExampleRow]:
    """Raises ExampleRefused for what is no output of the task, whoever accepted it."""
    corrected = row.corrected if row.reviewed is None else row.reviewed
    drafts = task.kind.to_examples(signal=row.signal, original=row.original, corrected=corrected)
    return [_example(task, row, draft) for draft in drafts]


def _example(task: Task, row: Work, draft: ExampleDraft) -> ExampleRow:
    if task.kind.validate_output(draft.output, labels=task.labels, input_=row.input):
        raise ExampleRefused  # the task's labels changed since the feedback was captured
    return ExampleRow(
        task_id=task.pk,
        feedback_id=row.number,
        source="audit" if row.source == "audit" else "feedback",
        signal=row.signal,
        input=row.input,
        output=draft.output,
        rejected_output=draft.rejected_output,
        case=draft.case,
        is_pinned=row.is_pinned,
        input_hash=row.input_hash,
        base_weight=SIGNALS[row.signal].weight * quality_of(task.kind, draft),
        review_history_id=row.review_history_id,
    )


def quality_of(kind: Modality, draft: ExampleDraft) -> float:
    """Return how much an example teaches: what was approved all, a change by its size."""
    if draft.rejected_output is None:
        return 1.0
    return edit_quality(kind.edit_distance(draft.rejected_output, draft.output))


def add_silent_examples(task: Task, until: datetime | None = None) -> int:
    """Make an example of each answer up to then that people let stand; return how many are new.

    What they weigh is decided when a model is trained; where that is 0 none is made. Answers that
    were looked at before are not looked at again.
    """
    if not task.silence_weight:
        return 0
    over = timezone.now() - timedelta(hours=task.options.silence_hours)
    until = min(until or over, over)
    silent = Inference.objects.silent(task, until).filter(examples=None)
    if task.silence_until is not None:
        silent = silent.filter(created_at__gt=task.silence_until - LONGEST_CAPTURE)
    rows = silent.iterator(SILENT_ROWS)
    count = 0
    while batch := [_silent(task, inference) for inference in islice(rows, SILENT_ROWS)]:
        count += _store(batch)
    # Not where an erasure has set it back meanwhile: then all is looked at once more.
    unchanged = Task.objects.filter(pk=task.pk, silence_until=task.silence_until)
    unchanged.update(silence_until=Greatest("silence_until", until))
    return count


def add_undesired_examples(task: Task) -> int:
    """Make an example of each down-vote that waits for a moderator only because it has no fix.

    They say what not to answer: only `unpaired` datasets take them.
    """
    waiting = Feedback.objects.flagged().filter(project=task.project_id, task=task, review=None)
    votes = waiting.filter(signal="down", corrected__isnull=True, flags=["feedback.no_fix"])
    rows = votes.filter(is_verified=True, examples=None).select_related("inference")
    return _store([_undesired(task, vote) for vote in rows.iterator(SILENT_ROWS)])


def _undesired(task: Task, vote: Feedback) -> ExampleRow:
    redact_answer(task, vote.inference)
    return ExampleRow(
        task_id=task.pk,
        feedback_id=vote.pk,
        source="audit" if vote.source == "audit" else "feedback",
        signal=vote.signal,
        input=vote.inference.input,
        output=vote.inference.output,
        input_hash=bytea(bytes(vote.input_hash)),
        base_weight=SIGNALS[vote.signal].weight,
    )


def _silent(task: Task, inference: Inference) -> ExampleRow:
    redact_answer(task, inference)
    return ExampleRow(
        task_id=task.pk,
        inference_id=inference.pk,
        source="silence",
        input=inference.input,
        output=inference.output,
        input_hash=bytea(bytes(inference.input_hash)),
        base_weight=1.0,
    )


def _store(rows: list[ExampleRow]) -> int:
    """Choose the side of each row, a question for each task, and store them; return how many."""
    ordered = sorted(rows, key=_task_of)
    for task_id, alike in groupby(ordered, key=_task_of):
        group = list(alike)
        hashes = {row.input_hash: bytes.fromhex(row.input_hash[2:]) for row in group}
        sides = Example.objects.sides_of(task_id, hashes.values())
        for row in group:
            row.split = sides[hashes[row.input_hash]]
    if not rows:
        return 0
    return fetch(_INSERT, {"rows": msgspec.json.encode(rows).decode()}, int, is_write=True)


def _task_of(row: ExampleRow) -> int:
    return row.task_id
