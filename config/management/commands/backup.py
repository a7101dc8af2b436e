"""Write all that this installation keeps to a folder."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.backups import ERASURES, FAULTS, STORAGE, Manifest, told
from config.backups.writing import write


class Command(BaseCommand):
    help = "Write all that this installation keeps to a new folder; Emend may run meanwhile."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, metavar="FOLDER", help="new, or empty")

    def handle(self, **options: Any) -> None:
        folder = options["folder"].absolute()
        try:
            manifest = write(folder, self.stderr.write)
        except FAULTS as error:
            raise CommandError(told(error)) from error
        self.stdout.write(f"{folder}: {summary(manifest)}.")


def summary(manifest: Manifest) -> str:
    """Return what a backup holds, in a line."""
    files = [path.partition("/")[0] for path in manifest.files]
    said = (
        f"{sum(manifest.rows.values())} rows in {len(manifest.rows)} tables, "
        f"{files.count(STORAGE)} files, {files.count(ERASURES)} erasures in the log"
    )
    return f"{said}, {len(manifest.left_out)} damaged files left out" if manifest.left_out else said
