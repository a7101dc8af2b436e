"""What a person allows: asked before anything is stored, and again when a version is built."""

from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone

from privacy import tombstones
from privacy.errors import NoConsent, OptedOut
from privacy.models import Consent, ConsentDefault, DataSubject, Method, Project, Purpose


class Proof(NamedTuple):
    """With which text, in which language and how a person said so, and where that is kept."""

    text_version: str = ""
    language: str = ""
    method: str = Method.API
    evidence: str = ""


class Asked(NamedTuple):
    """What is known of a person who is about to be stored."""

    said: bool | None  # about collection
    is_anonymous: bool


UNKNOWN = Asked(said=None, is_anonymous=False)


def check(*, said: bool | None, by_default: str) -> None:
    """Raise OptedOut or NoConsent for what a person said about collection (None: nothing)."""
    if said is False:
        raise OptedOut
    if said is None and by_default == ConsentDefault.WITHHELD:
        raise NoConsent


def ask(project: Project, user_id: str) -> Asked:
    """Return what a person said about collection; raise Erased, or as `check` does."""
    tombstones.refuse(project, [user_id])
    subject = DataSubject.objects.filter(project=project, user_id=user_id).first()
    if subject is None:
        asked = UNKNOWN
    else:
        consents = subject.consents.filter(purpose=Purpose.COLLECTION)
        said = consents.values_list("is_granted", flat=True).first()
        asked = Asked(said, subject.is_anonymous)
    check(said=asked.said, by_default=project.consent_default)
    return asked


def require(project: Project, user_id: str | None) -> str | None:
    """Ask the database, then `check`; return the user_id to store, of the anonymous none.

    Who is new becomes a data subject, to be found later. Call in the transaction that stores.
    """
    if user_id is None:
        return None
    asked = ask(project, user_id)
    if asked.is_anonymous:
        return unlinked(project, user_id)
    if asked.said is None:
        DataSubject.objects.bulk_create(
            [DataSubject(project=project, user_id=user_id)], ignore_conflicts=True
        )
    return user_id


def unlinked(project: Project, user_id: str) -> str | None:
    """Return what is stored in the place of a person who wants no link: mostly nothing.

    What refuses training must refuse it without a name, too.
    """
    subject = DataSubject.objects.filter(project=project, user_id=user_id).first()
    if subject is None or is_granted(project, subject, Purpose.TRAINING):
        return None
    stand_in(project)
    return tombstones.WITHHELD


def stand_in(project: Project) -> None:
    """Make, where there is none, the subject who refuses training for all who have no name."""
    subject, _ = DataSubject.objects.get_or_create(project=project, user_id=tombstones.WITHHELD)
    if not subject.consents.filter(purpose=Purpose.TRAINING).exists():
        _write(subject, Purpose.TRAINING, is_granted=False, proof=Proof())


def is_granted(
    project: Project, subject: DataSubject, purpose: Purpose, *, as_of: datetime | None = None
) -> bool:
    """Return what counts for this person now, or then: their word, else the project's default."""
    default = project.consent_default
    said = subject.consents.filter(purpose=purpose).values_list("is_granted", flat=True).first()
    if as_of is not None:
        default = Project.history.as_of(as_of).get(pk=project.pk).consent_default
        records = Consent.history.filter(subject=subject, purpose=purpose, history_date__lte=as_of)
        said = records.order_by("-history_id").values_list("is_granted", flat=True).first()
    return default == ConsentDefault.GRANTED if said is None else said


@transaction.atomic
def decide(
    *,
    project: Project,
    user_id: str,
    purpose: Purpose,
    is_granted: bool,
    proof: Proof | None = None,
) -> DataSubject:
    """Record that a person grants or withdraws a purpose; a new person becomes a subject.

    Raises Erased.
    """
    tombstones.refuse(project, [user_id])
    subject, _ = DataSubject.objects.get_or_create(project=project, user_id=user_id)
    _write(subject, purpose, is_granted=is_granted, proof=proof or Proof())
    return subject


def withdraw_all(project: Project, user_id: str) -> None:
    """Withdraw every purpose of a person who is to be erased, or is so again."""
    subject, _ = DataSubject.objects.get_or_create(project=project, user_id=user_id)
    for purpose in Purpose:
        _write(subject, purpose, is_granted=False, proof=Proof(method=Method.ERASURE))


def _write(subject: DataSubject, purpose: Purpose, *, is_granted: bool, proof: Proof) -> None:
    Consent.objects.update_or_create(
        subject=subject,
        purpose=purpose,
        defaults={"is_granted": is_granted, "decided_at": timezone.now(), **proof._asdict()},
    )
