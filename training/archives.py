"""What each promoted model learned from, compressed, for longer than the tables keep it.

Files may hold what expired from the tables since. So each row notes by keyed hashes whose content
it is, and each part has them all: an erasure finds it, and writes it again without that person.
"""

import gzip
import logging
from collections.abc import Collection, Iterator
from datetime import timedelta
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import msgspec
from django.db import connection, transaction
from django.db.models import DurationField, ExpressionWrapper, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now

from config import storage
from config.errors import FileDamaged, FileMissing
from feedback.models import Example
from privacy import tombstones
from privacy.models import DAYS_KEPT, Kept, Project, RetentionRule
from training import datasets
from training.datasets import Row, shards
from training.formats import jsonl
from training.models import CHAMPION, Archive, DatasetVersion, Membership, ModelAlias, ModelVersion

logger = logging.getLogger(__name__)
FOLDER = "archives"
SUBJECTS = "subjects"
Line = dict[str, Any]  # a row by the names of its fields, with its `subjects`
PART_ROWS = 20_000  # that are held in memory


def waiting() -> QuerySet[ModelVersion]:
    """Return models that served everybody and whose rows are not archived, the oldest first.

    Not those older than archives are kept.
    """
    served = ModelAlias.history.filter(name=CHAMPION).values("model_version")
    rule = RetentionRule.objects.filter(project=OuterRef("task__project"), kind=Kept.ARCHIVES)
    days = Coalesce(Subquery(rule.values("days")[:1]), DAYS_KEPT[Kept.ARCHIVES])
    age = ExpressionWrapper(Now() - F("created_at"), DurationField())
    kept = ExpressionWrapper(days * timedelta(days=1), DurationField())
    young = ModelVersion.objects.annotate(age=age, kept=kept).filter(age__lt=F("kept"))
    served_by = young.filter(pk__in=served, erasures=None)  # else it is about to be withdrawn
    return served_by.filter(archives=None, run__dataset_version__status="ready").order_by("pk")


def waiting_seconds() -> float | None:
    """Return 0.0 if something is to be archived, else None."""
    return 0.0 if waiting().exists() else None


def archive_next() -> ModelVersion | None:
    """Archive what one model learned from; return it, or None where none waits.

    Raises Unavailable.
    """
    model_version = waiting().select_related("run__dataset_version__dataset__task").first()
    if model_version is not None and model_version.run.dataset_version is not None:
        write(model_version, model_version.run.dataset_version)
    return model_version


@transaction.atomic
def write(model_version: ModelVersion, version: DatasetVersion) -> None:
    """Write down the rows of the version that taught a model, of both sides, if nobody has.

    An erasure changes the version's row: either it comes first, or it finds what this wrote.
    """
    DatasetVersion.objects.select_for_update(no_key=True).get(pk=version.pk)
    if model_version.archives.exists() or model_version.erasures.exists():
        return
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")  # a million rows are sorted for a while
    made = []
    for part, part_rows in enumerate(_parts(version)):
        archive = Archive(dataset_version=version, model_version=model_version, part=part)
        _fill(archive, _lines(version, part_rows))
        made.append(archive)
    Archive.objects.bulk_create(made)
    logger.info("archive.written name=%s version=%d", version.name, version.version)


def _parts(version: DatasetVersion) -> Iterator[list[Row]]:
    """Yield the rows in lots, at least one; by the record, whatever files there are."""
    rows = datasets.rows(version, source=shards.of_record)
    yield list(islice(rows, PART_ROWS))
    while part := list(islice(rows, PART_ROWS)):
        yield part


def _fill(archive: Archive, lines: list[Line]) -> None:
    """Store lines as compressed JSON Lines, the same bytes for the same; note whose they are."""
    data = gzip.compress(b"".join(jsonl.lines(lines)), mtime=0)
    archive.sha256 = storage.put(data, FOLDER)
    archive.subjects = sorted({subject for line in lines for subject in line[SUBJECTS]})


