"""Build a dataset version or a model again from the record, and compare; nothing is stored.

Exit status: 0 the hash is the same, 3 an erasure has changed it since, 1 otherwise.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.errors import EmendError
from training import datasets, runs
from training.management import choose
from training.models import DatasetVersion, ModelVersion

CHANGED = 3  # by an erasure


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        kinds = parser.add_subparsers(dest="kind", required=True, metavar="dataset|model")
        for kind, named in (("dataset", "NAME"), ("model", "TASK")):
            command = kinds.add_parser(kind, help=f"{named} VERSION")
            command.add_argument("name", metavar=named)
            command.add_argument("version", type=int, metavar="VERSION")
            choose.add_project(command)

    def handle(self, **options: Any) -> None:
        named = (options["name"], options["version"], options["project"])
        row: DatasetVersion | ModelVersion
        try:
            if options["kind"] == "dataset":
                row = choose.dataset_version(*named)
                recorded, again = row.content_hash, datasets.rebuild(row)
                is_expected = again == row.current_hash
            else:
                row = choose.model_version(*named)
                recorded, again = row.weights_hash, runs.rebuild(row)
                is_expected = True
        except EmendError as error:
            raise CommandError(error.detail) from error
        told = f"recorded {recorded}\nrebuilt  {again}"
        if recorded == again:
            self.stdout.write(f"{told}\nThe hash is the same.")
            return
        erasures = ", ".join(str(erased.erasure) for erased in row.erasures.order_by("pk"))
        if erasures and is_expected:
            said = f"Rows were taken out of it since, so this is its hash now: erasure {erasures}."
            raise CommandError(f"{told}\n{said}", returncode=CHANGED)
        self.stdout.write(told)
        raise CommandError("The hash is not the same.")
