"""Show what became of a feedback, or what a dataset version or a model came from."""

from typing import Any
from uuid import UUID

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser

from feedback.models import Feedback
from training import lineage, provenance
from training.management import choose, show


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        names = "feedback|dataset|model"
        kinds = parser.add_subparsers(dest="kind", required=True, metavar=names)
        feedback = kinds.add_parser("feedback", help="ID")
        feedback.add_argument("id", type=UUID, metavar="ID")
        dataset = kinds.add_parser("dataset", help="NAME VERSION")
        dataset.add_argument("name", metavar="NAME")
        model = kinds.add_parser("model", help="TASK VERSION")
        model.add_argument("task", metavar="TASK")
        for kind in (dataset, model):
            kind.add_argument("version", type=int, metavar="VERSION")
        for kind in (feedback, dataset, model):
            form = kind.add_mutually_exclusive_group()
            form.add_argument("--json", action="store_true", help="print one JSON object")
            form.add_argument("--prov", action="store_true", help="print it as W3C PROV-JSON")
            choose.add_project(kind)

    def handle(self, **options: Any) -> None:
        document, provided = _traced(options)
        if options["json"] or options["prov"]:
            printed = provided if options["prov"] else document
            self.stdout.write(msgspec.json.encode(printed).decode())
            return
        for line in show.tree(document):
            self.stdout.write(line)


def _traced(options: dict[str, Any]) -> tuple[lineage.Document, lineage.Document]:
    """Return the lineage of what is named, and its provenance."""
    project = options["project"]
    if options["kind"] == "feedback":
        document = lineage.of_feedback(_feedback(options["id"], project))
        hide = lineage.pseudonym_of(document["project"])
        return document, provenance.of_feedback(document, hide)
    if options["kind"] == "dataset":
        version = choose.dataset_version(options["name"], options["version"], project)
        document = lineage.of_version(version)
        return document, provenance.of_version(document)
    document = lineage.of_model(choose.model_version(options["task"], options["version"], project))
    return document, provenance.of_model(document)


def _feedback(feedback_id: UUID, project: str | None) -> Feedback:
    rows = Feedback.objects.filter(uuid=feedback_id)
    found: list[Feedback] = list(rows.filter(project__slug=project) if project else rows)
    if len(found) != 1:
        said = "No feedback has" if not found else "Feedback of several projects has"
        raise CommandError(f"{said} the id {feedback_id}.")
    return found[0]
