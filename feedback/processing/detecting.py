"""Names and addresses by an optional detector, before a row teaches anything.

A detector may take a fifth of a second for a text, so it never works inside a request. What it
finds is taken out of the stored row, its inference and all that is made of them.
"""

from functools import cache
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.utils.module_loading import import_string

from feedback.capture.cleaning import mark
from feedback.modalities.base import Modality
from feedback.models import Feedback, Inference, Review
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


def redact_found(row: "Work", kind: Modality) -> "Work":
    """Take what the detector finds out of the row and out of the tables; call in a transaction."""
    if not has_detector():
        return row
    contents = [row.input, row.original, row.corrected, row.comment, row.metadata, row.reviewed]
    found = replace_found(contents, _detector(settings.REDACTION_DETECTOR))
    if not found.counts:
        return row
    pairs = zip(contents, cast("list[Any]", found.value), strict=True)
    clean: list[Any] = [kind.keep_apart(was, now, mark) for was, now in pairs]
    row.input, row.original, row.corrected, row.comment, row.metadata, row.reviewed = clean
    digest = content_hash(kind.identity(row.input, row.original))
    row.input_hash = "\\x" + digest.hex()
    Inference.objects.filter(number=row.inference_id).update(
        input=row.input, output=row.original, input_hash=digest
    )
    feedback = Feedback.objects.get(number=row.number)
    counts = {kind: feedback.redactions.get(kind, 0) + n for kind, n in found.counts.items()}
    Feedback.objects.filter(number=row.number).update(
        original=row.original,
        corrected=row.corrected,
        comment=row.comment,
        metadata=row.metadata,
        input_hash=digest,
        redactions=feedback.redactions | counts,
    )
    if row.reviewed is not None:
        Review.objects.filter(feedback=row.number).update(corrected=row.reviewed)
    return row
