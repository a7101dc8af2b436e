"""Take one person out of all of it: the tombstone first, then step by step, then the receipt.

Each step is done with its counts or not begun, so that work cut off anywhere goes on where it was
and comes to the same receipt.
"""

import hmac
import logging
import math
import time
from collections import Counter, defaultdict
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.apps import apps
from django.db import OperationalError, connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from config import leases
from config.celery import lock_key
from config.errors import EmendError, LeaseLost, Unavailable
from privacy import consent, erasure_log, holders, receipts, tombstones
from privacy.erasure_log import Entry
from privacy.errors import NotErased
from privacy.holders import Counts, Step
from privacy.models import DataSubject, ErasureRequest, Kept, Project, days_kept

logger = logging.getLogger(__name__)
SAVED = ["steps", "files", "status", "user_id", "receipt", "ended_at"]


def request(*, project: Project, user_id: str, by: str) -> ErasureRequest:
    """Refuse from now on what comes of a person, and have a worker erase what is there.

    Asked again it is the same request, tried again if it failed. Raises Unavailable if the log
    cannot be written; then nothing was begun. `by` names a key, the staff or "the person".
    """
    digest = tombstones.digest_of(project, user_id)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock_key(f"erase {digest.hex()}")])
        living = ErasureRequest.objects.living().filter(project=project, subject_digest=digest)
        if known := living.order_by("-pk").first():
            is_back = known.status == "done" and _stands(project, user_id)
            return _again(known, user_id) if is_back else retry(known)
        entry = Entry(
            requested_at=timezone.now(),
            erasure=str(uuid4()),
            project=project.slug,
            subject=digest.hex(),
            tombstone_until=timezone.now() + timedelta(days=days_kept(project)[Kept.TOMBSTONE]),
            key=erasure_log.key_name(),
        )
        erasure = begin(project, entry, user_id=user_id, by=by)
        erasure_log.write(entry)  # before the commit: nobody is told of what the log misses
        return erasure


def _stands(project: Project, user_id: str) -> bool:
    subject = DataSubject.objects.filter(project=project, user_id=user_id)
    return subject.exists() or bool(holders.counted(project, user_id))


def begin(project: Project, entry: Entry, *, user_id: str | None, by: str) -> ErasureRequest:
    """Set the tombstone of a log's entry; from then on nothing of the person is used."""
    with transaction.atomic():
        if user_id is not None:
            consent.withdraw_all(project, user_id)
        erasure = ErasureRequest.objects.create(
            uuid=entry.erasure,
            project=project,
            subject_digest=bytes.fromhex(entry.subject),
            user_id=user_id,
            requested_by=by,
            tombstone_until=entry.tombstone_until,
        )
    logger.info("erasure.requested erasure=%s", erasure.uuid)
    return erasure


@transaction.atomic
def retry(erasure: ErasureRequest) -> ErasureRequest:
    """Let a worker do the steps of an erasure that failed once more."""
    row: ErasureRequest = ErasureRequest.objects.select_for_update().get(pk=erasure.pk)
    if row.status == "failed":
        _restart(row)
    return row


def _restart(erasure: ErasureRequest) -> None:
    """Let all steps be done once more; what they did before still counts.

    Steps that are not atomic count anew all that they ever did.
    """
    again = {step.name for step in steps() if not step.is_atomic}
    erasure.status, erasure.error, erasure.lease_until, erasure.horizon = "running", "", None, None
    erasure.steps = {
        f"{name} before {erasure.attempts}" if " " not in name else name: counts
        for name, counts in erasure.steps.items()
        if name not in again
    }
    erasure.save()


def executable() -> QuerySet[ErasureRequest]:
    """Return erasures to go on with: of each project one, the oldest."""
    running = ErasureRequest.objects.filter(status="running")
    earlier = running.filter(project=OuterRef("project"), pk__lt=OuterRef("pk"))
    return running.filter(~Exists(earlier))


def waiting_seconds() -> float | None:
    return leases.waiting_seconds(executable())


