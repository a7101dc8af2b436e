"""What rows say, read in the lump: canonical hashes and the texts by which rows are alike."""

import unicodedata
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from django.db import connection

from feedback.duplicates import DUPLICATE_BITS, hamming
from feedback.modalities.base import Modality
from feedback.models import Example, Image, Task
from feedback.normalise import normalise
from training.models import Dataset
from training.purposes import PURPOSES
from training.sethash import row_hash

CHUNK_ROWS = 20_000
NEAR_IDENTICAL = 0.02  # of the distance from all of the work of a correction
_COLUMNS = "e.base_weight, e.input_hash, e.input::text, e.output::text, e.rejected_output::text"


class Content(NamedTuple):
    """An example as one dataset sees it."""

    id: int
    split: str
    kind: str
    weight: float
    input_hash: bytes
    input: Any
    output: Any
    rejected: Any


def of_decided(split: str, *, reason: str = "") -> Iterator[list[Content]]:
    """Yield what `decided` gives that reason on one side of the split, some thousand at a time.

    "" is what it leaves in.
    """
    yield from _read(
        f"""SELECT d.id, d.split, d.kind, {_COLUMNS} FROM decided AS d
        JOIN feedback_example AS e ON e.id = d.id
        WHERE d.reason = %s AND d.split = %s""",  # noqa: S608
        [reason, split],
    )


def of_members(
    dataset: Dataset, version: int, split: str | None = None, *, after: int = 0
) -> Iterator[list[Content]]:
    """Yield the content of all that a version has, exact twins too, in no order.

    `after` leaves out what an earlier version had already.
    """
    kind = PURPOSES[dataset.purpose].kind
    yield from _read(
        f"""SELECT e.id, m.split, {kind}::text, {_COLUMNS} FROM training_membership AS m
        JOIN feedback_example AS e ON e.id = m.example_id
        WHERE m.dataset_id = %s AND m.since_version <= %s
        AND (m.until_version IS NULL OR m.until_version > %s)
        AND m.split = coalesce(%s, m.split) AND m.since_version > %s""",  # noqa: S608
        [dataset.pk, version, version, split, after],
    )


def _read(statement: str, parameters: list[Any]) -> Iterator[list[Content]]:
    decode = msgspec.json.Decoder().decode
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement, parameters)
        while rows := cursor.fetchmany(CHUNK_ROWS):
            yield [
                Content(
                    *(pk, split, kind, weight, bytes(digest)),
                    *(decode(value), decode(output), rejected and decode(rejected)),
                )
                for pk, split, kind, weight, digest, value, output, rejected in rows
            ]


def hash_of(row: Content, pictures: "Pictures") -> bytes:
    """Return the hash of a canonical row: no ids, times, people or project in it."""
    columns = {
        "input": normalise(row.input),
        "output": pictures.told(row.output),
        "kind": row.kind,
        "weight": row.weight,
        "split": row.split,
    }
    if row.kind == "preference":
        columns["rejected"] = pictures.told(row.rejected)
    return row_hash(columns)


def is_short(kind: Modality, row: Content, fewest: int) -> bool:
    """Return whether something written in it has fewer characters, punctuation aside."""
    is_drawn = kind.near_key(row.input, row.output) is not None
    for text in [*kind.written(row.output), *([] if is_drawn else [kind.text_of(row.input)])]:
        if len(text) >= fewest and text[:fewest].isalnum():  # most are
            continue
        said = (c for c in text if unicodedata.category(c)[0] not in "PZC")
        if sum(1 for _ in islice(said, fewest)) < fewest:
            return True
    return False


def near_text(kind: Modality, value: Any, output: Any) -> str:
    """Return what rows are compared by: the input's text, or the digest of its key."""
    key = kind.near_key(value, output)
    return kind.text_of(value) if key is None else sha256(key).hexdigest()


def near_texts(task: Task, examples: Iterable[int]) -> dict[int, str]:
    """Return what examples are compared by; one that is gone is missing."""
    rows = Example.objects.filter(pk__in=list(examples)).values_list("pk", "input", "output")
    return {pk: near_text(task.kind, value, output) for pk, value, output in rows}


class Pictures:
    """The images that rows name: their difference hashes, and their SHA-256 in place of ids."""

    def __init__(self, task: Task, rows: Iterable[Content]) -> None:
        self._kind = task.kind
        self._hashes: dict[str, int] = {}
        self._digests: dict[str, str] = {}
        if task.kind.has_images:
            named = {i for row in rows for v in (row.output, row.rejected) for i in self._images(v)}
            found = list(Image.objects.filter(project=task.project_id, uuid__in=named))
            self._hashes = {str(image.uuid): image.difference_hash for image in found}
            self._digests = {str(image.uuid): image.sha256 for image in found}

    def told(self, output: Any) -> Any:
        """Return an output as it is the same in every project."""
        return self._kind.with_images(output, self._digests) if self._digests else output

    def of(self, output: Any) -> int | None:
        if not self._hashes:
            return None
        return next((self._hashes.get(image) for image in self._images(output)), None)

    def _images(self, output: Any) -> list[str]:
        return [] if output is None else self._kind.image_ids(output)[:1]

    def is_near_identical(self, row: Content) -> bool:
        """Return whether what was chosen is hardly other than what was rejected."""
        chosen, rejected = self.of(row.output), self.of(row.rejected)
        if chosen is not None and rejected is not None:
            return hamming(chosen, rejected) <= DUPLICATE_BITS
        return self._kind.edit_distance(row.rejected, row.output) < NEAR_IDENTICAL
