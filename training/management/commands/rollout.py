"""Serve a model version to a share of the users beside the champion."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.errors import EmendError
from training import rollouts
from training.gates import champion_of
from training.management import choose, show
from training.rollouts import Plan
from training.serializers import rollout_document


class Command(BaseCommand):
    help = f"{__doc__} The first model of a task is promoted at once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("task", metavar="TASK")
        parser.add_argument("version", type=int, metavar="VERSION")
        parser.add_argument("--share", type=float, help="of the users; default: the task's setting")
        choose.add_project(parser)

    def handle(self, **options: Any) -> None:
        version = choose.model_version(options["task"], options["version"], options["project"])
        share = options["share"]
        if share is not None and not 0 < share <= 0.5:
            raise CommandError("The share of a canary is above 0 and at most 0.5.")
        try:
            if champion_of(version.task) is None:
                rollouts.promote(version)
                self.stdout.write(f"{version} now serves everybody.")
                return
            rollout = rollouts.start(version, Plan(share=share))
        except EmendError as error:
            raise CommandError(error.detail) from error
        for line in show.tree(rollout_document(rollout)):
            self.stdout.write(line)
