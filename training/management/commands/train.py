"""Build the next dataset version, train a model on it, let the gates judge it."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training import runs
from training.management import choose, show
from training.management.commands.build_dataset import LOOK_SECONDS, build
from training.models import Run
from training.serializers import run_document
from training.tasks import execute


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("task", metavar="TASK")
        parser.add_argument("--strategy", choices=["full"], default="full")
        parser.add_argument("--seed", type=int, default=0, help="default: 0")
        choose.add_project(parser)

    def handle(self, **options: Any) -> None:
        task = choose.task(options["task"], options["project"])
        if not 0 <= options["seed"] < 2**31:
            raise CommandError("A seed lies between 0 and 2147483647.")
        run = runs.request(task, seed=options["seed"])
        if run.dataset_version is not None:
            build(run.dataset_version)
        ended = wait(run)
        for line in show.tree(run_document(ended)):
            self.stdout.write(line)
        if ended.status == "failed":
            raise CommandError(ended.error)


def wait(run: Run) -> Run:
    """Execute the run here unless a worker is quicker; return it when it has ended."""
    mine = Run.objects.filter(pk=run.pk).select_related("task", "dataset_version", "model_version")
    while (found := mine.get()).status in {"queued", "running"}:
        claimed = runs.claim(runs.executable().filter(pk=run.pk))
        if claimed is not None:
            execute(claimed, show.bar)
        else:
            show.bar(found.progress_ratio)
            time.sleep(LOOK_SECONDS)
    show.clear_bar()
    return found
