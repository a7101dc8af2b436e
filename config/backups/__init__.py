"""A backup is a folder: the database, then the files that it names, and last what lists it all.

    database.dump   what the database held at one moment, by pg_dump
    storage/        the files of STORAGE_URL
    secrets/        what was generated for the installation, but PostgreSQL's password
    erasures/       the log of erasures, which is kept outside the database
    manifest.json   rows of each table at that moment, and the SHA-256 of every file

Files are named by their content and only come while the backup is written, except for erasures and
for what nothing names any more. So one that the dump does not name does no harm, and one that it
names and that is missing was rightly removed: the log, copied last, knows of that erasure.
"""

import hashlib
import hmac
from datetime import datetime
from pathlib import Path

import msgspec
from django.conf import settings
from django.core.management import CommandError
from django.db import Error
from django.db.migrations.loader import MigrationLoader

from config import embedded
from config.errors import EmendError
from config.supervisor import CannotRunError

FORMAT = 1
DUMP, STORAGE, SECRETS, ERASURES = "database.dump", "storage", "secrets", "erasures"
MANIFEST = "manifest.json"
SECRET = "secret_key"  # noqa: S105 - the name of its file
NOT_OURS = "postgres_password"  # of the server's files here, which no restore brings


class BackupError(RuntimeError):
    """The backup or the restore cannot go on; the message is one sentence for a person."""


# What a command tells and ends with.
FAULTS = (BackupError, CannotRunError, EmendError, OSError, Error)


def told(fault: BaseException) -> str:
    """Return what a person is told of a fault; not a database's own words, which quote rows."""
    kind = type(fault).__name__
    if isinstance(fault, Error):
        return f"The database refused or does not answer ({kind}): is it there, and migrated?"
    return str(fault) if isinstance(fault, (*FAULTS, CommandError)) else f"It broke off ({kind})."


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds; `files` has the SHA-256 of each by its path."""

    format: int
    started_at: datetime
    ended_at: datetime
    database: str
    postgres: str
    migrations: dict[str, str]
    keys: dict[str, str]
    rows: dict[str, int]
    left_out: list[str]
    files: dict[str, str]


def manifest_of(folder: Path) -> Manifest:
    """Return what a whole and undamaged backup holds; raise BackupError for any other."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise BackupError(f"{folder} holds no whole backup: {MANIFEST} is missing.") from None
    except msgspec.MsgspecError as error:
        raise BackupError(f"{folder / MANIFEST} cannot be read: {error}.") from None
    known = MigrationLoader(None).disk_migrations
    if manifest.format != FORMAT or not known.keys() >= manifest.migrations.items():
        raise BackupError("A newer version of Emend wrote this backup: restore it with that one.")
    for path, digest in manifest.files.items():
        place = folder / path
        if not place.is_file() or digest_of(place) != digest:
            raise BackupError(f"{place} is damaged or missing: nothing was restored.")
    return manifest


def digest_of(place: Path) -> str:
    with place.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keys(secret_key: str, erasure_key: str) -> dict[str, str]:
    """Return what tells whether keys are the same, and does not tell them."""
    named = {"SECRET_KEY": secret_key, "ERASURE_KEY": erasure_key}
    return {
        name: hmac.digest(key.encode(), b"which key", "sha256").hex()[:16]
        for name, key in named.items()
    }


def keys_after(folder: Path) -> dict[str, str]:
    """Return the same for the keys that will hold once the backup's secrets are here.

    A key from the environment stays, a generated one gives way to the backup's.
    """
    here, there = embedded.secret_path(SECRET), folder / SECRETS / SECRET
    is_generated = here.is_file() and here.read_text() == settings.SECRET_KEY
    secret = there.read_text() if is_generated and there.is_file() else settings.SECRET_KEY
    follows = settings.ERASURE_KEY == settings.SECRET_KEY
    return keys(secret, secret if follows else settings.ERASURE_KEY)
