"""One person: what is held, what they prefer, and the end of the link to them."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from django.db import OperationalError, connection, transaction
from django.db.models import Max
from django.utils import timezone
from psycopg.errors import DeadlockDetected, LockNotAvailable

from config.errors import NotFound, Unavailable
from privacy import consent, holders, tombstones
from privacy.consent import Proof
from privacy.holders import Told
from privacy.models import (
    AccessRecord,
    Consent,
    ConsentDefault,
    DataSubject,
    ErasureRequest,
    Project,
    Purpose,
)

SETTLE_SECONDS = 3.0
LOCK_SECONDS = 8  # somebody waits for the answer
# How many of each section of the export: one, several.
SECTIONS = {
    "feedback": ("correction or rating", "corrections and ratings"),
    "inferences": ("answer of a model", "answers of a model"),
    "images": ("picture", "pictures"),
}


@dataclass(frozen=True)
class Preferences:
    """What counts for a person; None where a change leaves it as it is."""

    collection: bool | None = None
    training: bool | None = None
    anonymous: bool | None = None


def find(project: Project, user_id: str) -> DataSubject:
    """Return a person who is known and not erased; raise NotFound."""
    people = DataSubject.objects.filter(project=project, user_id=user_id)
    subject: DataSubject | None = people.first()
    if subject is None or user_id == tombstones.WITHHELD or tombstones.is_erased(project, user_id):
        raise NotFound
    return subject


def preferences(project: Project, subject: DataSubject | None) -> Preferences:
    """Return what counts now; for a stranger that is the project's default."""
    if subject is None:
        is_default = project.consent_default == ConsentDefault.GRANTED
        return Preferences(collection=is_default, training=is_default, anonymous=False)
    return Preferences(
        collection=consent.is_granted(project, subject, Purpose.COLLECTION),
        training=consent.is_granted(project, subject, Purpose.TRAINING),
        anonymous=subject.is_anonymous,
    )


def prefer(
    project: Project, user_id: str, wanted: Preferences, proof: Proof | None = None
) -> DataSubject:
    """Record what a person prefers, all of it or nothing; a new person becomes a subject.

    Who wants to be anonymous is so from now on, and what is held of them is unlinked. Raises
    Erased, and Unavailable as `anonymise` does; then all but the unlinking is done, and it says so.
    """
    with transaction.atomic():
        tombstones.refuse(project, [user_id])
        subject, _ = DataSubject.objects.get_or_create(project=project, user_id=user_id)
        for purpose, said in (
            (Purpose.COLLECTION, wanted.collection),
            (Purpose.TRAINING, wanted.training),
        ):
            if said is not None:
                consent.decide(
                    project=project,
                    user_id=user_id,
                    purpose=purpose,
                    is_granted=said,
                    proof=proof,
                )
        if wanted.anonymous is not None:
            consent.stand_in(project)  # what they send may need it, and capture makes none
            subject.is_anonymous = wanted.anonymous
            subject.save(update_fields=["is_anonymous"])
    if wanted.anonymous:
        _let_captures_end()
        try:
            subject = anonymise(project, user_id)
        except Unavailable as in_use:
            detail = "Your choices are stored; what was sent before is still linked. Try again."
            raise Unavailable(detail) from in_use
    return subject


def _let_captures_end() -> None:
    """Wait for who may still store something with a link, and not for long.

    A capture ends within milliseconds. What is still open after seconds is a build, which stores
    no acts.
    """
    tombstones.wait_for_writers(tombstones.newest_transaction(), most_seconds=SETTLE_SECONDS)


