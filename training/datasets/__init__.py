"""Numbered, immutable, content-hashed versions of a dataset.

Membership intervals are the only record of what is in a version; everything else here is
derived from them and can be derived again (`rebuild`).
"""

import heapq
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import count
from typing import Any

from django.db import transaction
from django.db.models import Exists, Max, OuterRef

from config import leases
from config.errors import LeaseLost, Unavailable
from feedback.models import Example, Task
from feedback.processing import add_silent_examples, add_undesired_examples
from training.checking import draw
from training.curation import content, permission
from training.curation.content import Pictures
from training.datasets import building, shards
from training.datasets.comparing import diff
from training.datasets.shards import Row
from training.errors import VersionNotReady
from training.models import Dataset, DatasetVersion, LeftOut, Membership, Reason
from training.sethash import SetHash

__all__ = ["Row", "diff"]
logger = logging.getLogger(__name__)
CHUNK_ROWS = 2_000
WITHOUT = re.compile(r"(.*)-without-erased(-\d+)?")
LONGEST_STEM = 100  # of a dataset's name, which has 120 characters
# Of what was left out: what says nothing against what a person said.
GUARDING = [Reason.IN_HOLDOUT, Reason.NEAR_HOLDOUT, Reason.NOT_IN_DATASET, Reason.TOO_SHORT]
GUARDING += [Reason.RANDOM_SLICE]


def default_dataset(task: Task) -> Dataset:
    """Return the dataset that the task's retrains use; makes it where there is none."""
    name = f"{task.slug}-train"
    named = Dataset.objects.filter(project=task.project, name=name)
    if named.exclude(task=task, purpose="train").exists():
        name = f"{task.slug}-train-{task.pk}"  # somebody gave that name to another kind of dataset
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
    task = version.dataset.task
    with leases.heartbeat(version):
        # Before: what this transaction writes the next version looks at. And only what had its
        # chance to be drawn: what measures models must never have taught one.
        if task.silence_weight and (until := draw(task)):
            add_silent_examples(task, until)
        if version.dataset.purpose == "unpaired":
            add_undesired_examples(task)
    with transaction.atomic():
        leases.require_held(version)  # the row's lock, held to the end, outlives the lease
        building.fill(version)
        version.build_seconds = round(time.monotonic() - started, 3)
        version.move_to("ready")
        version.lease_until = None
        version.save()
    logger.info("dataset.built name=%s version=%d", version.name, version.version)
    with suppress(Unavailable):  # whoever reads it first writes them then
        shards.write(version.dataset, version.version)
    return version


@transaction.atomic
def build_without(like: DatasetVersion, *, as_of: datetime) -> DatasetVersion:
    """Build what a version would be had erased people never been there, in a line of its own.

    Whoever withdrew until `as_of`, or until now, is not in it. No worker sees it being built.
    """
    dataset = _line_without(like.dataset)
    version = request_version(dataset)
    never = permission.forbidden(dataset.task)
    never |= permission.forbidden(dataset.task, as_of=as_of)
    started = time.monotonic()
    building.fill_as(version, like, never=never)
    version.build_seconds = round(time.monotonic() - started, 3)
    version.move_to("ready")
    version.save()
    logger.info("dataset.built name=%s version=%d", version.name, version.version)
    return version


def _line_without(dataset: Dataset) -> Dataset:
    """Return the line of a dataset's versions without erased people; makes it where none is."""
    known = WITHOUT.fullmatch(dataset.name)
    stem = (known[1] if known else dataset.name)[:LONGEST_STEM]
    for number in count(1):
        name = f"{stem}-without-erased" + (f"-{number}" if number > 1 else "")
        line, _ = Dataset.objects.get_or_create(
            project=dataset.project,
            name=name,
            defaults={"task": dataset.task, "settings": dataset.settings},
        )
        is_alike = (line.task_id, line.purpose, line.settings) == (
            *(dataset.task_id, dataset.purpose),
            dataset.settings,
        )
        # Somebody may have asked for a version by hand: that one is built by what counts now.
        if is_alike and not line.versions.filter(status="building").exists():
            return line
    raise AssertionError  # there is a number without an end


def require_ready(version: DatasetVersion) -> None:
    if version.status != "ready":
        raise VersionNotReady(f"{version} is {version.status}.")


