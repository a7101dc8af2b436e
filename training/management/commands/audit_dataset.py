"""Prove that a version's holdout and train rows are disjoint, and that it is as recorded.

Exit status: 0 nothing was found, 1 something was; each thing is named.
"""

from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.errors import EmendError
from training.audit import Finding, audit
from training.management import choose
from training.purposes import PURPOSES


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("number", type=int, metavar="VERSION")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        choose.add_project(parser)

    def handle(self, **options: Any) -> None:
        version = choose.dataset_version(options["name"], options["number"], options["project"])
        try:
            report = audit(version)
        except EmendError as error:
            raise CommandError(error.detail) from error
        number = sum(report.found.values())
        if options["json"]:
            document = {"dataset": version.name, "version": version.version} | report._asdict()
            document["findings"] = [finding._asdict() for finding in report.findings]
            self.stdout.write(msgspec.json.encode(document).decode())
        else:
            sides = ", ".join(f"{count} {split}" for split, count in report.examples.items())
            self.stdout.write(f"{version}: {sides}")
            if not PURPOSES[version.dataset.purpose].is_split:
                self.stdout.write("Cases stand on both sides for ever: these are not compared.")
            for finding in report.findings:
                self.stdout.write(_line(finding))
            if number > len(report.findings):
                self.stdout.write(f"and {number - len(report.findings)} more")
        if number:
            raise CommandError(f"{version} is not clean: {number} found.")


def _line(finding: Finding) -> str:
    who = "" if finding.example_id is None else f" example {finding.example_id}"
    if finding.holdout_example_id is not None:
        who += f" and example {finding.holdout_example_id} of the holdout"
        who += f", similarity {finding.similarity:.3f}"
    return f"{finding.kind}:{who}: {finding.detail}" if who else f"{finding.kind}: {finding.detail}"
