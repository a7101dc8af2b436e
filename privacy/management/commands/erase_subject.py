"""Erase all that is held of a person, and write the signed receipt."""

import json
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.errors import EmendError
from privacy import access_log, erasure
from privacy.access import check_user_id
from privacy.access_log import Action
from privacy.models import ErasureRequest, Project

LOOK_SECONDS = 0.2


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user_id", metavar="USER_ID")
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--receipt", required=True, type=Path, metavar="FILE")

    def handle(self, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project {options['project']}.")
        place: Path = options["receipt"]
        if not place.parent.is_dir():
            raise CommandError(f"There is no folder {place.parent} for the receipt.")
        try:
            check_user_id(options["user_id"])
            asked = erasure.request(project=project, user_id=options["user_id"], by="erase_subject")
            access_log.note(project, options["user_id"], Action.ERASURE, "command")
            done = self._wait(asked)
        except EmendError as error:
            raise CommandError(error.detail) from error
        place.write_text(json.dumps(done.receipt, indent=2) + "\n")
        removed = done.receipt["removed"] if done.receipt else {}
        for label, number in sorted(removed.items()):
            self.stderr.write(f"{number:>8}  {label}")
        self.stdout.write(str(place))

    def _wait(self, asked: ErasureRequest) -> ErasureRequest:
        """Carry it out here with what stands before it, or watch who does; say each step."""
        said = ""
        while True:
            carried_out = erasure.erase_next(only=asked)
            asked.refresh_from_db()
            if asked.status == "failed":
                raise CommandError(f"The erasure {asked} failed: {asked.error}")
            if asked.status == "done":
                return asked
            ratio, doing = erasure.progress(asked)
            if doing != said:
                self.stderr.write(f"{ratio:4.0%}  {doing}")
            said = doing
            if carried_out is None:
                time.sleep(LOOK_SECONDS)
