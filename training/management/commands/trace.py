"""Show what became of a feedback, or what a model learned from."""

from typing import Any
from uuid import UUID

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser

from feedback.models import Feedback
from training import lineage
from training.management import choose, show


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        kinds = parser.add_subparsers(dest="kind", required=True, metavar="feedback|model")
        feedback = kinds.add_parser("feedback", help="ID")
        feedback.add_argument("id", type=UUID, metavar="ID")
        model = kinds.add_parser("model", help="TASK VERSION")
        model.add_argument("task", metavar="TASK")
        model.add_argument("version", type=int, metavar="VERSION")
        for kind in (feedback, model):
            kind.add_argument("--json", action="store_true", help="print one JSON object")
            choose.add_project(kind)

    def handle(self, **options: Any) -> None:
        project = options["project"]
        if options["kind"] == "feedback":
            document = lineage.of_feedback(_feedback(options["id"], project))
        else:
            version = choose.model_version(options["task"], options["version"], project)
            document = lineage.of_model(version)
        if options["json"]:
            self.stdout.write(msgspec.json.encode(document).decode())
            return
        for line in show.tree(document):
            self.stdout.write(line)


def _feedback(feedback_id: UUID, project: str | None) -> Feedback:
    rows = Feedback.objects.filter(uuid=feedback_id)
    found: list[Feedback] = list(rows.filter(project__slug=project) if project else rows)
    if len(found) != 1:
        said = "No feedback has" if not found else "Feedback of several projects has"
        raise CommandError(f"{said} the id {feedback_id}.")
    return found[0]
