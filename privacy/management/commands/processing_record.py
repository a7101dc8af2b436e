"""Print the record of processing activities (GDPR, Article 30) of each project."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from privacy import record
from privacy.models import Project


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", metavar="SLUG", help="this one only")
        parser.add_argument("--json", action="store_true", help="a list of documents")

    def handle(self, **options: Any) -> None:
        projects = Project.objects.order_by("slug")
        if options["project"]:
            projects = projects.filter(slug=options["project"])
            if not projects.exists():
                raise CommandError(f"There is no project {options['project']}.")
        documents = [record.document(project) for project in projects]
        if options["json"]:
            self.stdout.write(json.dumps(documents, indent=2))
        else:
            self.stdout.write("\n".join(map(record.markdown, documents)))
