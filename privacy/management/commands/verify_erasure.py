"""Verify a receipt's signature, and that nothing of the person stands anywhere any more."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.errors import EmendError
from privacy import receipts, verifying


def _json_of(place: Path) -> Any:
    try:
        return json.loads(place.read_bytes())
    except ValueError:
        raise CommandError("The receipt is not JSON.") from None


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
            receipt = receipts.verify(_json_of(options["receipt"]))
            left, is_back = verifying.left(receipt), verifying.came_anew(receipt)
            found = verifying.search(options["contains"]) if options["contains"] else {}
        except OSError as error:
            raise CommandError(f"Cannot read {error.filename}: {error.strerror}.") from None
        except EmendError as error:
            raise CommandError(error.detail) from None
        self.stdout.write(f"Signed by this installation: {receipts.public_key()}")
        self._tell(left, "stands of the person")
        damaged = {place: n for place, n in found.items() if verifying.DAMAGED in place}
        self._tell({p: n for p, n in found.items() if p not in damaged}, "contains the text")
        self._tell(damaged, "cannot be read")
        if is_back:
            self.stdout.write("The person came anew after the tombstone's end, as somebody new.")
        if left or found:
            raise CommandError("The erasure does not hold: see above what is left or back.")
        of_whom = f"of the person of erasure {receipt['erasure']}"
        self.stdout.write(f"Nothing is left {of_whom}{' from before' if is_back else ''}.")

    def _tell(self, counts: dict[str, int], what: str) -> None:
        for label, number in counts.items():
            self.stdout.write(f"{number:>8}  {label} {what}")