def _lines(version: DatasetVersion, rows: list[Row]) -> list[Line]:
    """Return rows by the names of their fields, with who wrote each or was shown what is in it."""
    examples = Example.objects.filter(pk__in=[row.example_id for row in rows])
    columns = ("feedback__user_id", "feedback__inference__user_id", "inference__user_id")
    people = {pk: set(said) - {None} for pk, *said in examples.values_list("pk", *columns)}
    hashes = {
        user_id: mark_of(tombstones.digest_of(version.dataset.project, user_id))
        for user_id in set().union(*people.values())
    }
    return [
        dict(zip(Row.__struct_fields__, msgspec.to_builtins(row), strict=True))
        | {SUBJECTS: sorted(hashes[user_id] for user_id in people.get(row.example_id, ()))}
        for row in rows
    ]


def mark_of(digest: bytes) -> int:
    """Return the part of a person's keyed hash that is noted."""
    return int.from_bytes(digest[:8], "big", signed=True)


def rows(model_version: ModelVersion) -> Iterator[Row]:
    """Read an archive back, the rows in the order of `datasets.rows`.

    Raises FileDamaged where there is none or one was changed.
    """
    parts = list(model_version.archives.order_by("part"))
    if not parts:
        raise FileMissing(f"{model_version} is not archived.")
    for part in parts:
        yield from (
            Row(**{name: line[name] for name in Row.__struct_fields__}) for line in _read(part)
        )


def _read(archive: Archive) -> Iterator[Line]:
    lines = gzip.decompress(storage.get(archive.sha256, FOLDER)).splitlines()
    return (msgspec.json.decode(line) for line in lines)


def holding(project: Project, digest: bytes) -> QuerySet[Archive]:
    """Return the parts in which a person of that keyed hash stands."""
    return Archive.objects.filter(
        model_version__task__project=project, subjects__contains=[mark_of(digest)]
    )


class Leaving(NamedTuple):
    """Who leaves archives: which examples are gone, and which stay without that name."""

    mark: int
    gone: Collection[int]
    stay: Collection[int] = ()


def leave_out(archives: QuerySet[Archive], leaving: Leaving) -> list[str]:
    """Write parts again without a person, from themselves: others' rows may have expired since.

    Where that cannot be, the model's archive goes, and is written anew from the tables. Returns
    the files that nothing names any more. Raises Unavailable.
    """
    concerned = archives.select_related("dataset_version__dataset__project")
    parts = list(concerned.order_by("model_version", "part"))
    digests = {part.sha256 for part in parts}
    for model_version, of_model in groupby(parts, attrgetter("model_version_id")):
        try:
            for part in of_model:
                _leave_out(part, leaving)
        except (FileDamaged, KeyError):  # a file that does not say whose each row is
            whole = Archive.objects.filter(model_version=model_version)
            digests.update(whole.values_list("sha256", flat=True))
            whole.delete()
    return _unnamed(digests)


def _leave_out(part: Archive, leaving: Leaving) -> None:
    mine, version = leaving.mark, part.dataset_version
    kept, left = [], set()
    for line in _read(part):
        is_mine, example = mine in line[SUBJECTS], line["example_id"]
        if example in leaving.gone or (is_mine and example not in leaving.stay):
            left.add(line["row_hash"])
        else:
            kept.append(line)
    if left or mine in part.subjects:
        kept += _lines(version, _twins(version, left))
        for line in kept:
            line[SUBJECTS] = [subject for subject in line[SUBJECTS] if subject != mine]
        _fill(part, sorted(kept, key=itemgetter("row_hash")))
        part.save(update_fields=["sha256", "subjects"])


def _twins(version: DatasetVersion, hashes: set[str]) -> list[Row]:
    """Return who speaks for these rows now that another does not."""
    digests = [bytes.fromhex(digest) for digest in hashes]
    if not Membership.objects.of_version(version).filter(row_hash__in=digests).exists():
        return []
    rows = datasets.rows(version, source=shards.of_record)
    return [row for row in rows if row.row_hash in hashes]


def remove(archives: QuerySet[Archive]) -> list[str]:
    """Delete archives' rows; return the files that nothing names any more.

    Those go with the next look for orphans, or by whoever cannot wait for that.
    """
    digests = set(archives.values_list("sha256", flat=True))
    archives.delete()
    return _unnamed(digests)


def _unnamed(digests: set[str]) -> list[str]:
    named = Archive.objects.filter(sha256__in=digests).values_list("sha256", flat=True)
    return sorted(digests.difference(named))
