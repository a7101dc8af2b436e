"""Remove what was kept long enough by each project's rules, or count it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from privacy import retention
from privacy.models import Project

WIDTHS = (20, 13, 24, 5, 17, 9)
HEADS = ("project", "kind", "what", "days", "from before", "rows")


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", metavar="SLUG", help="this one only")
        parser.add_argument("--dry-run", action="store_true", help="count; remove nothing")

    def handle(self, **options: Any) -> None:
        projects = Project.objects.order_by("slug")
        if options["project"]:
            projects = projects.filter(slug=options["project"])
            if not projects.exists():
                raise CommandError(f"There is no project {options['project']}.")
        self._line(HEADS)
        for project in projects:
            if retention.is_erasing(project) and not options["dry_run"]:
                self.stderr.write(
                    f"Somebody of {project} is being erased: only what no erasure proves goes"
                    " (idempotency, access_log). Try again after that."
                )
            for one in retention.apply(project, dry_run=options["dry_run"]):
                before = f"{one.before:%Y-%m-%d %H:%M}"
                self._line((project, one.kind, one.label, one.days, before, one.number))

    def _line(self, cells: tuple[object, ...]) -> None:
        *texts, number = (str(cell) for cell in cells)
        padded = (f"{text:<{width}}" for text, width in zip(texts, WIDTHS, strict=False))
        self.stdout.write("  ".join([*padded, f"{number:>{WIDTHS[-1]}}"]))
