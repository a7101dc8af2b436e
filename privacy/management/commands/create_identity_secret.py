"""Make the secret by which a product's server vouches for its users."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from privacy.identity import create_secret
from privacy.management.commands.create_api_key import add_overlap
from privacy.models import Project


class Command(BaseCommand):
    help = (
        "Print a new secret that signs user tokens of the project, once, alone on stdout."
        " Earlier ones end after the overlap."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, metavar="SLUG")
        add_overlap(parser, of="an earlier secret")

    def handle(self, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project {options['project']!r}.")
        self.stdout.write(create_secret(project=project, overlap=options["overlap"]))
