"""Names and addresses by an optional detector, before feedback or silence teaches anything.

A detector may take a fifth of a second for a text, so it never works inside a request. What it
finds is taken out of the stored row, its inference and all that is made of them. Starting data,
which nobody said of an answer, it does not read.
"""

from functools import cache
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.utils.module_loading import import_string

from feedback.capture.cleaning import mark
from feedback.capture.judging import answer_hash
from feedback.capture.rows import bytea
from feedback.models import Feedback, Inference, Review, Task
from feedback.normalise import content_hash
from privacy.redaction.detector import Find, replace_found

if TYPE_CHECKING:
    from feedback.processing.examples import Work

SLOW_ROWS = 20  # a batch must be done within its lease


def has_detector() -> bool:
    return bool(settings.REDACTION_DETECTOR)


@cache
def _detector(path: str) -> Find:
    found: Find = import_string(path)
    return found


def redact_found(task: Task, row: "Work") -> None:
    """Take what the detector finds out of the row and out of the tables; call in a transaction."""
    if not has_detector():
        return
    shown = Inference.objects.get(number=row.inference_id)
    redact_answer(task, shown)
    row.input, row.original = shown.input, shown.output
    row.input_hash = bytea(bytes(shown.input_hash))
    said, counts = _find(task, [row.corrected, row.comment, row.metadata, row.reviewed])
    row.corrected, row.comment, row.metadata, row.reviewed = said
    feedback = Feedback.objects.get(number=row.number)
    answer = row.corrected if row.reviewed is None else row.reviewed
    Feedback.objects.filter(number=row.number).update(
        original=row.original,
        corrected=row.corrected,
        corrected_hash=None if answer is None else answer_hash(task, row.original, answer),
        comment=row.comment,
        metadata=row.metadata,
        input_hash=shown.input_hash,
        redactions=_sum(feedback.redactions, counts),
    )
    if row.reviewed is not None:
        Review.objects.filter(feedback=row.number).update(corrected=row.reviewed)


def redact_answer(task: Task, shown: Inference) -> None:
    """Take what the detector finds out of an answer, here and in its table."""
    if not has_detector():
        return
    contents, counts = _find(task, [shown.input, shown.output, shown.metadata])
    if not counts:
        return
    # Not into an answer that an erasure has emptied meanwhile: that one has no hash.
    same = Inference.objects.filter(number=shown.number, input_hash=shown.input_hash)
    shown.input, shown.output, shown.metadata = contents
    shown.input_hash = content_hash(task.kind.identity(shown.input, shown.output))
    shown.redactions = _sum(shown.redactions, counts)
    fields = ["input", "output", "metadata", "input_hash", "redactions"]
    same.update(**{name: getattr(shown, name) for name in fields})


def _find(task: Task, contents: list[Any]) -> tuple[list[Any], dict[str, int]]:
    """Return copies without what the detector finds, and how much that was; labels stay."""
    found = replace_found(contents, _detector(settings.REDACTION_DETECTOR))
    pairs = zip(contents, cast("list[Any]", found.value), strict=True)
    clean = [task.kind.spare(was, now, task.labels, mark) for was, now in pairs]
    return clean, found.counts


def _sum(counts: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    return counts | {kind: counts.get(kind, 0) + n for kind, n in more.items()}
