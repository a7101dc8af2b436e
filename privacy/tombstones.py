"""Who was erased: a keyed hash of the person, asked wherever something of a person is stored."""

import hmac
import math
import time
from collections.abc import Collection
from functools import lru_cache

from django.conf import settings
from django.db import connection

from privacy.errors import Erased
from privacy.models import ErasureRequest, Project

# Who was unlinked and refuses training: no client can send this user_id.
WITHHELD = "~withheld"
LOOK_SECONDS = 0.1
_OLD_TRANSACTIONS = """
    SELECT count(*) FROM pg_snapshot_xip(pg_current_snapshot()) AS x
    WHERE x::text::bigint < %s AND x IS DISTINCT FROM pg_current_xact_id_if_assigned()"""


def key(purpose: str) -> bytes:
    """Return the key of one purpose, 32 bytes; all follow from ERASURE_KEY."""
    return _derived(settings.ERASURE_KEY, purpose)


@lru_cache(maxsize=16)
def _derived(secret: str, purpose: str) -> bytes:
    return hmac.digest(secret.encode(), purpose.encode(), "sha256")


def digest_of(project: Project, user_id: str) -> bytes:
    """Return all that is kept of an erased person, 32 bytes: who lacks the key cannot guess."""
    return hmac.digest(key("subject"), f"{project.slug}\n{user_id}".encode(), "sha256")


def erased_among(project: Project, user_ids: Collection[str]) -> set[str]:
    """Return who of these people was erased, and is refused still.

    In a transaction that goes on to store something of the others, no erasure misses what it
    stores: it waits for whoever may not have seen it.
    """
    if not user_ids:
        return set()
    by_digest = {digest_of(project, user_id): user_id for user_id in user_ids}
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()")
    found = ErasureRequest.objects.living().filter(
        project=project, subject_digest__in=list(by_digest)
    )
    return {by_digest[bytes(digest)] for digest in found.values_list("subject_digest", flat=True)}


def is_erased(project: Project, user_id: str) -> bool:
    return (
        ErasureRequest.objects.living()
        .filter(project=project, subject_digest=digest_of(project, user_id))
        .exists()
    )


def wait_for_writers(horizon: int, *, most_seconds: float = math.inf) -> None:
    """Wait until every transaction below `horizon` has ended, or not for longer than that.

    They may not have seen what was committed before that number was read; later ones have.
    """
    ends_at = time.monotonic() + most_seconds
    with connection.cursor() as cursor:
        while time.monotonic() < ends_at:
            cursor.execute(_OLD_TRANSACTIONS, [horizon])
            if cursor.fetchone() == (0,):
                return
            time.sleep(LOOK_SECONDS)


def newest_transaction() -> int:
    """Take the newest transaction's number and return it; all that run now have a lower one.

    A snapshot alone does not tell: it leaves out who began after the last that ended.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        return int(cursor.fetchone()[0])


def refuse(project: Project, user_ids: Collection[str]) -> None:
    """Raise Erased in the transaction that would store something of an erased person."""
    if erased_among(project, user_ids):
        raise Erased
