"""What outlives the database: that somebody is to be erased, known by a keyed hash alone.

One file an entry, apart from the database and the artefacts (`ERASURE_LOG_URL`), so that whatever
a restore brings back is erased again.
"""

from collections.abc import Iterator
from datetime import datetime

import msgspec
from django.conf import settings

from config import storage
from privacy import tombstones

FOLDER = "entries"


class Entry(msgspec.Struct, frozen=True, order=True):
    """One request; `key` tells whether this installation could recognise the person."""

    requested_at: datetime
    erasure: str
    project: str
    subject: str  # hexadecimal digits
    tombstone_until: datetime
    key: str


def key_name() -> str:
    """Return what names the key by which people are recognised, and does not tell it."""
    return tombstones.key("name").hex()[:16]


def write(entry: Entry) -> None:
    """Keep an entry for ever; raises Unavailable."""
    storage.put(msgspec.json.encode(entry, order="sorted"), FOLDER, url=settings.ERASURE_LOG_URL)


def entries() -> Iterator[Entry]:
    """Yield all entries, the oldest first; raises Unavailable, FileDamaged."""
    names = [name for name, _ in storage.digests(FOLDER, url=settings.ERASURE_LOG_URL)]
    whole = (name for name in names if len(name) == storage.DIGEST_LENGTH)
    found = (storage.get(name, FOLDER, url=settings.ERASURE_LOG_URL) for name in whole)
    yield from sorted(msgspec.json.decode(data, type=Entry) for data in found)
