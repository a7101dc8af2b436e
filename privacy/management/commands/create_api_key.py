"""Make a key for a product's server or pages."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from privacy.access import create_key
from privacy.models import Project, Scope


class Command(BaseCommand):
    help = "Print a new key, once, alone on stdout; makes the project if it is new."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what the key is for, as the admin will list it")
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--scope", required=True, choices=Scope.values)
        parser.add_argument(
            "--origin",
            action="append",
            default=[],
            metavar="URL",
            help="an origin that may use a capture key; repeat for several",
        )

    def handle(self, **options: Any) -> None:
        project, is_new = Project.objects.get_or_create(
            slug=options["project"], defaults={"name": options["project"]}
        )
        if is_new:
            self.stderr.write(f"New project {project.slug}.")
        key = create_key(
            project=project,
            name=options["name"],
            scope=options["scope"],
            origins=options["origin"],
        )
        self.stdout.write(key)
