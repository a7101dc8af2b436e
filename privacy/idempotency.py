"""One answer for each Idempotency-Key, however often the request arrives."""

import hashlib
import hmac
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.db import connection, transaction
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL
from django.utils import timezone

from config.api import malformed
from config.celery import lock_key
from config.errors import IdConflict, IdempotencyMismatch
from privacy.errors import Erased
from privacy.models import IdempotencyKey, Kept, Project, days_kept

CHUNK_ROWS = 500
# The header is to be a string of RFC 9651; most clients send its content bare.
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_ABOUT = "body ->> 'id' IN (SELECT unnest(%s::text[]))"
# Batches with an item of these rows, or with one that became no row and says more than its code.
_BATCHES_ABOUT = """
    jsonb_typeof(body -> 'results') = 'array' AND EXISTS (
        SELECT FROM jsonb_path_query(body, '$.results[*]') AS item
        WHERE item ->> 'id' IN (SELECT unnest(%s::text[]))
            OR NOT item ? 'id' AND item - '{status,code}'::text[] <> '{}')"""


@dataclass(frozen=True)
class Answer:
    status_code: int
    body: dict[str, Any]
    is_replay: bool = False


def fingerprint(project: Project, body: object, *more: str) -> bytes:
    """Return an HMAC of a body as sent, and of what more counts: it tells sameness, no content.

    The order of an object's members does not count. `user_token` changes with every request
    of a person and is left out, of each item of a batch as well.
    """
    said = list(map(_without_token, body)) if isinstance(body, list) else _without_token(body)
    canonical = msgspec.json.encode([project.pk, said, *more], order="sorted")
    return hmac.digest(settings.SECRET_KEY.encode(), canonical, "sha256")


def _without_token(body: object) -> object:
    if not isinstance(body, dict):
        return body
    return {key: value for key, value in body.items() if key != "user_token"}


def answer_once(
    project: Project, endpoint: str, header: str | None, body: object, answer: Callable[[], Answer]
) -> Answer:
    """Return the stored answer to the header's key, else the new one, stored with its effects.

    Errors that `answer` raises store nothing, so the request may be tried again. Raises
    IdConflict while the first request still runs, IdempotencyMismatch for another content or
    endpoint, Malformed for an empty key.
    """
    if header is None:
        return answer()
    key = _key_in(header)
    key_digest = hashlib.sha256(key.encode()).digest()
    # With the key, of which only a digest is kept: nobody can try user_ids against the print.
    print_ = fingerprint(project, body, endpoint, key)
    with transaction.atomic():
        with connection.cursor() as cursor:
            lock = lock_key(f"idempotency {project.pk} {key_digest.hex()}")
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [lock])
            if not cursor.fetchone()[0]:
                raise IdConflict("The first request with this Idempotency-Key is still running.")
        known = IdempotencyKey.objects.filter(project=project, key_digest=key_digest).first()
        if known is not None and known.created_at < timezone.now() - _kept(project):
            known.delete()
            known = None
        if known is None:
            new = answer()
            IdempotencyKey.objects.create(
                project=project,
                key_digest=key_digest,
                fingerprint=print_,
                status_code=new.status_code,
                body=msgspec.to_builtins(new.body),
            )
            return new
    if not hmac.compare_digest(bytes(known.fingerprint), print_):
        raise IdempotencyMismatch
    return Answer(known.status_code, known.body, is_replay=True)


def forget(project: Project, ids: Collection[str]) -> int:
    """Take what was answered about these rows out of the project's stored answers.

    What batches say of items that became no row goes as well, but for its code: it may quote what
    was sent, and nobody knows by whom. Returns how many answers were changed or deleted.
    """
    answers = IdempotencyKey.objects.filter(project=project)
    about, batches_about = (
        RawSQL(condition, [list(ids)], BooleanField())  # noqa: S611  a constant with a parameter
        for condition in (_ABOUT, _BATCHES_ABOUT)
    )
    changed, _ = answers.filter(about).delete()
    for answer in answers.filter(batches_about).iterator(CHUNK_ROWS):
        answer.body["results"] = [_without(result, ids) for result in answer.body["results"]]
        answer.save(update_fields=["body"])
        changed += 1
    return changed


def _without(result: dict[str, Any], ids: Collection[str]) -> dict[str, Any]:
    """Return a refusal for a result that names one of these ids, its code for one without any."""
    if result.get("id") in ids:
        return {"status": Erased.status, "code": Erased.code}
    if "id" in result:
        return result
    return {name: result[name] for name in ("status", "code") if name in result}


def _kept(project: Project) -> timedelta:
    return timedelta(days=days_kept(project)[Kept.IDEMPOTENCY])


def _key_in(header: str) -> str:
    quoted = _QUOTED.fullmatch(header)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else header
    if not key:
        raise malformed("", "The Idempotency-Key is empty.")
    return key
