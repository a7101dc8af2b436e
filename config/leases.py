"""Long work is held by a lease that a heartbeat renews: a dead worker's work is taken over."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from django.db import Error, connection, models, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from config.errors import LeaseLost, WorkerDied

LEASE_SECONDS = 30
BEAT_SECONDS = 10
MAX_ATTEMPTS = 3
LONGEST_SECONDS = 6 * 3600  # work that hangs is taken over in the end


class Leased(models.Model):
    """Long work that one worker holds by a lease, renewed while it lives.

    `attempts` counts claims and is the fencing token: who holds an older one has lost the work.
    """

    attempts = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        abstract = True


Row = TypeVar("Row", bound=Leased)


def free(rows: QuerySet[Row]) -> QuerySet[Row]:
    """Return rows that no living worker holds, oldest first."""
    return rows.filter(Q(lease_until=None) | Q(lease_until__lt=Now())).order_by("created_at", "pk")


def waiting_seconds(rows: QuerySet[Row]) -> float | None:
    """Return how long the oldest free row has waited; None if there is none."""
    waits = free(rows).annotate(waited=Now() - F("created_at")).values_list("waited", flat=True)
    longest = waits.first()
    return None if longest is None else longest.total_seconds()


@transaction.atomic
def claim(rows: QuerySet[Row], *, most_attempts: float = MAX_ATTEMPTS) -> Row | None:
    """Take the first free row; one that killed its worker too often becomes failed."""
    row = free(rows).select_for_update(skip_locked=True, of=("self",)).first()
    if row is None:
        return None
    claimed = type(row)._default_manager.filter(pk=row.pk)
    if row.attempts >= most_attempts:
        # Counted as a claim: whoever is at it still after all has lost it.
        claimed.update(status="failed", error=WorkerDied.code, attempts=F("attempts") + 1)
        return None
    claimed.update(attempts=F("attempts") + 1, lease_until=Now() + timedelta(seconds=LEASE_SECONDS))
    row.refresh_from_db()
    return row


@contextmanager
def heartbeat(row: Leased) -> Iterator[None]:
    """Renew the row's lease from a thread for as long as the block runs."""
    is_over = threading.Event()
    held = type(row)._default_manager.filter(pk=row.pk, attempts=row.attempts)

    ends_at = time.monotonic() + LONGEST_SECONDS

    def beat() -> None:
        while not is_over.wait(BEAT_SECONDS) and time.monotonic() < ends_at:
            try:
                held.update(lease_until=Now() + timedelta(seconds=LEASE_SECONDS))
            except Error:
                connection.close()  # the next beat connects anew
        connection.close()

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def require_held(row: Leased) -> None:
    """Raise LeaseLost unless this worker still holds the row; locks it until the commit."""
    held = type(row)._default_manager.select_for_update().filter(pk=row.pk, attempts=row.attempts)
    if not held.exists():
        raise LeaseLost
