"""Import starting data that did not come from feedback."""

import csv
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.errors import EmendError, Malformed
from feedback.imports import import_examples
from training import importers
from training.management import choose

LISTED_ITEMS = 20


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", type=Path, metavar="FILE", help="or a folder or .tar.gz of LabelMe's files"
        )
        parser.add_argument("--task", required=True, metavar="SLUG")
        for name in importers.Columns._fields:
            parser.add_argument(
                f"--{name}", default=name, metavar="COL", help=f"default: {name}; of tables"
            )
        parser.add_argument(
            "--split",
            choices=["train", "holdout"],
            help="of rows that say none; default: by the input, one in five held out",
        )
        parser.add_argument(
            "--format", choices=importers.READERS, help="default: by the name, or the content"
        )
        parser.add_argument(
            "--skip-bad", action="store_true", help="leave out bad rows, pages and tasks, list them"
        )
        choose.add_project(parser)

    def handle(self, **options: Any) -> None:
        path: Path = options["file"]
        task = choose.task(options["task"], options["project"])
        columns = importers.Columns(options["input"], options["output"])
        refused: list[Malformed] | None = [] if options["skip_bad"] else None
        try:
            items = importers.read(path, name=options["format"], columns=columns)
            count = import_examples(task, items, split=options["split"], refused=refused)
        except KeyError as error:
            raise CommandError(f"{path} has no column {error}.") from error
        except (OSError, ValueError, csv.Error) as error:
            raise CommandError(f"{path} cannot be read: {error}") from error
        except EmendError as error:
            raise CommandError(f"{path}: {error.detail} Nothing was imported.") from error
        self.stdout.write(f"Imported {count} examples into {task}.")
        if refused:
            self.stdout.write(f"Left out {len(refused)} bad ones:")
            for problem in refused[:LISTED_ITEMS]:
                self.stdout.write(f"  {problem.detail}")
