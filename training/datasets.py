"""Numbered, immutable, content-hashed versions of a dataset.

Membership intervals are the only record of what is in a version; everything else here is
derived from them and can be derived again (`rebuild`).
"""

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Exists, F, Max, OuterRef, Q
from django.db.models.functions import Now

from feedback.duplicates import Match
from feedback.models import Example, Task
from feedback.normalise import normalise
from feedback.processing import add_silent_examples
from training import curation, leases
from training.errors import LeaseLost, VersionNotReady
from training.models import Dataset, DatasetVersion, LeftOut, Membership
from training.sethash import SetHash, row_hash

logger = logging.getLogger(__name__)
CHUNK_ROWS = 2_000
LISTED_FEEDBACK = 1_000


@dataclass(frozen=True)
class Row:
    """One distinct row of a version, as trainers and exports see it."""

    input: Any
    output: Any
    rejected_output: Any
    weight: float
    split: str
    case: str
    is_pinned: bool
    source: str
    signal: str
    feedback_id: str | None
    row_hash: bytes = b""


def default_dataset(task: Task) -> Dataset:
    """Return the dataset that the task's retrains use; makes it where there is none."""
    name = f"{task.slug}-train"
    if Dataset.objects.filter(project=task.project, name=name).exclude(task=task).exists():
        name = f"{task.slug}-train-{task.pk}"  # somebody gave that name to another task's dataset
    dataset, _ = Dataset.objects.get_or_create(
        project=task.project, name=name, defaults={"task": task}
    )
    return dataset


@transaction.atomic
def request_version(dataset: Dataset) -> DatasetVersion:
    """Take the next number; a worker builds the version."""
    Dataset.objects.select_for_update().get(pk=dataset.pk)  # concurrent requests take turns
    newest = dataset.versions.aggregate(newest=Max("version"))["newest"] or 0
    return DatasetVersion.objects.create(dataset=dataset, name=dataset.name, version=newest + 1)


def buildable() -> Any:
    """Return versions to build: of each dataset the lowest number only, so they build in order."""
    building = DatasetVersion.objects.filter(status="building")
    earlier = building.filter(dataset=OuterRef("dataset"), version__lt=OuterRef("version"))
    return building.filter(~Exists(earlier))


def build_next() -> DatasetVersion | None:
    """Claim and build one requested version; return it, or None if there is none."""
    version = leases.claim(buildable())
    if version is not None:
        with suppress(LeaseLost):  # another worker goes on with it
            build(version)
    return version


def build(version: DatasetVersion) -> DatasetVersion:
    """Build a claimed version: all of it in one transaction, so that it is whole or not there."""
    started = time.monotonic()
    with transaction.atomic():
        leases.require_held(version)  # the row's lock, held to the end, outlives the lease
        _fill(version)
        version.build_seconds = round(time.monotonic() - started, 3)
        version.move_to("ready")
        version.lease_until = None
        version.save()
    logger.info("dataset.built name=%s version=%d", version.name, version.version)
    return version


def _fill(version: DatasetVersion) -> None:
    dataset = Dataset.objects.select_related("task").get(pk=version.dataset_id)
    parent = dataset.versions.filter(status="ready").order_by("-version").first()
    version.parent = None if parent is None else parent.version
    add_silent_examples(dataset.task)
    version.as_of = _database_now()
    version.task_history_id = dataset.task.history.latest().pk
    version.dataset_history_id = dataset.history.latest().pk
    choice = curation.choose(dataset, as_of=version.as_of)
    _change_members(version, choice.examples)
    _list_left_out(version, choice.near_holdout)
    added, removed = _changed_hashes(version)
    identity = SetHash(bytes(parent.hash_state) if parent else None)
    identity.add(added)
    identity.remove(removed)
    version.hash_state = identity.state
    version.content_hash = version.current_hash = identity.hexdigest()
    version.counts = _counts(version, len(added), len(removed))
    version.counts["left_out"] = choice.left_out
    version.feedback_source = _feedback_source(version)


def _database_now() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")  # as the rows' own created_at
        return cursor.fetchone()[0]


def _change_members(version: DatasetVersion, chosen: set[int]) -> None:
    """Close the memberships of what is not chosen any more, and admit what is new."""
    members = Membership.objects.filter(dataset=version.dataset_id, until_version=None)
    known = set(members.values_list("example", flat=True))
    for pks in _chunks(known - chosen):
        members.filter(example__in=pks).update(until_version=version.version)
    for pks in _chunks(chosen - known):
        Membership.objects.bulk_create(
            Membership(
                dataset_id=version.dataset_id,
                example=example,
                row_hash=hash_of(example),
                since_version=version.version,
            )
            for example in Example.objects.filter(pk__in=pks).order_by("pk")
        )


def _list_left_out(version: DatasetVersion, matches: list[Match]) -> None:
    rows = (
        LeftOut(version=version, example_id=pk, holdout_example_id=other, similarity=similarity)
        for pk, other, similarity in matches
    )
    LeftOut.objects.bulk_create(rows, CHUNK_ROWS)


def _chunks(pks: set[int]) -> Iterator[list[int]]:
    ordered = sorted(pks)
    for start in range(0, len(ordered), CHUNK_ROWS):
        yield ordered[start : start + CHUNK_ROWS]


def hash_of(example: Example) -> bytes:
    """Return the hash of an example's canonical row: no ids, times, people or project in it."""
    return row_hash(
        {
            "input": normalise(example.input),
            "output": example.output,
            "kind": "train",
            "weight": float(example.base_weight),
            "split": example.split,
        }
    )


