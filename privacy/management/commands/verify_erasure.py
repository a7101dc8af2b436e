"""Verify a receipt's signature, and that nothing of the person stands anywhere any more."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.errors import EmendError
from privacy import receipts, verifying


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("receipt", type=Path, metavar="FILE")
        parser.add_argument(
            "--contains",
            metavar="TEXT",
            help="look for this text, too: in all tables, statistics, storage, files and Redis",
        )

    def handle(self, **options: Any) -> None:
        try:
            receipt = receipts.verify(json.loads(options["receipt"].read_bytes()))
            left = verifying.left(receipt)
        except OSError as error:
            raise CommandError(f"Cannot read the receipt: {error.strerror}.") from None
        except ValueError:
            raise CommandError("The receipt is not JSON.") from None
        except EmendError as error:
            raise CommandError(error.detail) from None
        self.stdout.write(f"Signed by this installation: {receipts.public_key()}")
        self._tell(left, "stands of the person")
        found = {}
        if options["contains"]:
            found = verifying.search(options["contains"])
            self._tell(found, "contains the text")
        if left or found:
            raise CommandError("The erasure does not hold: see above what is left or back.")
        self.stdout.write(f"Nothing is left of the person of erasure {receipt['erasure']}.")

    def _tell(self, counts: dict[str, int], what: str) -> None:
        for label, number in counts.items():
            self.stdout.write(f"{number:>8}  {label} {what}")
