"""Who looked at, took or changed whose data: noted before it is done, and never changed."""

from django.db.models import TextChoices

from privacy.models import AccessRecord, ApiKey, Project
from privacy.tombstones import WITHHELD, digest_of

PERSON = "the person"


class Action(TextChoices):
    """What is noted, and how pages say it."""

    READ = "read", "Looked at what is allowed"
    EXPORT = "export", "Took a copy of everything"
    PAGE = "page", "Opened this page"
    STAFF = "staff", "Looked at what is known"
    ACTS = "acts", "Looked at what a person sent"
    CONSENT = "consent", "Changed what is allowed"
    ANONYMIZE = "anonymize", "Cut the link"
    ERASURE = "erasure", "Asked for erasure"


def note(project: Project, user_id: str, action: Action, by: str) -> None:
    AccessRecord.objects.create(
        project=project, subject_digest=digest_of(project, user_id), action=action, by=by[:200]
    )


def note_look(project: Project, user_id: str | None, by: str) -> None:
    """Note that somebody looks at what a person sent; what has no name is nobody's."""
    if user_id not in {None, WITHHELD}:
        note(project, user_id, Action.ACTS, by)


def key(api_key: ApiKey) -> str:
    return f"key {api_key.prefix}"


def staff(username: str) -> str:
    return f"staff {username}"