def erase_next(*, only: ErasureRequest | None = None) -> ErasureRequest | None:
    """Claim one erasure and carry it out; return it, or None if there is none.

    With `only` it is that one, or one of its project that stands before it.
    Raises Unavailable where the storage is away; then it is tried again when its lease is over.
    """
    waiting = executable()
    mine = waiting if only is None else waiting.filter(project=only.project_id)
    # Whoever wants to be forgotten is not given up, however many workers die.
    erasure = leases.claim(mine, most_attempts=math.inf)
    if erasure is not None:
        with suppress(LeaseLost):  # another worker goes on with it
            execute(erasure)
    return erasure


def execute(erasure: ErasureRequest) -> None:
    """Carry out a claimed erasure, from the first step that is not done."""
    waiting = (step for step in steps() if step.name not in erasure.steps)
    try:
        with leases.heartbeat(erasure):
            for step in waiting:
                _perform(step, erasure)
    except (LeaseLost, Unavailable, OperationalError):
        raise  # somebody else's by now, or tried again when the lease is over
    except EmendError as error:
        _end(erasure, "failed", error=f"{error.code}: {error.detail}"[:500])
    except Exception as error:
        # A defect must not hold up who comes after; its message may quote a value.
        _end(erasure, "failed", error=f"api.internal: {type(error).__name__}")
        raise


def steps() -> list[Step]:
    return [
        Step("settle", "Waiting for what was on its way", _settle, is_atomic=False),
        *holders.steps(),
        Step("statistics", "Clearing the database's samples", _forget_samples, is_atomic=False),
        Step("finish", "Looking whether anything is left", _finish),
    ]


def progress(erasure: ErasureRequest) -> tuple[float, str]:
    """Return the share of steps that are done, from 0 to 1, and what is being done."""
    all_steps = steps()
    if erasure.status == "done":
        return 1.0, ""
    waiting = [step.says for step in all_steps if step.name not in erasure.steps]
    return 1 - len(waiting) / len(all_steps), next(iter(waiting), "")


def _perform(step: Step, erasure: ErasureRequest) -> None:
    started = time.monotonic()
    counts: Counts = {} if step.is_atomic else step.run(erasure)
    with transaction.atomic():
        leases.require_held(erasure)
        if step.is_atomic:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL emend.erasing = 'on'")
            counts = step.run(erasure)
        erasure.steps[step.name] = {name: n for name, n in sorted(counts.items()) if n}
        erasure.save(update_fields=SAVED)  # not the lease: its heart beats elsewhere
    seconds = time.monotonic() - started
    logger.info("erasure.step erasure=%s step=%s seconds=%.3f", erasure.uuid, step.name, seconds)


def _settle(erasure: ErasureRequest) -> Counts:
    """Wait until every transaction that may not have seen the tombstone has ended."""
    if erasure.horizon is None:
        erasure.horizon = tombstones.newest_transaction()
        erasure.save(update_fields=["horizon"])
    tombstones.wait_for_writers(erasure.horizon)
    return {}


def _forget_samples(_erasure: ErasureRequest) -> Counts:
    """Clear the values that PostgreSQL keeps of each column for its planner, and sample anew.

    VACUUM first, so that the room of deleted rows is used again, and nothing else samples them.
    """
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        for table in tables:
            quoted = connection.ops.quote_name(table)
            cursor.execute(f"VACUUM {quoted}")
            cursor.execute(
                "SELECT pg_clear_attribute_stats(schemaname, tablename, attname, inherited)"
                " FROM pg_stats WHERE schemaname = current_schema() AND tablename = %s",
                [table],
            )
            cursor.execute(f"ANALYZE {quoted}")
    return {}


def remains(project: Project, digest: bytes, *, before: datetime | None = None) -> Counts:
    """Count by holder the places where a person of that keyed hash still stands.

    With `before` only those with rows from before that time.
    """
    counts: Counter[str] = Counter()
    known: dict[str, bool] = {}
    for label, user_id in holders.people(project):
        if user_id not in known:
            known[user_id] = tombstones.digest_of(project, user_id) == digest
        counts[label] += known[user_id] and (
            before is None or _has_older(project, label, user_id, before)
        )
    return {label: n for label, n in sorted(counts.items()) if n}


def _has_older(project: Project, label: str, user_id: str, than: datetime) -> bool:
    model: Any = apps.get_model(label)
    rows = model._default_manager.filter(holders.of_project(model, project), user_id=user_id)
    return bool(rows.filter(created_at__lt=than).exists())


