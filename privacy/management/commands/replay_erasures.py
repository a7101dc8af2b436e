"""Erase again whom a restore has brought back, by the erasure log."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.errors import EmendError
from privacy import erasure


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--begin", action="store_true", help="leave the work to a worker")

    def handle(self, **options: Any) -> None:
        try:
            begun = erasure.replay()
            if options["begin"]:
                return
            while erasure.erase_next():
                pass
        except EmendError as error:
            raise CommandError(error.detail) from error
        for row in begun:
            row.refresh_from_db()
            if row.status != "done" or row.receipt is None:
                raise CommandError(f"The erasure {row} is {row.status}: {row.error}")
            removed = sum(row.receipt["removed"].values())
            self.stdout.write(f"{row}: {removed} rows")
        self.stdout.write(f"Replayed {len(begun)} erasures.")
