"""Pending feedback becomes training-ready examples, in batches, exactly once.

What a worker has in hand stands in a Claim, committed before it begins: the rows themselves are
written once, by the transaction that makes their examples and ends the claim. If the worker
dies, the claim outlives its lease; its rows have then died once, and are claimed one at a time,
so that a row that kills its worker harms no other. After three deaths alone it is `failed` and
waits for a person.
"""

import time
from datetime import timedelta

from django.db import OperationalError, connection, transaction
from django.db.models import F, Func, QuerySet
from django.db.models.functions import Now

from feedback.errors import WorkerDied
from feedback.models import Claim, Feedback, Status
from feedback.processing.detecting import SLOW_ROWS, has_detector
from feedback.processing.examples import (
    add_silent_examples,
    add_undesired_examples,
    make_examples,
)
from feedback.querysets import FeedbackQuerySet

__all__ = [
    "add_silent_examples",
    "add_undesired_examples",
    "claim",
    "process",
    "process_queue",
    "waiting_seconds",
]
BATCH_ROWS = 400
LEASE_SECONDS = 15
MAX_DEATHS = 4  # one in a batch, three alone
DRAIN_SECONDS = 20
RESTS = 3  # as long as a full batch took
LONGEST_REST_SECONDS = 0.3


def waiting_seconds(queue: str) -> float | None:
    """Return how long the oldest ready row of the queue has waited; None if there is none."""
    # What a lost claim holds waits too: it is freed by whoever claims next.
    live = Claim.objects.filter(queue=queue, lease_until__gt=Now())
    oldest = _free(queue, live).annotate(waited=Now() - F("ready_at")).first()
    return None if oldest is None else float(oldest.waited.total_seconds())


def process_queue(queue: str) -> int:
    """Process ready rows until none is left or the time of one task is up; return how many.

    A batch that is not full is the last: what comes in now is left for the next bell, for many
    small batches cost more than the rows in them. A row alone may have died, so others may wait.
    """
    total = 0
    ends_at = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < ends_at:
        claimed = claim(queue)
        if claimed is None:
            break
        began_at = time.monotonic()
        try:
            total += process(claimed)
        except OperationalError:
            connection.close()
            # The session was lost, no worker died: whoever comes next may have the rows at once.
            Claim.objects.filter(pk=claimed.pk).delete()
            raise
        if 1 < len(claimed.numbers) < _batch_rows():
            break
        # A backlog waits; who sends feedback meanwhile needs the same disk and cores for an answer.
        time.sleep(min(RESTS * (time.monotonic() - began_at), LONGEST_REST_SECONDS))
    return total


def _batch_rows() -> int:
    return SLOW_ROWS if has_detector() else BATCH_ROWS


@transaction.atomic
def claim(queue: str) -> Claim | None:
    """Lease up to a batch of ready rows; None if there is none.

    A row that died before is claimed alone; one that died too often becomes failed.
    """
    _count_deaths(queue)
    locked = _free(queue, Claim.objects.filter(queue=queue)).select_for_update(skip_locked=True)
    rows = list(locked.values_list("number", "attempts")[: _batch_rows()])
    spent = [number for number, deaths in rows if deaths >= MAX_DEATHS]
    if spent:
        Feedback.objects.filter(number__in=spent).update(
            status=Status.FAILED, error=WorkerDied.code
        )
    fresh = [number for number, deaths in rows if deaths == 0]
    died = [number for number, deaths in rows if 0 < deaths < MAX_DEATHS]
    # In the order of their time: neither kind may keep the other waiting.
    chosen = (died[:1] or fresh) if rows and rows[0][1] else (fresh or died[:1])
    if not chosen:
        return None
    lease_until = Now() + timedelta(seconds=LEASE_SECONDS)
    return Claim.objects.create(queue=queue, numbers=chosen, lease_until=lease_until)


def _free(queue: str, claims: QuerySet[Claim]) -> FeedbackQuerySet:
    """Return ready rows that none of the claims holds."""
    held = claims.annotate(held=Func("numbers", function="unnest"))
    return Feedback.objects.ready(queue).exclude(number__in=held.values("held"))


def _count_deaths(queue: str) -> None:
    """End the claims whose leases are over: their workers have died, or will find them gone."""
    ended = Claim.objects.filter(queue=queue, lease_until__lte=Now())
    for lost in ended.select_for_update(skip_locked=True):
        dead = Feedback.objects.pending().filter(number__in=lost.numbers)
        dead.update(attempts=F("attempts") + 1)
        lost.delete()


@transaction.atomic
def process(claimed: Claim) -> int:
    """Turn claimed rows into examples; effect, status and the claim's end commit together.

    Nothing is done if the lease was lost. A row that cannot become an example fails alone, with
    its code.
    """
    if not Claim.objects.select_for_update().filter(pk=claimed.pk).exists():
        return 0
    made = make_examples(claimed.numbers)
    Feedback.objects.filter(number__in=made.done).update(
        status=Status.PROCESSED, processed_at=Now()
    )
    for number, code in made.failed.items():
        Feedback.objects.filter(number=number).update(status=Status.FAILED, error=code)
    claimed.delete()
    return len(made.done)
