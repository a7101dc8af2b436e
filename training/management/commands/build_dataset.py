"""Build the next version of a dataset and wait for it."""

import time
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config import leases
from config.errors import LeaseLost
from training import datasets
from training.management import choose, show
from training.models import DatasetVersion
from training.serializers import version_document

LOOK_SECONDS = 0.2


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="TASK-train is what a task learns from")
        choose.add_project(parser)

    def handle(self, **options: Any) -> None:
        version = build(
            datasets.request_version(choose.dataset(options["name"], options["project"]))
        )
        for line in show.tree(version_document(version)):
            self.stdout.write(line)


def build(version: DatasetVersion) -> DatasetVersion:
    """Build the version here, after those before it, unless a worker is quicker."""
    mine = DatasetVersion.objects.filter(pk=version.pk)
    while mine.filter(status="building").exists():
        claimed = leases.claim(datasets.buildable().filter(dataset=version.dataset_id))
        if claimed is None:
            time.sleep(LOOK_SECONDS)  # a worker is at it
            continue
        with suppress(LeaseLost):
            datasets.build(claimed)
    version.refresh_from_db()
    if version.status == "failed":
        raise CommandError(f"{version} could not be built: {version.error}")
    return version