def anonymise(project: Project, user_id: str) -> DataSubject:
    """Destroy the link between a person and what they sent; it cannot be made again.

    What refuses training goes on to refuse it without a name. Call outside of transactions. Raises
    NotFound, and Unavailable while builds hold what it needs; then the link is as it was.
    """
    find(project, user_id)
    with _impatient():
        # Before the rest, and not with it: a build that has the datasets waits for the consents.
        consent.stand_in(project)
    with _impatient():
        subject = _unlink(project, user_id)
    # The row is written once more, for the number of the transaction that unlinked leads from the
    # person to what was theirs. So do moments: the first act came when the person became known.
    subject.created_at = _came_on(subject)
    people = DataSubject.objects.filter(pk=subject.pk)
    people.update(created_at=subject.created_at, anonymized_at=subject.anonymized_at)
    return subject


@contextmanager
def _impatient() -> Iterator[None]:
    """Begin a transaction that waits for no lock for long; raise Unavailable instead."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            yield
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable | DeadlockDetected):
            detail = "What this person sent is in use right now. Try again in a minute."
            raise Unavailable(detail) from error
        raise


def _came_on(subject: DataSubject) -> datetime:
    """Return the day on which a person became known; who came back does so after their erasure.

    By that order they are told from whom a restore brought back.
    """
    digest = tombstones.digest_of(subject.project, subject.user_id)
    ended = ErasureRequest.objects.filter(
        project=subject.project, subject_digest=digest, tombstone_until__lt=subject.created_at
    ).aggregate(last=Max("tombstone_until"))["last"]
    day = _day_of(subject.created_at)
    return day if ended is None else max(day, ended + timedelta(microseconds=1))


def _day_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _unlink(project: Project, user_id: str) -> DataSubject:
    people = DataSubject.objects.select_for_update()
    subject: DataSubject = people.get(project=project, user_id=user_id)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '60s'")  # a person may have sent much
        cursor.execute("SET LOCAL emend.erasing = 'on'")
    to = consent.unlinked(project, user_id)
    for holdings in holders.registered():
        holdings.unlink(project, user_id, to)
    subject.anonymized_at = _day_of(timezone.now())
    subject.save(update_fields=["anonymized_at"])
    return subject


def in_words(counts: dict[str, int]) -> list[tuple[int, str]]:
    """Return numbers with what they count; what follows from the rest is one number."""
    named = {name: counts[name] for name in SECTIONS if counts.get(name)}
    rest = sum(counts.values()) - sum(named.values())
    words = [(n, SECTIONS[name][n != 1]) for name, n in named.items()]
    return words + [(rest, "records about them" if named else "records")] * bool(rest)


def named(project: Project, user_id: str) -> str:
    """Name a person and what would go with them, as a button does."""
    acts = {name: n for name, n in holders.counted(project, user_id).items() if name == "feedback"}
    return f"user {user_id}" + "".join(f" and {n:,} {what}" for n, what in in_words(acts))


def told(project: Project, user_id: str, *, before: int | None, most: int) -> list[Told]:
    """Return what a person sent and what became of it, newest first."""
    found = (
        one for holdings in holders.registered() for one in holdings.told(project, user_id, before)
    )
    return list(islice(found, most))


def consents(subject: DataSubject) -> Iterator[dict[str, Any]]:
    """Yield all that a person ever said, the newest first."""
    columns = ["purpose", "is_granted", "decided_at", *Proof._fields]
    for row in Consent.history.filter(subject_id=subject.pk).order_by("-history_id"):
        said = {name: getattr(row, name) for name in columns}
        yield {"purpose": said.pop("purpose"), "granted": said.pop("is_granted")} | said


def accesses(
    project: Project, user_id: str, *, but: Collection[str] = ()
) -> Iterator[dict[str, Any]]:
    """Yield who looked, newest first, without some actions; of the staff it says no names."""
    digest = tombstones.digest_of(project, user_id)
    records = AccessRecord.objects.filter(project=project, subject_digest=digest)
    for record in records.exclude(action__in=but).order_by("-pk").iterator():
        by = "staff" if record.by.startswith("staff ") else record.by
        yield {"at": record.created_at, "action": record.action, "by": by}
