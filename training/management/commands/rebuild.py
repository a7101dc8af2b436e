"""Build a dataset version or a model again from the record, and compare; nothing is stored.

Exit status: 0 the hash is the same, 3 an erasure has changed it since, 1 otherwise.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.errors import EmendError
from training import datasets, runs
from training.management import choose


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
        try:
            if options["kind"] == "dataset":
                version = choose.dataset_version(*named)
                recorded, again = version.content_hash, datasets.rebuild(version)
                if again == version.current_hash != recorded:
                    said = "An erasure took rows out of it since: what is left has this hash."
                    raise CommandError(
                        f"recorded {recorded}\nrebuilt  {again}\n{said}", returncode=3
                    )
            else:
                model = choose.model_version(*named)
                recorded, again = model.weights_hash, runs.rebuild(model)
        except EmendError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(f"recorded {recorded}\nrebuilt  {again}")
        if recorded != again:
            raise CommandError("The hash is not the same.")
        self.stdout.write("The hash is the same.")
