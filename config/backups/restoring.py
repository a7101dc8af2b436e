"""Put a backup in the place of what an installation holds."""

import shutil
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from config import backups, embedded
from config.backups import BackupError, Manifest, database
from config.backups.writing import Say, copy, copy_secrets


def doubts(folder: Path, manifest: Manifest) -> list[str]:
    """Return, in sentences, why a person should say first that the backup be restored."""
    said = []
    after = backups.keys_after(folder)
    if after["SECRET_KEY"] != manifest.keys["SECRET_KEY"]:
        said.append(
            "SECRET_KEY is not the backup's: with another people must sign in again, user tokens"
            " need new identity secrets, and a repeated request looks like another content."
        )
    if after["ERASURE_KEY"] != manifest.keys["ERASURE_KEY"]:
        said.append(
            "ERASURE_KEY (where it is not set, SECRET_KEY) is not the backup's: with another"
            " nobody knows who was erased."
        )
    if projects := database.projects():
        said.append(f"{database.name()} holds {projects} project(s), which would be gone.")
    if strangers := database.strangers(set(manifest.rows)):
        said.append(f"What is not Emend's would be gone, too: {', '.join(strangers)}.")
    return said


BROKEN_OFF = "The database is replaced, but not all that belongs to it: restore once more."
NOT_REPLAYED = (
    "Start nothing before `manage.py replay_erasures` has ended well: people who were erased"
    " are here."
)


def restore(folder: Path, say: Say) -> None:
    """Bring back files and database; what completes them must follow.

    Files come first, so that the database never names one that is not there. Raises BackupError;
    until the database is replaced, at one moment, the installation is as it was.
    """
    say("Restoring files.")
    copy(str(folder / backups.ERASURES), settings.ERASURE_LOG_URL, say, is_adding=True)
    copy(str(folder / backups.STORAGE), settings.STORAGE_URL, say)
    say("Restoring the database.")
    connections.close_all()
    database.replace(folder / backups.DUMP)


def complete(folder: Path, manifest: Manifest, say: Say) -> None:
    """Bring back secrets, and make the database today's; the erasures since then must follow."""
    copy_secrets(folder / backups.SECRETS, embedded.secret_path(backups.SECRET).parent)
    # Of a database that went on from here: its builds may have the numbers of those to come.
    shutil.rmtree(Path(settings.DATA_DIR) / "near", ignore_errors=True)
    counted = database.rows()
    if wrong := {name for name, _ in counted.items() ^ manifest.rows.items()}:
        named = ", ".join(sorted(wrong))
        raise BackupError(f"Other rows than the manifest's are in {named}.")
    say("Migrating.")
    call_command("migrate", interactive=False, verbosity=0)
    database.analyse()
