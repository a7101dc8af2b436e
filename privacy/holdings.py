"""What the tables of this app, and those that come with Django, hold of a person."""

import re
from collections.abc import Iterator

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session

from privacy.holders import Counts, Holder, Holdings, Step
from privacy.models import Consent, DataSubject, ErasureRequest, Project
from privacy.tombstones import WITHHELD

STAFF = "as long as the member of staff has an account"
FOR_EVER = "as long as the project"
HOLDERS = [
    Holder("privacy.Project"),
    Holder("privacy.HistoricalProject", "staff who changed the project", "kept", FOR_EVER),
    Holder("privacy.StaffProject"),
    Holder("config.BellRun"),
    Holder("privacy.IdentitySecret"),
    Holder("privacy.ApiKey"),
    Holder(
        "privacy.DataSubject",
        "the user_id that the product gave the person; whether they want no link",
        "deleted",
        "until the person is erased",
    ),
    Holder(
        "privacy.Consent",
        "what the person allows: for which purpose, when, with which text, language and evidence",
        "deleted",
        "until the person is erased",
    ),
    Holder(
        "privacy.HistoricalConsent",
        "all that the person ever allowed and withdrew",
        "deleted with the row",
        "until the person is erased",
    ),
    Holder(
        "privacy.ErasureRequest",
        "a keyed hash of the erased person; their user_id while the erasure runs",
        "kept, without the user_id: it refuses what arrives for the person later",
        FOR_EVER,
    ),
    Holder(
        "privacy.AccessRecord",
        "a keyed hash of the person, who looked at their data, and when",
        "kept: whoever had access must be known afterwards",
        "by the rule access_log",
    ),
    Holder("privacy.RetentionRule"),
    Holder("privacy.HistoricalRetentionRule", "staff who changed the rule", "kept", FOR_EVER),
    Holder("privacy.Upkeep"),
    Holder(
        "privacy.IdempotencyKey",
        "ids and refusals of what the person sent, as they were answered",
        "the person's part is replaced; what refused items quoted goes from all batches",
        "by the rule idempotency",
    ),
    Holder("admin.LogEntry", "names of rows that staff changed", "the name is emptied", "730 days"),
    Holder("auth.Permission"),
    Holder("auth.Group"),
    Holder("auth.User", "name, e-mail and password hash of staff", "not of users", STAFF),
    Holder("contenttypes.ContentType"),
    Holder("otp_totp.TOTPDevice", "the secret of a second factor of staff", "not of users", STAFF),
    Holder("otp_static.StaticDevice"),
    Holder("otp_static.StaticToken", "recovery codes of staff", "not of users", STAFF),
    Holder(
        "sessions.Session",
        "which member of staff is signed in, and messages to them",
        "messages that name the person are dropped",
        "two weeks after the last sign-in",
    ),
    Holder(
        "erasure log",
        "a keyed hash of each erased person, outside the database",
        "kept: what a restore brings back is erased again",
        "for ever",
    ),
    Holder(
        "redis",
        "keyed hashes of people, sessions and addresses, to count what they send; no arguments"
        " stand in the queues",
        "runs out",
        "minutes to a day",
    ),
    Holder("logs", "ids of rows; no content, no user_id, no address", "nothing to erase", ""),
    Holder(
        "statistics of PostgreSQL",
        "samples of the values of columns, for the planner; none of content",
        "cleared, and drawn anew from what is left",
        "until they are drawn anew",
    ),
    Holder(
        "backups",
        "all that the database and the storage held when they were made",
        "erased again by the log when one is restored",
        "as long as the operator keeps them",
    ),
]


def erase(erasure: ErasureRequest) -> Counts:
    """Delete the person and what they allowed, and their name from what staff did."""
    user_id = erasure.user_id
    if user_id is None:
        return {}
    subject = DataSubject.objects.filter(project=erasure.project, user_id=user_id)
    ids = list(subject.values_list("pk", flat=True))
    history = Consent.history.filter(subject__in=ids)
    consents = Consent.objects.filter(subject__in=ids)
    counts = {  # in this order: who is gone is named by no other row
        "privacy.HistoricalConsent": history._raw_delete(history.db),
        "privacy.Consent": consents._raw_delete(consents.db),
        "privacy.DataSubject": subject._raw_delete(subject.db),
        "admin.LogEntry emptied": _forget_names(user_id),
        "sessions.Session emptied": _drop_messages(user_id),
    }
    earlier = ErasureRequest.objects.filter(project=erasure.project, user_id=user_id)
    earlier.exclude(pk=erasure.pk).update(user_id=None)
    return counts


def is_named(user_id: str, text: str) -> bool:
    """Return whether a text has the user_id as a word of its own."""
    return re.search(rf"(?<!\w){re.escape(user_id)}(?!\w)", text) is not None


def _forget_names(user_id: str) -> int:
    """Empty what the admin's log calls somebody of that name whose row is gone.

    A row that stands is that of another project's person.
    """
    emptied = 0
    for kind in ContentType.objects.filter(model__in=("datasubject", "contributor")):
        others = kind.get_all_objects_for_this_type(user_id=user_id)
        entries = LogEntry.objects.filter(content_type=kind, object_repr=user_id)
        entries = entries.exclude(object_id__in=[str(row.pk) for row in others])
        emptied += entries.update(object_repr="", change_message="")
    return emptied


def _drop_messages(user_id: str) -> int:
    """Drop messages to staff that name the person and were not shown yet."""
    dropped = 0
    for session in Session.objects.all():
        said = session.get_decoded()
        if is_named(user_id, str(said.pop("_messages", ""))):
            session.session_data = SessionStore().encode(said)
            session.save(update_fields=["session_data"])
            dropped += 1
    return dropped


def people(project: Project) -> Iterator[tuple[str, str]]:
    subjects = DataSubject.objects.filter(project=project).exclude(user_id=WITHHELD)
    for user_id in subjects.values_list("user_id", flat=True).iterator():
        yield "privacy.DataSubject", user_id


HOLDINGS = Holdings(
    holders=HOLDERS,
    steps=[Step("privacy.rows", "Removing the person and what they allowed", erase)],
    people=people,
)
