"""How commands name things: a task, a dataset or a model version, in whichever project has it."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import Model, QuerySet

from feedback.models import Task
from training.models import Dataset, DatasetVersion, ModelVersion


def add_project(parser: CommandParser) -> None:
    parser.add_argument(
        "--project", metavar="SLUG", help="needed only where two projects use the name"
    )


def _only(rows: QuerySet[Any], what: str, project: str | None) -> Any:
    """Return the one row there is; raise CommandError if there is none, or no telling which."""
    chosen = rows.filter(project__slug=project) if project else rows
    found: list[Model] = list(chosen.select_related("project")[:2])
    if not found:
        raise CommandError(f"There is no {what}" + (f" in {project}." if project else "."))
    if len(found) > 1:
        raise CommandError(f"Several projects have a {what}: choose one with --project.")
    return found[0]


def task(slug: str, project: str | None) -> Task:
    found: Task = _only(Task.objects.filter(slug=slug), f"task {slug}", project)
    return found


def dataset(name: str, project: str | None) -> Dataset:
    found: Dataset = _only(Dataset.objects.filter(name=name), f"dataset {name}", project)
    return found


def dataset_version(name: str, number: int, project: str | None) -> DatasetVersion:
    versions = dataset(name, project).versions.select_related("dataset__task")
    found = versions.filter(version=number).first()
    if found is None:
        raise CommandError(f"The dataset {name} has no version {number}.")
    return found


def model_version(slug: str, number: int, project: str | None) -> ModelVersion:
    versions = ModelVersion.objects.filter(task=task(slug, project))
    found = versions.filter(version=number).select_related("run__dataset_version", "task").first()
    if found is None:
        raise CommandError(f"The task {slug} has no model version {number}.")
    return found
