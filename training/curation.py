"""Which examples a version takes, and why the others were left out."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from django.db.models import Count, Q, QuerySet

from feedback.models import Example
from feedback.querysets import ExampleQuerySet
from training.models import Dataset

CHUNK_ROWS = 10_000
SignalName = Literal[
    "up", "down", "correction", "edited", "regenerated", "accepted", "resolved", "abandoned"
]


class DatasetSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What of the train side a dataset takes. The holdout is always the task's whole holdout."""

    sources: Annotated[
        list[Literal["feedback", "audit", "import", "silence"]],
        msgspec.Meta(description="Where examples may come from; empty: anywhere."),
    ] = []
    signals: Annotated[
        list[SignalName], msgspec.Meta(description="Signals of feedback that count; empty: all.")
    ] = []


@dataclass(frozen=True)
class Choice:
    """What a version takes, as ids of examples, and how many it leaves out, by reason."""

    examples: set[int]
    left_out: dict[str, int]


def choose(dataset: Dataset, *, as_of: datetime) -> Choice:
    """Choose the examples of a version that is built now.

    The holdout wins: an input that any holdout row has is never trained on.
    """
    current = Example.objects.filter(
        task=dataset.task, created_at__lte=as_of, superseded_at=None
    ).exclude(source="silence", inference__feedback__isnull=False)
    permitted = current.permitted()
    eligible = _eligible(dataset, as_of)
    train = eligible.filter(split="train")
    # Compared here: without fresh statistics PostgreSQL may join for minutes.
    held_out = _hashes_by_id(eligible.filter(split="holdout"))
    teaching = _hashes_by_id(train.filter(_teaching(dataset)))
    hashes = set(held_out.values())
    taught = {pk for pk, input_hash in teaching.items() if input_hash not in hashes}
    counted = {
        "consent_withdrawn": current.count() - permitted.count(),
        "in_holdout": len(teaching) - len(taught),
        "not_in_dataset": train.count() - len(teaching),
    }
    is_silence = Q(source="silence")
    for reason, rows in (
        ("silence", is_silence),
        ("unverified_undecided_or_outdone", ~is_silence),
    ):
        counted[reason] = permitted.filter(rows).count() - eligible.filter(rows).count()
    return Choice(
        examples=taught | held_out.keys(),
        left_out={reason: count for reason, count in counted.items() if count},
    )


def _hashes_by_id(examples: ExampleQuerySet) -> dict[int, bytes]:
    rows = examples.values_list("pk", "input_hash").iterator(CHUNK_ROWS)
    return {pk: bytes(input_hash) for pk, input_hash in rows}


def _eligible(dataset: Dataset, as_of: datetime) -> ExampleQuerySet:
    """Return the task's trainable examples; silence proves nothing, so it is not held out."""
    examples = Example.objects.filter(task=dataset.task).trainable(as_of=as_of)
    if dataset.task.labels:  # a label may have been taken from the task since
        examples = examples.filter(output__in=dataset.task.labels)
    if not dataset.task.options.silence_weight:  # switched off since it was counted
        return examples.exclude(source="silence")
    return examples.exclude(source="silence", split="holdout")


def _teaching(dataset: Dataset) -> Q:
    """Match what the dataset's settings let onto the train side."""
    settings = msgspec.convert(dataset.settings, DatasetSettings)
    chosen = Q()
    if settings.sources:
        chosen &= Q(source__in=settings.sources)
    if settings.signals:
        chosen &= Q(signal__in=settings.signals) | ~Q(source__in=["feedback", "audit"])
    return chosen


def feedback_counts(examples: QuerySet[Example]) -> dict[str, dict[str, int]]:
    """Count examples made from feedback by signal and by source."""
    of_feedback = examples.filter(feedback__isnull=False)

    def count_by(field: str) -> dict[str, int]:
        rows = of_feedback.values_list(field).annotate(n=Count("pk")).order_by(field)
        return {str(value): n for value, n in rows}

    return {"by_signal": count_by("signal"), "by_source": count_by("feedback__source")}
