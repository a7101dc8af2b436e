"""What a person allows: asked before anything is stored, and again when a version is built."""

from django.db import transaction
from django.utils import timezone

from privacy.errors import NoConsent, OptedOut
from privacy.models import Consent, ConsentDefault, DataSubject, Project, Purpose


def check(*, said: bool | None, by_default: str) -> None:
    """Raise OptedOut or NoConsent for what a person said about collection (None: nothing)."""
    if said is False:
        raise OptedOut
    if said is None and by_default == ConsentDefault.WITHHELD:
        raise NoConsent


def ask(project: Project, user_id: str) -> bool | None:
    """Return what a person said about collection (None: nothing); raise as `check` does."""
    subject = DataSubject.objects.filter(project=project, user_id=user_id)
    asked = Consent.objects.filter(subject__in=subject, purpose=Purpose.COLLECTION)
    said = asked.values_list("is_granted", flat=True).first()
    check(said=said, by_default=project.consent_default)
    return said


def require(project: Project, user_id: str | None) -> None:
    """Ask the database, then `check`; who is new becomes a data subject, to be found later."""
    if user_id is None:
        return
    said = ask(project, user_id)
    if said is None:
        DataSubject.objects.bulk_create(
            [DataSubject(project=project, user_id=user_id)], ignore_conflicts=True
        )


def is_granted(project: Project, subject: DataSubject, purpose: Purpose) -> bool:
    """Return what counts for this person now: their word, else the project's default."""
    said = subject.consents.filter(purpose=purpose).values_list("is_granted", flat=True).first()
    return project.consent_default == ConsentDefault.GRANTED if said is None else said


@transaction.atomic
def decide(*, project: Project, user_id: str, purpose: Purpose, is_granted: bool) -> DataSubject:
    """Record that a person grants or withdraws a purpose; a new person becomes a subject."""
    subject, _ = DataSubject.objects.get_or_create(project=project, user_id=user_id)
    Consent.objects.update_or_create(
        subject=subject,
        purpose=purpose,
        defaults={"is_granted": is_granted, "decided_at": timezone.now()},
    )
    return subject
