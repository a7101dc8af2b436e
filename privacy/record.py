"""The record of processing activities (GDPR, Article 30), drawn up from what the code declares.

What no program can know, such as who the controller is, stands as a field to fill in.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone

from privacy import holders
from privacy.models import (
    DAYS_KEPT,
    ApiKey,
    ConsentDefault,
    IdentityMode,
    Kept,
    Project,
    Purpose,
    Scope,
    days_kept,
)

Document: TypeAlias = dict[str, Any]
TO_FILL_IN = {
    "controller": "name and contact of the controller, and of any joint controller",
    "representative": "of the controller in the Union, if it has none there itself",
    "data_protection_officer": "name and contact",
    "processors": "who runs this installation and its services, with the contracts (Article 28)",
    "further_recipients": "who else is given exports, trained models or archives",
    "transfers": "third countries, and by which safeguards (Chapter V)",
    "legal_basis": "of each purpose (Article 6), and where that is shown to people",
    "organisational_measures": "who may sign in, how they are trained, how incidents are handled",
}
PERSONS = [
    "people who use the product: who are shown answers of its models, and who react to them",
    "people whom those write about: personal data in content, as far as it is not redacted",
    "moderators and other staff with an account",
]
PURPOSES = {
    Purpose.COLLECTION: "to store corrections of a model's answers and have them reviewed",
    Purpose.TRAINING: "to build datasets of them, and to train and judge models",
}
ACCOUNTABILITY = "to prove what became of a person's data: consent, access, erasures"


def document(project: Project) -> Document:
    """Return the record of one project's processing, as it is now."""
    declared = holders.holders()
    days = days_kept(project)
    return {
        "project": project.slug,
        "name": project.name,
        "drawn_up_at": timezone.now().isoformat(timespec="seconds"),
        "to_fill_in": TO_FILL_IN,
        "purposes": [*_purposes(project), {"purpose": "accountability", "says": ACCOUNTABILITY}],
        "persons": PERSONS,
        "data": [
            {"holder": h.label, "holds": h.holds, "kept": h.kept, "on_erasure": h.on_erasure}
            for h in declared
            if h.holds
        ],
        "holders_of_nothing": sorted(h.label for h in declared if not h.holds),
        "recipients": list(_recipients(project)),
        "retention": [
            {"kind": kind, "says": kind.label, "days": days[kind], "default": DAYS_KEPT[kind]}
            for kind in Kept
        ],
        "security": list(_measures(project)),
    }


def _purposes(project: Project) -> Iterator[Document]:
    by_default = ConsentDefault(project.consent_default).label.lower()
    for purpose, says in PURPOSES.items():
        yield {"purpose": purpose, "says": says, "consent": by_default}


def _recipients(project: Project) -> Iterator[str]:
    keys = ApiKey.objects.usable().filter(project=project)
    servers = keys.filter(scope=Scope.MANAGE).count()
    pages = keys.filter(scope=Scope.CAPTURE).count()
    yield f"the product's servers: keys that read and write all of the project ({servers} in use)"
    yield f"the product's pages: keys that send and are answered, and read nothing ({pages} in use)"
    yield "moderators and other staff with an account"
    yield f"the database, {_place(settings.DATABASE_URL)}"
    yield f"the storage of files, {_place(settings.STORAGE_URL)}"
    yield f"the log of erasures, by keyed hashes, {_place(settings.ERASURE_LOG_URL)}"
    if settings.KAFKA_BOOTSTRAP_SERVERS:
        yield f"the stream that acts come by, at {settings.KAFKA_BOOTSTRAP_SERVERS}"


def _place(url: str) -> str:
    """Say where a service is, without what opens it."""
    host = urlsplit(url).hostname
    return f"at {host}" if host else "on this machine"


def _measures(project: Project) -> Iterator[str]:
    yield "Personal data and secrets are redacted before the first write, by rules of each task."
    yield "Keys are stored as SHA-256, have a scope, limits and an end, and can be revoked."
    if project.identity_mode == IdentityMode.ENFORCE:
        yield "What pages send must be vouched for by a token that the product's server signed."
    else:
        yield "What pages send without a signed token is stored as not verified."
    yield "Refused consent and erasures are enforced by the database, at capture and at each build."
    yield "Histories of decisions and the record of access are append-only in the database."
    yield "Logs hold event names and ids, never content."
    yield "Tombstones, receipts and the log of erasures know people by a keyed hash (HMAC-SHA-256)."
    yield "Receipts of erasures are signed (Ed25519)."
    yield "Files are named by their SHA-256; one that was changed is refused."
    if settings.IS_HTTPS:
        yield "Pages are served by HTTPS alone (HSTS); cookies are sent by HTTPS only."
    else:
        yield "EMEND_URL is not https: the connection is not encrypted by this installation."


def markdown(record: Document) -> str:
    """Return a record as a page of Markdown."""
    return "\n".join(_lines(record)) + "\n"


def _lines(record: Document) -> Iterator[str]:
    yield f"# Record of processing activities: {_cell(record['name'])} ({record['project']})"
    yield f"\nDrawn up at {record['drawn_up_at']} for Article 30 of the GDPR."
    yield from ("", "## To be filled in by the controller", "")
    for name, says in record["to_fill_in"].items():
        yield f"- **{name.replace('_', ' ').capitalize()}** ({says}): ______"
    yield from _table("Purposes", ("purpose", "says", "consent"), record["purposes"])
    yield from _list("Categories of persons", record["persons"])
    columns = ("holder", "holds", "kept", "on_erasure")
    yield from _table("Categories of data, and what becomes of them", columns, record["data"])
    yield f"\nNothing of a person is held by: {', '.join(record['holders_of_nothing']) or 'none'}."
    yield from _list("Recipients", record["recipients"])
    yield from _table("Retention", ("kind", "says", "days", "default"), record["retention"])
    yield from _list("Technical measures", record["security"])


def _list(title: str, items: Iterable[str]) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    yield from (f"- {item}" for item in items)


def _table(title: str, columns: Sequence[str], rows: Iterable[Document]) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    yield f"| {' | '.join(name.replace('_', ' ') for name in columns)} |"
    yield f"| {' | '.join('---' for _ in columns)} |"
    for row in rows:
        yield f"| {' | '.join(_cell(row.get(name, '')) for name in columns)} |"


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