def _changed_hashes(version: DatasetVersion) -> tuple[list[bytes], list[bytes]]:
    """Return the distinct rows that this version has and its parent had not, and the reverse.

    Exact twins count once, so a row is gone only when its last twin is.
    """
    number = version.version
    mine = Membership.objects.filter(dataset=version.dataset_id)
    twin = mine.filter(row_hash=OuterRef("row_hash"))
    was_there = twin.filter(since_version__lt=number).filter(
        Q(until_version=None) | Q(until_version__gte=number)
    )
    is_there = twin.filter(until_version=None)
    added = mine.filter(since_version=number).filter(~Exists(was_there))
    removed = mine.filter(until_version=number).filter(~Exists(is_there))
    return _hashes(added), _hashes(removed)


def _hashes(memberships: Any) -> list[bytes]:
    return [bytes(h) for h in memberships.values_list("row_hash", flat=True).distinct()]


def _counts(version: DatasetVersion, added: int, removed: int) -> dict[str, Any]:
    rows = Membership.objects.of_version(version)

    def count_by(field: str) -> dict[str, int]:
        grouped = rows.values_list(field).annotate(n=Count("row_hash", distinct=True))
        return {str(value): n for value, n in grouped.order_by(field)}

    splits = count_by("example__split")
    has_labels = version.dataset.task.kind.has_label_output
    return {
        "total": sum(splits.values()),
        "added": added,
        "removed": removed,
        "splits": splits,
        "labels": count_by("example__output") if has_labels else {},
        "sources": count_by("example__source"),
    }


def _feedback_source(version: DatasetVersion) -> dict[str, Any]:
    """Say which feedback the version was made from; the added ids are listed up to a limit."""
    inside = Example.objects.filter(memberships__in=Membership.objects.of_version(version))
    of_feedback = inside.filter(feedback__isnull=False)
    added = of_feedback.filter(memberships__since_version=version.version)
    ids = added.order_by("feedback__number").values_list("feedback__uuid", flat=True).distinct()
    return {
        "count": of_feedback.values("feedback").distinct().count(),
        **curation.feedback_counts(inside),
        "added": [str(feedback_id) for feedback_id in ids[:LISTED_FEEDBACK]],
        "lineage": f"/api/v1/datasets/{version.name}/versions/{version.version}/lineage/",
    }


def require_ready(version: DatasetVersion) -> None:
    if version.status != "ready":
        raise VersionNotReady(f"{version} is {version.status}.")


def rows(version: DatasetVersion, *, split: str | None = None) -> Iterator[Row]:
    """Yield the distinct rows of a version ordered by row hash, without people who opted out."""
    require_ready(version)
    members = Membership.objects.of_version(version).permitted().rows()
    if split is not None:
        members = members.filter(example__split=split)
    for member in members.select_related("example__feedback").iterator(CHUNK_ROWS):
        yield _row(member.example, bytes(member.row_hash))


def pinned_rows(task: Task) -> list[Row]:
    """Return the cases that moderators pinned, whatever a dataset's settings leave out."""
    pinned = Example.objects.filter(task=task, is_pinned=True, superseded_at=None)
    current = pinned.filter(feedback__status="processed").permitted().order_by("pk")
    return [_row(example) for example in current.select_related("feedback")]


def _row(example: Example, row_hash: bytes = b"") -> Row:
    return Row(
        input=example.input,
        output=example.output,
        rejected_output=example.rejected_output,
        weight=example.base_weight,
        split=example.split,
        case=example.case,
        is_pinned=example.is_pinned,
        source=example.source,
        signal=example.signal,
        feedback_id=None if example.feedback is None else str(example.feedback.uuid),
        row_hash=row_hash,
    )


def people_behind(version: DatasetVersion) -> dict[bytes, set[str]]:
    """Return by row hash the people who said so, of all twins; the nameless are one, "".

    What a moderator audited is nobody's.
    """
    said = (
        Membership.objects.of_version(version)
        .permitted()
        .filter(example__split="train", example__source="feedback")
    )
    people: dict[bytes, set[str]] = {}
    pairs = said.values_list("row_hash", "example__feedback__user_id")
    for digest, user_id in pairs.iterator(CHUNK_ROWS):
        people.setdefault(bytes(digest), set()).add(user_id or "")
    return people


def rebuild(version: DatasetVersion) -> str:
    """Compute the version's hash again from the content that its memberships name."""
    require_ready(version)
    members = Membership.objects.of_version(version).select_related("example")
    identity = SetHash()
    identity.add({hash_of(member.example) for member in members.iterator(CHUNK_ROWS)})
    return identity.hexdigest()


def diff(version: DatasetVersion, against: DatasetVersion) -> dict[str, int]:
    """Count the distinct rows that `version` has and `against` has not, and the reverse."""
    require_ready(version)
    require_ready(against)
    mine = set(_hashes(Membership.objects.of_version(version)))
    theirs = set(_hashes(Membership.objects.of_version(against)))
    return {"added": len(mine - theirs), "removed": len(theirs - mine)}


def waiting_seconds() -> float | None:
    """Return how long the oldest free request has waited; None if there is none."""
    oldest = leases.free(buildable()).annotate(waited=Now() - F("created_at")).first()
    return None if oldest is None else float(oldest.waited.total_seconds())
