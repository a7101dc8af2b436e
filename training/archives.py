"""What each promoted model learned from, compressed, for longer than the tables keep it.

Files may hold what expired from the tables since. So each part notes by keyed hashes whose
content is in it: an erasure finds it, has it removed, and it is written again without that person.
"""

import gzip
import logging
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice

import msgspec
from django.db import connection, transaction
from django.db.models import DurationField, ExpressionWrapper, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now

from config import storage
from config.errors import FileMissing
from feedback.models import Example
from privacy import tombstones
from privacy.models import DAYS_KEPT, Kept, Project, RetentionRule
from training import datasets
from training.datasets import Row, shards
from training.formats import jsonl
from training.models import CHAMPION, Archive, DatasetVersion, ModelAlias, ModelVersion

logger = logging.getLogger(__name__)
FOLDER = "archives"
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
    served_by = young.filter(pk__in=served, withdrawn_at=None)
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
    if model_version.archives.exists():
        return
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")  # a million rows are sorted for a while
    made = [
        Archive(
            dataset_version=version,
            model_version=model_version,
            part=part,
            sha256=storage.put(_packed(part_rows), FOLDER),
            subjects=_subjects(version.dataset.project, part_rows),
        )
        for part, part_rows in enumerate(_parts(version))
    ]
    Archive.objects.bulk_create(made)
    logger.info("archive.written name=%s version=%d", version.name, version.version)


def _parts(version: DatasetVersion) -> Iterator[list[Row]]:
    """Yield the rows in lots, at least one; by the record, whatever files there are."""
    rows = datasets.rows(version, source=shards.of_record)
    yield list(islice(rows, PART_ROWS))
    while part := list(islice(rows, PART_ROWS)):
        yield part


def _packed(rows: Iterable[Row]) -> bytes:
    """Return rows as compressed JSON Lines, the same bytes for the same rows."""
    told = (dict(zip(Row.__struct_fields__, msgspec.to_builtins(row), strict=True)) for row in rows)
    return gzip.compress(b"".join(jsonl.lines(told)), mtime=0)


def _subjects(project: Project, rows: Iterable[Row]) -> list[int]:
    """Return keyed hashes of who wrote rows or was shown what is in them."""
    examples = Example.objects.filter(pk__in=[row.example_id for row in rows])
    columns = ("feedback__user_id", "feedback__inference__user_id", "inference__user_id")
    people = {user_id for said in examples.values_list(*columns) for user_id in said}
    return sorted(_hash_of(project, user_id) for user_id in people if user_id is not None)


def _hash_of(project: Project, user_id: str) -> int:
    digest = tombstones.digest_of(project, user_id)
    return int.from_bytes(digest[:8], "big", signed=True)


def rows(model_version: ModelVersion) -> Iterator[Row]:
    """Read an archive back, the rows in the order of `datasets.rows`.

    Raises FileDamaged where there is none or one was changed.
    """
    parts = list(model_version.archives.order_by("part").values_list("sha256", flat=True))
    if not parts:
        raise FileMissing(f"{model_version} is not archived.")
    for digest in parts:
        lines = gzip.decompress(storage.get(digest, FOLDER)).splitlines()
        yield from (Row(**msgspec.json.decode(line)) for line in lines)


def holding(project: Project, user_id: str) -> QuerySet[Archive]:
    """Return all parts of the archives in which a person stands, of some part at least."""
    found = Archive.objects.filter(
        model_version__task__project=project, subjects__contains=[_hash_of(project, user_id)]
    )
    return Archive.objects.filter(model_version__in=found.values("model_version"))


def remove(archives: QuerySet[Archive]) -> list[str]:
    """Delete archives' rows; return the files that nothing names any more.

    Those go with the next look for orphans, or by whoever cannot wait for that.
    """
    digests = set(archives.values_list("sha256", flat=True))
    archives.delete()
    named = Archive.objects.filter(sha256__in=digests).values_list("sha256", flat=True)
    return sorted(digests.difference(named))
