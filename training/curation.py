"""Which examples a version takes, and why the others were left out."""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from django.db.models import Count, Q, QuerySet

from feedback.duplicates import Match, near_duplicates, near_images
from feedback.models import Example, Image, Task
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
    """What a version takes, as ids of examples, and how many it leaves out, by reason.

    `near_holdout` names the nearest holdout example of each that is left out for being like it.
    """

    examples: set[int]
    left_out: dict[str, int]
    near_holdout: list[Match]


def choose(dataset: Dataset, *, as_of: datetime) -> Choice:
    """Choose the examples of a version that is built now.

    The holdout wins: an input that any holdout row has, or nearly has, is never trained on.
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
    near_holdout = _near_holdout(dataset.task, train=taught, holdout=held_out.keys())
    counted = {
        "consent_withdrawn": current.count() - permitted.count(),
        "in_holdout": len(teaching) - len(taught),
        "near_holdout": len(near_holdout),
        "not_in_dataset": train.count() - len(teaching),
    }
    is_silence = Q(source="silence")
    for reason, rows in (
        ("silence", is_silence),
        ("unverified_undecided_or_outdone", ~is_silence),
    ):
        counted[reason] = permitted.filter(rows).count() - eligible.filter(rows).count()
    return Choice(
        examples=(taught | held_out.keys()) - {match.row for match in near_holdout},
        left_out={reason: count for reason, count in counted.items() if count},
        near_holdout=near_holdout,
    )


def _near_holdout(task: Task, *, train: Set[int], holdout: Set[int]) -> list[Match]:
    """Find which train examples are like one of the holdout; name both by their ids.

    Reads all content at each build, the train side as a stream.
    """
    mine, theirs = _Side(task, train), _Side(task, holdout)
    others = list(theirs.texts())
    by_text = [
        Match(mine.pks[row], theirs.pks[other], similarity)
        for row, other, similarity in near_duplicates(mine.texts(), others)
    ]
    shown, held_out = mine.difference_hashes(), theirs.difference_hashes()
    rows, pictures = list(shown), list(held_out)
    by_picture = [
        Match(rows[row], pictures[other], similarity)
        for row, other, similarity in near_images(list(shown.values()), list(held_out.values()))
    ]
    return list({match.row: match for match in [*by_picture, *by_text]}.values())


class _Side:
    """One side of the split as it is read: the ids in their order, the pictures in outputs."""

    def __init__(self, task: Task, chosen: Set[int]) -> None:
        self._task = task
        self._chosen = chosen
        self.pks: list[int] = []
        self._pictures: dict[int, str] = {}

    def texts(self) -> Iterator[str]:
        """Yield what near-duplicates go by: the input's text, or the digest of its key."""
        kind = self._task.kind
        # Not by a list of ids, which may be a million.
        rows = Example.objects.filter(task=self._task, superseded_at=None).order_by("pk")
        for pk, value, output in rows.values_list("pk", "input", "output").iterator(CHUNK_ROWS):
            if pk in self._chosen:
                self.pks.append(pk)
                for image in kind.image_ids(output)[:1]:
                    self._pictures[pk] = image
                key = kind.near_key(value, output)
                yield kind.text_of(value) if key is None else sha256(key).hexdigest()

    def difference_hashes(self) -> dict[int, int]:
        """Return the difference hashes of the pictures that were read, by example."""
        if not self._pictures:
            return {}
        images = Image.objects.filter(project=self._task.project_id)
        hashes = {
            str(uuid): value
            for uuid, value in images.values_list("uuid", "difference_hash").iterator(CHUNK_ROWS)
        }
        return {pk: hashes[image] for pk, image in self._pictures.items() if image in hashes}


def _hashes_by_id(examples: ExampleQuerySet) -> dict[int, bytes]:
    rows = examples.values_list("pk", "input_hash").iterator(CHUNK_ROWS)
    return {pk: bytes(input_hash) for pk, input_hash in rows}


def _eligible(dataset: Dataset, as_of: datetime) -> ExampleQuerySet:
    """Return the task's trainable examples; silence proves nothing, so it is not held out."""
    examples = Example.objects.filter(task=dataset.task).trainable(as_of=as_of)
    if dataset.task.kind.has_label_output:  # a label may have been taken from the task since
        examples = examples.filter(output__in=dataset.task.labels)
    if not dataset.task.silence_weight:  # switched off since it was counted
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
