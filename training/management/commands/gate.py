"""Judge a model version, or answers made elsewhere, by the task's gates.

Exit status: 0 passed, 3 refused, 2 could not judge.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.errors import EmendError
from feedback.models import Task
from training import gates, runs
from training.errors import CannotJudge
from training.evaluation import Answers, Case, Predictor
from training.gates import Outcome
from training.management import choose
from training.models import DatasetVersion

PASSED, COULD_NOT_JUDGE, REFUSED = 0, 2, 3


class Command(BaseCommand):
    help = __doc__ or ""

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        """Let `--version` name a model here; `manage.py version` still tells Django's."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **options)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("task", metavar="TASK")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument(
            "--version", type=int, dest="number", metavar="N", help="a registered model version"
        )
        what.add_argument(
            "--outputs", type=Path, metavar="FILE.jsonl", help="lines of input, output, confidence?"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        choose.add_project(parser)

    def handle(self, **options: Any) -> None:
        try:
            outcomes = self._judge(choose.task(options["task"], options["project"]), options)
        except (EmendError, CommandError) as error:
            message = f"Could not judge: {error}"
            raise CommandError(message, returncode=COULD_NOT_JUDGE) from error
        passed = all(outcome.passed for outcome in outcomes)
        if options["json"]:
            document = {"passed": passed, "gates": [asdict(outcome) for outcome in outcomes]}
            self.stdout.write(json.dumps(document))
        else:
            self._print(outcomes)
        if not passed:
            sys.exit(REFUSED)

    def _judge(self, task: Task, options: dict[str, Any]) -> list[Outcome]:
        cases = _newest_cases(task)
        if options["number"] is not None:
            version = choose.model_version(options["task"], options["number"], options["project"])
            return gates.judge_version(version, cases)
        champion = gates.champion_of(task)
        cases = runs.without_learnt(cases, champion)
        rival = None if champion is None else runs.predictor(runs.load(champion))
        return gates.judge(cases, _recorded(task, options["outputs"]), rival)

    def _print(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            mark = "passed " if outcome.passed else "REFUSED"
            self.stdout.write(f"{mark} {outcome.name:<14} {outcome.reason}")
            for feedback_id in outcome.details.get("flips", []):
                self.stdout.write(f"          regressed: feedback {feedback_id or '(import)'}")


def _newest_cases(task: Task) -> list[Case]:
    ready = DatasetVersion.objects.filter(
        dataset__task=task, dataset__purpose="train", status="ready"
    )
    version = ready.select_related("dataset__task").order_by("-as_of", "-pk").first()
    if version is None:
        raise CannotJudge("The task has no dataset version yet: run build_dataset or train.")
    return runs.cases_of(version)


def _recorded(task: Task, path: Path) -> Predictor:
    """Return a predictor that gives the answers of the file; every case must be in it."""
    try:
        with path.open(encoding="utf-8") as file:
            lines = [json.loads(line) for line in file if line.strip()]
        answers = {runs.reading(task.kind.text_of(line["input"])): _answer(line) for line in lines}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotJudge(f"{path} is not lines of input and output: {error}") from error

    def predict(texts: Sequence[str]) -> Answers:
        missing = [text for text in texts if text not in answers]
        if missing:
            raise CannotJudge(f"{path} has no answer to {len(missing)} of {len(texts)} cases.")
        outputs, stated = zip(*(answers[text] for text in texts), strict=True)
        confidence = None if None in stated else np.array(stated, dtype=np.float64)
        return list(outputs), confidence

    return predict


def _answer(line: dict[str, Any]) -> tuple[Any, float | None]:
    confidence = line.get("confidence")
    if confidence is not None and not 0 <= confidence <= 1:
        raise ValueError("a confidence lies between 0 and 1")
    return line["output"], confidence
