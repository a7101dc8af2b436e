"""Import starting data that did not come from feedback."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config import json
from config.errors import EmendError
from feedback.imports import import_examples
from training.management import choose

FORMATS = [".jsonl", ".tsv", ".csv", ".parquet"]


class Dump(csv.excel_tab):
    """Tabs between columns, and quotes that are part of the text."""

    quoting = csv.QUOTE_NONE


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help=" ".join(FORMATS))
        parser.add_argument("--task", required=True, metavar="SLUG")
        parser.add_argument("--input", required=True, metavar="COL")
        parser.add_argument("--output", required=True, metavar="COL")
        parser.add_argument(
            "--split",
            choices=["train", "holdout"],
            help="default: by the input, one in five held out",
        )
        choose.add_project(parser)

    def handle(self, **options: Any) -> None:
        path: Path = options["file"]
        task = choose.task(options["task"], options["project"])
        try:
            columns = (options["input"], options["output"])
            rows = [_pair(number, row, columns) for number, row in enumerate(read_rows(path))]
            count = import_examples(task, rows, split=options["split"])
        except KeyError as error:
            raise CommandError(f"{path} has no column {error}.") from error
        except (OSError, ValueError, csv.Error) as error:
            raise CommandError(f"{path} cannot be read: {error}") from error
        except EmendError as error:
            raise CommandError(f"{path}: {error.detail} Nothing was imported.") from error
        self.stdout.write(f"Imported {count} examples into {task}.")


def _pair(number: int, row: dict[str, Any], columns: tuple[str, str]) -> tuple[Any, Any]:
    """Return a row's input and output; raises ValueError for what no request could send."""
    input_, output = (row[column] for column in columns)
    try:
        json.loads(json.dumps([input_, output]))
    except json.Malformed as error:
        message = f"item {number}: {error.detail}"
        raise ValueError(message) from error
    return input_, output


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the file's rows by column name; quotes are literal in .tsv, as dumps write them."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise CommandError(f"{path} is none of {' '.join(FORMATS)}.")
    if suffix == ".parquet":
        for batch in pq.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        if suffix == ".jsonl":
            yield from (_object(line) for line in file if line.strip())
            return
        yield from csv.DictReader(file, dialect=Dump if suffix == ".tsv" else csv.excel)


def _object(line: str) -> dict[str, Any]:
    row = json.loads(line.encode())
    if not isinstance(row, dict):
        raise ValueError("each line is one JSON object")
    return row
