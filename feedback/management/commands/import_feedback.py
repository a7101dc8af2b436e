"""Import feedback from a file, a line each as POST /api/v1/feedback/ takes it."""

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.errors import Unavailable
from feedback.files import FileImport, Place
from feedback.intake import Ending
from privacy.models import Project

HELP = """Import feedback: NDJSON, each line a body of POST /api/v1/feedback/.
A line with an id is stored once; one without gets an id that follows from its content, so that
equal lines are one act. An import that was interrupted is simply started again: it goes on where
it was (FILE.place says so), and what is stored already is not stored twice. Lines that were
refused are listed in FILE.rejects.ndjson, by their number and the reason, without their content.
Acts of one person keep their order."""
COUNTS = ["created", "flagged", "rejected", "repeated", "failed"]
BAR_CHARACTERS = 30
INTERRUPTED = 130  # as shells say it of what a signal ended
SAY_SECONDS, DRAW_SECONDS = 10.0, 0.2


class Command(BaseCommand):
    help = HELP

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="NDJSON; - reads standard input")
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument(
            "--dry-run", action="store_true", help="judge the form of the lines; store nothing"
        )

    def handle(self, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project {options['project']}.")
        path = None if options["file"] == "-" else Path(options["file"])
        try:
            with ExitStack() as stack:
                source = stack.enter_context(path.open("rb")) if path else sys.stdin.buffer
                if not source.seekable():
                    path = None  # a pipe, of which no place can be kept
                ending = Ending()
                importing = FileImport(source, path, project, is_dry_run=options["dry_run"])
                self._follow(importing, ending, path.stat().st_size if path else 0)
        except OSError as error:
            raise CommandError(f"{path or 'Standard input'}: {error.strerror}.") from error
        except Unavailable as error:
            message = f"{error.detail} Start the import again: it goes on where it was."
            raise CommandError(message) from error
        self._conclude(importing, ending)

    def _follow(self, importing: FileImport, ending: Ending, size_bytes: int) -> None:
        """Run the import and show how far it is."""
        if importing.place.line:
            self.stderr.write(f"Goes on after line {importing.place.line:,}.")
        progress = Progress(importing.place, size_bytes)
        for place in importing.run(ending):
            self.stderr.write(progress.say(place), ending="")
            self.stderr.flush()
        self.stderr.write(progress.end(), ending="")

    def _conclude(self, importing: FileImport, ending: Ending) -> None:
        place = importing.place
        kinds = ["well_formed", "failed"] if importing.is_dry_run else COUNTS
        counts = [f"{place.counts.get(kind, 0):,} {kind.replace('_', ' ')}" for kind in kinds]
        self.stdout.write(", ".join(counts))
        if place.rejects_bytes:
            self.stdout.write(f"Why lines were refused: {importing.rejects_path}")
        if ending.is_near:
            message = f"Stopped after line {place.line:,}; start again to go on."
            raise CommandError(message, returncode=INTERRUPTED)


class Progress:
    """A bar on a terminal, elsewhere a line now and then."""

    def __init__(self, start: Place, size_bytes: int) -> None:
        self.start, self.size_bytes = start, size_bytes
        self.began_at = self.said_at = time.monotonic()
        self.is_bar = sys.stderr.isatty()

    def say(self, place: Place) -> str:
        """Return what is to be written now, which may be nothing."""
        now = time.monotonic()
        if now - self.said_at < (DRAW_SECONDS if self.is_bar else SAY_SECONDS):
            return ""
        self.said_at = now
        rate = (place.line - self.start.line) / (now - self.began_at)
        words = f"{place.line:,} lines, {rate:,.0f} lines/s"
        if self.size_bytes:
            words = f"{place.offset / self.size_bytes:4.0%}  {words}"
        if not self.is_bar:
            return words + "\n"
        done = round(BAR_CHARACTERS * place.offset / (self.size_bytes or sys.maxsize))
        return f"\r[{'#' * done:<{BAR_CHARACTERS}}] {words} "

    def end(self) -> str:
        return "" if not self.is_bar else "\r" + " " * 79 + "\r"
