"""Does anything of an erased person stand anywhere? Asked of the living system, not of a record."""

import binascii
import gzip
import json
import re
import zlib
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import redis
from django.apps import apps
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import Exists, OuterRef

from config import embedded, storage
from config.errors import FileDamaged, FileMissing, Unavailable
from privacy import erasure, holders, tombstones
from privacy.errors import ReceiptInvalid
from privacy.holders import Counts
from privacy.models import DataSubject, Project
from privacy.receipts import Document

NOT_SEARCHED = {"postgres", "secrets", "storage"}  # the database and storage are asked themselves
DELETED = "deleted"  # begins what a holder says that goes whole
DAMAGED = "damaged:"  # in the place of a file that cannot be searched
# As Python folds case, whatever the database's own locale is: ß is ss.
_FOLDED = 'casefold(({}) COLLATE "pg_unicode_fast")'
_BODY = re.compile(rb'"body": *"([A-Za-z0-9+/]*=*)"')
_READ = {
    "string": lambda client, key: [client.get(key)],
    "list": lambda client, key: client.lrange(key, 0, -1),
    "hash": lambda client, key: [part for pair in client.hgetall(key).items() for part in pair],
    "set": lambda client, key: list(client.smembers(key)),
    "zset": lambda client, key: client.zrange(key, 0, -1),
}


def left(receipt: Document) -> Counts:
    """Count by holder what stands of the person whose erasure the receipt proves.

    What is lawfully there does not count. Raises ReceiptInvalid where the receipt names no project
    that is here.
    """
    project, digest = _whose(receipt)
    before = _ended_at(receipt) if came_anew(receipt) else None
    counts = erasure.remains(project, digest, before=before)
    counts |= ownerless(project) | _files_back(receipt["files"])
    for holdings in holders.registered():
        counts |= {label: n for label, n in holdings.contradictions(project).items() if n}
    return counts


def came_anew(receipt: Document) -> bool:
    """Return whether the person came after the tombstone's end, and was not restored.

    Raises ReceiptInvalid where the receipt names no project that is here.
    """
    project, digest = _whose(receipt)
    later = DataSubject.objects.filter(project=project, created_at__gt=_ended_at(receipt))
    people = later.values_list("user_id", flat=True).iterator()
    return any(tombstones.digest_of(project, user_id) == digest for user_id in people)


def _whose(receipt: Document) -> tuple[Project, bytes]:
    project = Project.objects.filter(slug=receipt["project"]).first()
    if project is None:
        raise ReceiptInvalid(f"There is no project {receipt['project']}.")
    return project, bytes.fromhex(receipt["subject"].removeprefix("hmac-sha256:"))


def _ended_at(receipt: Document) -> datetime:
    return datetime.fromisoformat(receipt["tombstone_until"])


def ownerless(project: Project) -> Counts:
    """Count records of history whose row is gone: erasing takes both, a restore may bring one.

    A record that has lost what told its project, too, counts in each.
    """
    counts = {}
    for holder in holders.holders():
        if not holder.on_erasure.startswith(DELETED) or ".Historical" not in holder.label:
            continue
        history: Any = apps.get_model(holder.label)
        row = history.instance_type
        rows = row._default_manager.filter(pk=OuterRef(row._meta.pk.attname))
        ours = holders.of_project(history, project)
        counts[holder.label] = history.objects.filter(ours, ~Exists(rows)).count()
    return {label: n for label, n in counts.items() if n}


def _files_back(marks: dict[str, list[str]]) -> Counts:
    """Count files that were removed, stand there again, and are named by no row."""
    counts: Counter[str] = Counter()
    for folder, removed in marks.items():
        names = (name for name, _ in storage.digests(folder))
        back = {name for name in names if erasure.file_mark(name) in set(removed)}
        counts[f"storage/{folder}"] = len(back - holders.named(folder, back))
    return {label: n for label, n in counts.items() if n}


def search(text: str) -> Counts:
    """Count by place where a text stands, in any case of its letters.

    A place that is named with DAMAGED is a file that may hold it, too. Raises Unavailable where
    the storage or Redis is away.
    """
    forms = _written(text)
    found: Counter[str] = Counter()
    for place, content in _contents():
        found[place] += content is None or _holds(content, forms)
    return {place: n for place, n in sorted((_in_tables(forms) | found).items()) if n}