def rows(
    version: DatasetVersion,
    *,
    split: str | None = None,
    source: Callable[[Dataset, int], Iterator[Row]] = shards.read,
) -> Iterator[Row]:
    """Yield the distinct rows of a version ordered by row hash, without people who opted out.

    Raises FileDamaged for a shard that was changed; `shards.of_record` as source needs none.
    """
    require_ready(version)
    never = permission.forbidden(version.dataset.task)
    gone = _gone(version)

    def left_of(number: int) -> Iterator[Row]:
        out = never | gone.get(number, set())
        return (row for row in source(version.dataset, number) if row.example_id not in out)

    last = ""
    for row in heapq.merge(*map(left_of, _numbers(version))):
        if row.row_hash != last and split in (None, row.split):
            yield row
        last = row.row_hash


def _numbers(version: DatasetVersion) -> list[int]:
    """Return the versions whose rows may be in it: its own and those before."""
    ready = version.dataset.versions.filter(status="ready", version__lte=version.version)
    return list(ready.order_by("version").values_list("version", flat=True))


def require_files(version: DatasetVersion) -> None:
    """Make the files that are missing and read all; raises FileDamaged where one was changed.

    For who answers before all is read: what goes wrong later cannot be told any more.
    """
    for number in _numbers(version):
        shards.require(version.dataset, number)


def _gone(version: DatasetVersion) -> dict[int, set[int]]:
    """Return the examples that later versions took out again, by the version that added them."""
    ended = Membership.objects.filter(
        dataset=version.dataset_id,
        since_version__lte=version.version,
        until_version__lte=version.version,
    )
    gone: dict[int, set[int]] = {}
    for since, example in ended.values_list("since_version", "example").iterator(CHUNK_ROWS):
        gone.setdefault(since, set()).add(example)
    return gone


def pinned_examples(task: Task) -> list[Example]:
    """Return the cases that moderators pinned, whatever a dataset's settings leave out."""
    pinned = Example.objects.filter(task=task, is_pinned=True, superseded_at=None).exclude(case="")
    current = pinned.filter(feedback__status="processed").select_related("feedback")
    never = permission.forbidden(task)
    return [example for example in current.order_by("pk") if example.pk not in never]


def cases_left_out(version: DatasetVersion) -> list[Example]:
    """Return cases that a version left out for what they say: they guard all the same."""
    listed = LeftOut.objects.of_version(version).filter(reason__in=GUARDING).values("example")
    found = Example.objects.filter(pk__in=listed, superseded_at=None).exclude(case="")
    never = permission.forbidden(version.dataset.task)
    found = found.select_related("feedback").order_by("pk")
    return [example for example in found if example.pk not in never]


def taught_by(version: DatasetVersion, examples: Sequence[int]) -> set[int]:
    """Return which of the examples have the same input as a row of the version's train side."""
    taught = Membership.objects.of_version(version).filter(
        split="train",
        example__task=OuterRef("task"),
        example__input_hash=OuterRef("input_hash"),
    )
    found = Example.objects.filter(Exists(taught), pk__in=examples)
    return set(found.values_list("pk", flat=True))


def people_behind(version: DatasetVersion) -> dict[str, set[str]]:
    """Return by row hash the people who said so, of all twins; the nameless are one, "".

    What a moderator audited is nobody's.
    """
    never = permission.forbidden(version.dataset.task)
    said = Membership.objects.of_version(version).filter(split="train", example__source="feedback")
    people: dict[str, set[str]] = {}
    columns = said.values_list("example", "row_hash", "example__feedback__user_id")
    for example, digest, user_id in columns.iterator(CHUNK_ROWS):
        if example not in never:
            people.setdefault(bytes(digest).hex(), set()).add(user_id or "")
    return people


def rebuild(version: DatasetVersion) -> str:
    """Compute the version's hash again from the content that its memberships name."""
    require_ready(version)
    hashes: set[bytes] = set()
    for members in content.of_members(version.dataset, version.version):
        pictures = Pictures(version.dataset.task, members)
        hashes.update(content.hash_of(row, pictures) for row in members)
    identity = SetHash()
    identity.add(hashes)
    return identity.hexdigest()


def waiting_seconds() -> float | None:
    return leases.waiting_seconds(buildable())
