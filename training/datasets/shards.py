"""Files of what each version added, ordered by row hash: made from the record, read in its place.

They may be deleted and are made again; one that was changed is refused.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from django.db import connection, transaction

from config import storage
from config.errors import FileMissing
from training.models import Dataset, DatasetVersion, Shard
from training.purposes import PURPOSES

FOLDER = "shards"
PART_ROWS, PART_BYTES = 20_000, 8_000_000
# Which of exact twins speaks for them: the one that gates ask most of (pinned, then regression,
# then golden), then by content, so that two projects with the same content say the same.
_ADDED = """
    SELECT encode(t.row_hash, 'hex') AS row_hash,
        concat(NOT e.is_pinned, array_position(ARRAY['regression', 'golden', ''], e."case"::text),
            encode(sha256(convert_to(concat(e.input, e.output), 'UTF8')), 'hex')) AS rank,
        e.id, e.input::text, e.output::text, e.rejected_output::text, e.base_weight, t.split,
        {kind}::text, e."case", e.source, e.signal, e.is_pinned, f.id::text
    FROM training_membership AS t JOIN feedback_example AS e ON e.id = t.example_id
    LEFT JOIN feedback AS f ON f.number = e.feedback_id
    WHERE t.dataset_id = %s AND t.since_version = %s ORDER BY row_hash, rank, e.id"""


class Row(msgspec.Struct, array_like=True, frozen=True, order=True):
    """One row of a version, as trainers see it; rows sort as they are read."""

    row_hash: str  # in hexadecimal digits
    rank: str  # among its exact twins, of which the first speaks for all
    example_id: int
    input: Any
    output: Any
    rejected: Any
    weight: float
    split: str
    kind: str
    case: str
    source: str
    signal: str
    is_pinned: bool
    feedback_id: str | None


_lines = msgspec.json.Decoder(Row)


def read(dataset: Dataset, version: int) -> Iterator[Row]:
    """Yield what a version added, twins too, in order; raises FileDamaged for a changed file."""
    for data in _read(dataset, version):
        yield from _lines.decode_lines(data)


def rows_of(shard: Shard) -> Iterator[Row]:
    """Yield what one file holds; raises FileDamaged."""
    return iter(_lines.decode_lines(storage.get(shard.sha256, FOLDER)))


def require(dataset: Dataset, version: int) -> None:
    """Write the files that are missing; raises FileDamaged for a changed one."""
    for _ in _read(dataset, version):
        pass


def _read(dataset: Dataset, version: int) -> Iterator[bytes]:
    for digest in _digests(dataset, version) or write(dataset, version):
        try:
            data = storage.get(digest, FOLDER)
        except FileMissing:
            write(dataset, version)
            data = storage.get(digest, FOLDER)
        yield data


def of_record(dataset: Dataset, version: int) -> Iterator[Row]:
    """Yield the same by the record alone, whatever files there are."""
    for data in _files(dataset, version):
        yield from _lines.decode_lines(data)


def _digests(dataset: Dataset, version: int) -> list[str]:
    shards = Shard.objects.filter(dataset=dataset, version=version).order_by("part")
    return list(shards.values_list("sha256", flat=True))


@transaction.atomic
def write(dataset: Dataset, version: int) -> list[str]:
    """Write the files of a version, at least one, and note their names; return them in order."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")  # a million rows are sorted for a while
    DatasetVersion.objects.select_for_update().get(dataset=dataset, version=version)
    digests = [storage.put(data, FOLDER) for data in _files(dataset, version)]
    Shard.objects.filter(dataset=dataset, version=version).delete()
    Shard.objects.bulk_create(
        Shard(dataset=dataset, version=version, part=part, sha256=digest)
        for part, digest in enumerate(digests)
    )
    return digests


def _files(dataset: Dataset, version: int) -> Iterator[bytes]:
    encoder = msgspec.json.Encoder()
    data, rows = bytearray(), 0
    for row in _added(dataset, version):
        data += encoder.encode(row) + b"\n"
        rows += 1
        if rows == PART_ROWS or len(data) > PART_BYTES:
            yield bytes(data)
            data, rows = bytearray(), 0
    yield bytes(data)


def _added(dataset: Dataset, version: int) -> Iterator[list[Any]]:
    """Yield the fields of rows, what JSON they hold as it is."""
    statement = _ADDED.format(kind=PURPOSES[dataset.purpose].kind)
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement, [dataset.pk, version])
        while rows := cursor.fetchmany(PART_ROWS // 10):
            for row_hash, rank, pk, *content in rows:
                said = (msgspec.Raw(text.encode() if text else b"null") for text in content[:3])
                yield [row_hash, rank, pk, *said, *content[3:]]