def _finish(erasure: ErasureRequest) -> Counts:
    """Sign the receipt and forget who it was; raise NotErased if anything is left."""
    left = remains(erasure.project, bytes(erasure.subject_digest))
    if left:
        raise NotErased(", ".join(f"{label}: {n}" for label, n in left.items()))
    erasure.ended_at = timezone.now()
    erasure.receipt = receipts.sign(_document(erasure))
    erasure.user_id, erasure.status, erasure.lease_until = None, "done", None
    erasure.files = {}  # the receipt has marks of them: who has a picture could look it up here
    logger.info("erasure.done erasure=%s", erasure.uuid)
    return {}


def _document(erasure: ErasureRequest) -> receipts.Document:
    counts: Counter[str] = Counter()
    for said in erasure.steps.values():
        counts.update(said)
    document: receipts.Document = {
        "erasure": str(erasure.uuid),
        "project": erasure.project.slug,
        "subject": f"hmac-sha256:{bytes(erasure.subject_digest).hex()}",
        "requested_at": erasure.created_at.isoformat(),
        "completed_at": erasure.ended_at and erasure.ended_at.isoformat(),
        "tombstone_until": erasure.tombstone_until.isoformat(),
        "removed": dict(sorted(counts.items())),
        "files": {
            folder: [file_mark(name) for name in names] for folder, names in erasure.files.items()
        },
    }
    for holdings in holders.registered():
        document |= holdings.proven(erasure)
    return document


def file_mark(sha256: str) -> str:
    """Return what a receipt says of a removed file: who has a picture cannot look for it there."""
    return hmac.digest(tombstones.key("file"), sha256.encode(), "sha256").hex()


def _end(erasure: ErasureRequest, status: str, *, error: str) -> None:
    with transaction.atomic():
        leases.require_held(erasure)
        erasure.status, erasure.error, erasure.lease_until = status, error, None
        erasure.save(update_fields=["status", "error", "lease_until"])
    logger.error("erasure.failed erasure=%s", erasure.uuid)


def replay() -> list[ErasureRequest]:
    """Begin again what a restore has undone, by the log; return what workers have to do.

    Raises Unavailable, and NotErased where the log's people cannot be recognised with this key.
    """
    # The numbers of transactions begin anew in another server, and a restore may be into one.
    ErasureRequest.objects.filter(status="running").update(horizon=None)
    wanted, strange = {}, 0
    for entry in erasure_log.entries():
        wanted[entry.project, entry.subject] = entry
        strange += entry.key != erasure_log.key_name()
    begun = []
    for project in Project.objects.filter(slug__in={slug for slug, _ in wanted}):
        digests = {
            subject: entry for (slug, subject), entry in wanted.items() if slug == project.slug
        }
        begun += _replay(project, digests)
    if strange:
        raise NotErased(f"Of the log {strange} entries were written with another ERASURE_KEY.")
    return begun


def _replay(project: Project, wanted: dict[str, Entry]) -> list[ErasureRequest]:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for label, person in holders.people(project):
        places[person].append(label)
    here = {tombstones.digest_of(project, user_id).hex(): user_id for user_id in places}
    begun = []
    for subject, entry in wanted.items():
        user_id = here.get(subject)
        known = ErasureRequest.objects.filter(uuid=entry.erasure).first()
        if known is None:
            begun.append(begin(project, entry, user_id=user_id, by="the erasure log"))
        elif known.status != "done":
            begun.append(retry(known))
        elif user_id is not None and not _is_lawfully_back(known, user_id, places[user_id]):
            begun.append(_again(known, user_id))
    return begun


def _is_lawfully_back(erasure: ErasureRequest, user_id: str, labels: list[str]) -> bool:
    """Return whether the person came anew after the tombstone's end, and nothing was restored."""
    project, ended_at = erasure.project, erasure.tombstone_until
    subject = DataSubject.objects.filter(project=project, user_id=user_id)
    return subject.filter(created_at__gt=ended_at).exists() and not any(
        _has_older(project, label, user_id, ended_at) for label in labels
    )


@transaction.atomic
def _again(erasure: ErasureRequest, user_id: str) -> ErasureRequest:
    """Do a finished erasure once more, all of it: a restore brought the person back."""
    consent.withdraw_all(erasure.project, user_id)
    erasure.user_id, erasure.steps = user_id, {}
    _restart(erasure)
    return erasure
