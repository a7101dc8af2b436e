"""Which examples a version takes, and why the others were left out."""

from datetime import datetime
from typing import Annotated

import msgspec
from django.db.models import Count, Q, QuerySet

from feedback.models import Example
from feedback.querysets import ExampleQuerySet
from training.models import Dataset


class DatasetSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What of the train side a dataset takes. The holdout is always the task's whole holdout."""

    sources: Annotated[
        list[str], msgspec.Meta(description="feedback, audit, import, silence; empty: all")
    ] = []
    signals: Annotated[
        list[str], msgspec.Meta(description="signals of feedback that count; empty: all")
    ] = []


def wanted(dataset: Dataset, *, as_of: datetime) -> ExampleQuerySet:
    """Return the examples that a version built now takes.

    The holdout wins: an input that any holdout row has is never trained on.
    """
    eligible = _eligible(dataset, as_of)
    return eligible.filter(Q(split="holdout") | (_teaching(dataset) & ~_is_held_out(eligible)))


def left_out(dataset: Dataset, *, as_of: datetime) -> dict[str, int]:
    """Count the task's current examples that no version built now takes, by reason."""
    current = Example.objects.filter(
        task=dataset.task, created_at__lte=as_of, superseded_at=None
    ).exclude(source="silence", inference__feedback__isnull=False)
    eligible = _eligible(dataset, as_of)
    train = Q(split="train")
    counted = {
        "consent_withdrawn": current.count() - current.permitted().count(),
        "in_holdout": eligible.filter(train & _is_held_out(eligible)).count(),
        "not_in_dataset": eligible.filter(train & ~_teaching(dataset)).count(),
        "unverified_undecided_or_outdone": current.permitted()
        .exclude(pk__in=eligible.values("pk"))
        .count(),
    }
    return {reason: count for reason, count in counted.items() if count}


def _eligible(dataset: Dataset, as_of: datetime) -> ExampleQuerySet:
    """Return the task's trainable examples; silence is no proof of what is right: no holdout."""
    examples = Example.objects.filter(task=dataset.task).trainable(as_of=as_of)
    return examples.exclude(source="silence", split="holdout")


def _is_held_out(eligible: ExampleQuerySet) -> Q:
    return Q(input_hash__in=eligible.filter(split="holdout").values("input_hash"))


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