def _written(text: str) -> list[str]:
    """Return the text as it stands by itself and in JSON, with its letters escaped and without."""
    spelt = (text, text.lower(), text.upper(), text.casefold())
    escaped = (json.dumps(form)[1:-1] for form in spelt)
    return sorted({text, msgspec.json.encode(text).decode()[1:-1], *escaped})


def _holds(content: bytes, forms: list[str]) -> bool:
    folded = content.decode(errors="replace").casefold()
    return any(form.casefold() in folded for form in forms)


def _in_tables(forms: list[str]) -> Counter[str]:
    """Ask of every column of every table, and of the planner's samples."""
    counts: Counter[str] = Counter()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            columns = connection.introspection.get_table_description(cursor, table)
            quoted = [f't."{column.name}"::text' for column in columns]
            said = f"concat_ws(chr(10), {', '.join(quoted)})"
            counts[table] = _rows(cursor, f'"{table}" AS t', said, forms)
        samples = "concat_ws(chr(10), s.most_common_vals::text, s.histogram_bounds::text,"
        samples += " s.most_common_elems::text, s.range_bounds_histogram::text)"
        counts["pg_stats"] = _rows(cursor, "pg_stats AS s", samples, forms)
    return counts


def _rows(cursor: Any, source: str, said: str, forms: list[str]) -> int:
    cursor.execute(
        f"SELECT count(*) FROM {source},"  # noqa: S608
        f" LATERAL (SELECT {_FOLDED.format(said)} AS said OFFSET 0) AS r"
        f" WHERE EXISTS (SELECT FROM unnest(ARRAY(SELECT {_FOLDED.format('form')}"
        " FROM unnest(%s::text[]) AS form)) AS wanted WHERE position(wanted IN r.said) > 0)",
        [forms],
    )
    return int(cursor.fetchone()[0])


def _contents() -> Iterator[tuple[str, bytes | None]]:
    """Yield places with what they hold; None where nobody can tell."""
    yield from _in_storage()
    for path in _files(Path(settings.DATA_DIR)):
        with suppress(FileNotFoundError):  # logs and other passing files go while this looks
            yield f"files/{path.relative_to(settings.DATA_DIR).parts[0]}", path.read_bytes()
    yield from _in_sessions()
    yield from _in_redis()


def _in_storage() -> Iterator[tuple[str, bytes | None]]:
    for folder in sorted(storage.folders()):
        for name, _ in storage.digests(folder):
            if len(name) != storage.DIGEST_LENGTH:
                continue
            try:
                yield f"storage/{folder}", _unpacked(storage.get(name, folder))
            except FileMissing:
                pass  # it was removed meanwhile
            except FileDamaged:
                yield f"storage/{folder} {DAMAGED} {name}", None


def _unpacked(data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return data


def _files(folder: Path) -> Iterator[Path]:
    for part in sorted(folder.iterdir()):
        if part.name not in NOT_SEARCHED:
            yield from (p for p in (part, *part.rglob("*")) if p.is_file() and not p.is_socket())


def _in_sessions() -> Iterator[tuple[str, bytes]]:
    """Yield what the sessions of staff hold; in the table it is compressed."""
    for session in Session.objects.iterator():
        said = chain.from_iterable(session.get_decoded().items())
        yield Session._meta.db_table, "\n".join(map(str, said)).encode()


def _bodies(messages: list[bytes]) -> Iterator[bytes]:
    """Yield what messages in a queue bring: Celery writes it in base64."""
    for message in messages:
        for body in _BODY.findall(message):
            with suppress(binascii.Error):
                yield b64decode(body)


def _in_redis() -> Iterator[tuple[str, bytes]]:
    if not settings.REDIS_URL:
        return
    try:
        with redis.Redis.from_url(embedded.for_redis(settings.REDIS_URL)) as client:
            for key in client.scan_iter():
                read: Any = _READ.get(client.type(key).decode())
                parts = [part for part in (read(client, key) if read else []) if part]
                yield "redis", b"\n".join([key, *parts, *_bodies(parts)])
    except (redis.ConnectionError, redis.TimeoutError) as error:
        if embedded.redis_url() != settings.REDIS_URL:  # where that one is down, nothing is in it
            raise Unavailable("Redis does not answer.") from error
