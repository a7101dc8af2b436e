"""Files that no row names: left by work that was rolled back, or whose row was deleted."""

import logging
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db import models
from django.db.models.functions import Now

from config import storage
from feedback.models import Image
from privacy.models import Upkeep
from training.models import Archive, ModelVersion, Shard

logger = logging.getLogger(__name__)
# A file is stored before its row is committed, so a young one may be named soon.
AGE = timedelta(days=1)
EVERY = timedelta(days=1)
TASK = "training.remove_orphans"
BATCH = 10_000
# What names the files of each folder. A folder that is not here is never looked at.
NAMED_BY: dict[str, tuple[models.QuerySet[Any], str]] = {
    "archives": (Archive.objects.all(), "sha256"),
    "artifacts": (ModelVersion.objects.filter(withdrawn_at=None), "weights_hash"),
    "images": (Image.objects.all(), "sha256"),
    "shards": (Shard.objects.all(), "sha256"),
}


def waiting_seconds() -> float | None:
    """Return 0.0 if orphans were not looked for within a day, else None."""
    is_done = Upkeep.objects.filter(task=TASK, done_at__gt=Now() - EVERY).exists()
    return None if is_done else 0.0


def remove() -> int:
    """Remove the files that nothing names and that are older than a day; return how many.

    Raises Unavailable; what was removed until then stays so.
    """
    before = now() - AGE
    removed = sum(remove_from(folder, before) for folder in NAMED_BY)
    Upkeep.objects.update_or_create(task=TASK, defaults={"done_at": Now()})
    logger.info("orphans.removed files=%d", removed)
    return removed


def now() -> datetime:
    """Return the time by the clock that dates the files."""
    storage.put(b"", "clock")
    return max(written_at for _, written_at in storage.digests("clock"))


def remove_from(folder: str, before: datetime) -> int:
    """Remove what nothing names and was written before that time; return how many files."""
    old = (name for name, written_at in storage.digests(folder) if written_at < before)
    removed = 0
    while names := list(islice(old, BATCH)):
        for name in set(names) - named(folder, names):
            # Not what was stored again since the look: its row may be on the way.
            removed += storage.delete(name, folder, unless_since=before)
    return removed


def named(folder: str, names: Iterable[str]) -> set[str]:
    """Return which of the files are named by a row that needs them."""
    if folder not in NAMED_BY:
        return set()
    rows, field = NAMED_BY[folder]
    return set(rows.filter(**{f"{field}__in": names}).values_list(field, flat=True))


def erase(folder: str, digests: Collection[str]) -> None:
    """Remove these files, and what interrupted writes and removals of them left."""
    if not digests:
        return
    for digest in digests:
        storage.delete(digest, folder)
    known = set(digests)
    for name, _ in storage.digests(folder):
        if name[: storage.DIGEST_LENGTH] in known:
            storage.delete(name, folder)
