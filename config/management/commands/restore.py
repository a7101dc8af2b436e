"""Put a backup in the place of what is here, and erase again who was erased since."""

import subprocess
import sys
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from config import embedded
from config.backups import FAULTS, Manifest, database, manifest_of, told
from config.backups.restoring import BROKEN_OFF, NOT_REPLAYED, complete, doubts, restore
from privacy.models import ErasureRequest
from training.models import DatasetVersion


class Command(BaseCommand):
    help = f"{__doc__} Nothing else of Emend may run meanwhile."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, metavar="FOLDER", help="what `backup` wrote")
        parser.add_argument("--yes", action="store_true", help="restore without a question")

    def handle(self, **options: Any) -> None:
        try:
            with embedded.claimed() as is_only:
                if not is_only:
                    raise CommandError("Emend runs on this data folder: stop `up` first.")
                self._restore(options["folder"].absolute(), is_sure=options["yes"])
        except FAULTS as error:
            raise CommandError(told(error)) from error

    def _restore(self, folder: Path, *, is_sure: bool) -> None:
        self.stderr.write("Reading the backup.")
        manifest = manifest_of(folder)
        if others := database.other_sessions():
            raise CommandError(f"{others} other sessions use the database: stop what has them.")
        if not is_sure and (said := doubts(folder, manifest)):
            self._ask(" ".join(said))
        restore(folder, self.stderr.write)
        try:
            complete(folder, manifest, self.stderr.write)
            _forget_transactions()
            is_replayed = self._is_replayed()
        except (Exception, KeyboardInterrupt) as error:
            with suppress(Error):  # an older database has nothing of the kind
                _forget_transactions()
            cause = told(error).rstrip(".")
            raise CommandError(f"{cause}. {BROKEN_OFF} {NOT_REPLAYED}") from error
        if not is_replayed:
            raise CommandError(
                f"All is restored, but the erasures are not replayed. {NOT_REPLAYED}"
            )
        self._report(manifest)

    def _ask(self, what: str) -> None:
        if not sys.stdin.isatty():
            raise CommandError(f"{what} Say --yes to restore all the same.")
        if input(f"{what} Restore all the same? [y/N] ").strip().lower() not in {"y", "yes"}:
            raise CommandError("Nothing was restored.")

    def _is_replayed(self) -> bool:
        """Read the log in a process of its own: this one has read the keys of before."""
        self.stderr.write("Erasing again who was erased.")
        command = [sys.executable, "manage.py", "replay_erasures"]
        return not subprocess.run(command, cwd=settings.BASE_DIR, check=False).returncode

    def _report(self, manifest: Manifest) -> None:
        now = database.rows()
        for table in sorted(now.keys() | manifest.rows):
            before, after = manifest.rows.get(table, 0), now.get(table, 0)
            if before != after:
                self.stdout.write(f"{table}: {before} rows in the backup, {after} now")
        self.stdout.write(
            f"Restored {sum(manifest.rows.values())} rows in {len(manifest.rows)} tables of"
            f" {manifest.started_at:%Y-%m-%d %H:%M} UTC; after the erasures"
            f" {sum(now.values())} are left."
        )


def _forget_transactions() -> None:
    """Let what counts in the numbers of a database's transactions begin anew.

    Not even the same server's hold: rows may have been written in another between.
    """
    DatasetVersion.objects.exclude(cluster=None).update(cluster=None)
    ErasureRequest.objects.filter(status="running").update(horizon=None)
