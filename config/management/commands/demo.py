"""Watch corrections become a better model that is served: the whole loop, on real HTTP."""

import json
import secrets
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config import embedded
from config.management.commands.up import end_on_signals, stack
from config.management.demo.report import BAR_CHARACTERS, report
from config.management.demo.reviews import SAMPLE, UnfitReviewsError, deal, load
from config.management.demo.server import RefusedError, Server, TookTooLongError
from config.management.demo.story import Story
from config.supervisor import CannotRunError


class Command(BaseCommand):
    help = __doc__ or ""
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--reviews",
            type=Path,
            default=SAMPLE,
            metavar="FILE.tsv",
            help="columns Review and Liked (1 or 0); default: the sample that Emend ships",
        )
        parser.add_argument("--users", type=int, default=60, metavar="N", help="default: 60")
        parser.add_argument("--seed", type=int, default=1, metavar="N", help="default: 1")
        parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")

    def handle(self, **options: Any) -> None:
        if options["users"] < 10:
            raise CommandError("At least 10 users are needed: two of them are vandals.")
        self.is_json = options["json"]
        self.started = time.monotonic()
        end_on_signals()
        try:
            parts = deal(load(options["reviews"]), options["seed"])
            self._say(f"{parts.total} different reviews from {options['reviews'].name}.")
            self._say("Starting PostgreSQL, Redis, web server, worker and scheduler.")
            result, project = self._tell(parts, options["users"], options["seed"])
        except KeyboardInterrupt:
            raise CommandError("Stopped.") from None
        except (
            UnfitReviewsError,
            CannotRunError,
            RefusedError,
            TookTooLongError,
            PermissionError,
        ) as error:
            raise CommandError(str(error)) from error
        self._report(result, project)

    def _tell(self, parts: Any, users: int, seed: int) -> tuple[dict[str, Any], str]:
        project = f"demo-{secrets.token_hex(3)}"
        log_pattern = str(embedded.data_dir() / "logs" / "demo-{name}.log")
        with stack(
            host="127.0.0.1", port=0, say=self._hush, log_pattern=log_pattern, is_guest=True
        ) as running:
            server, twin = (_server(running.url, name) for name in (project, f"{project}-twin"))
            story = Story(server, parts, users=users, seed=seed, say=self._say, bar=self._bar)
            return story.tell(twin), project

    def _hush(self, text: str) -> None:
        """Drop what `up` tells: a password does not belong on a screen that people show around."""

    def _say(self, text: str) -> None:
        stream = sys.stderr if self.is_json else sys.stdout
        self._clear()
        stream.write(f"{time.monotonic() - self.started:6.1f} s  {text}\n")
        stream.flush()

    def _bar(self, ratio: float) -> None:
        if sys.stderr.isatty():
            done = round(ratio * BAR_CHARACTERS)
            sys.stderr.write(f"\r          [{'#' * done:<{BAR_CHARACTERS}}] {ratio:4.0%}")
            sys.stderr.flush()

    def _clear(self) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r" + " " * (BAR_CHARACTERS + 20) + "\r")

    def _report(self, result: dict[str, Any], project: str) -> None:
        if self.is_json:
            self._clear()
            self.stdout.write(json.dumps(result))
            return
        self.stdout.write(report(result, project, embedded.secret_path("admin_password")))


def _server(url: str, project: str) -> Server:
    """Make a project and a key to it; return the server that has the key."""
    printed = StringIO()
    call_command(
        *("create_api_key", "demo", "--project", project, "--scope", "manage"),
        stdout=printed,
        stderr=StringIO(),
    )
    return Server(url, printed.getvalue().strip())
