"""Builds of dataset versions: the first of many examples, the next after a few new ones; exports.

python -m benchmarks.datasets [--rows 1000000] [--rounds 5] [--imported]

Every example comes from a correction of somebody's (or, `--imported`, from starting data); words
of inputs are as frequent as in natural language. The first build is a process of its own, so that
its memory can be told. The floor is a copy of all memberships by one statement.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from django.core.management import call_command
from django.db import connection

from benchmarks.door.world import LOGS, World, say_circumstances
from config import embedded
from feedback.models import Task
from feedback.normalise import content_hash, split_of
from privacy.models import Project
from training import datasets, exports
from training.models import DatasetVersion

WORDS, USERS = 30_000, 5_000
HOUSE = Path(__file__).resolve().parents[1]
SHOWN = """
    INSERT INTO feedback_inference (id, project_id, task_id, user_id, is_verified, session_id,
        metadata, redactions, input_hash, fingerprint, input, output, model_version, arm,
        target_type, target_id)
    SELECT gen_random_uuid(), %(project)s, %(task)s, 'user-' || n %% %(users)s, true, '', '{}',
        '{}', hash, '', to_jsonb(input), '"neg"', '', '', '', '' FROM said ORDER BY n"""
CORRECTED = """
    INSERT INTO feedback (id, project_id, task_id, user_id, is_verified, session_id, metadata,
        redactions, input_hash, fingerprint, inference_id, signal, correction_type, original,
        corrected, comment, status, flags, rejections, quality, quality_parts, source, queue,
        attempts, error, processed_at)
    SELECT gen_random_uuid(), i.project_id, i.task_id, i.user_id, true, '', '{}', '{}',
        i.input_hash, '', i.number, 'correction', 'label', i.output, '"pos"', '', 'processed',
        '{}', '[]', 1, '{}', 'user', 'process.text', 0, '', now()
    FROM feedback_inference AS i
    WHERE i.task_id = %(task)s AND NOT EXISTS (
        SELECT 1 FROM feedback AS f WHERE f.inference_id = i.number) ORDER BY i.number"""
TAUGHT = """
    INSERT INTO feedback_example (task_id, feedback_id, source, signal, input, output,
        rejected_output, "case", is_pinned, input_hash, base_weight, split)
    SELECT f.task_id, f.number, 'feedback', 'correction', i.input, f.corrected, f.original,
        'regression', false, f.input_hash, 1, s.split
    FROM said AS s JOIN feedback AS f ON f.input_hash = s.hash AND f.task_id = %(task)s
    JOIN feedback_inference AS i ON i.number = f.inference_id
    WHERE NOT EXISTS (SELECT 1 FROM feedback_example AS e WHERE e.feedback_id = f.number)
    ORDER BY f.number"""
IMPORTED = """
    INSERT INTO feedback_example (task_id, source, signal, input, output, "case", is_pinned,
        input_hash, base_weight, split)
    SELECT %(task)s, 'import', '', to_jsonb(input), '"pos"', '', false, hash, 1, split
    FROM said ORDER BY n"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--imported", action="store_true", help="starting data, not corrections")
    arguments = parser.parse_args()
    with embedded.running(needs_redis=False, log_pattern=LOGS):
        call_command("migrate", verbosity=0)
        with psycopg.connect(embedded.database_url(), autocommit=True) as database:
            world = World("", "", database)
            say_circumstances(world)
            most = arguments.rows
            for rows, new in ((10_000, 100), (most // 10, 1_000), (most, 1_000)):
                builds = Builds(world, rows, is_imported=arguments.imported)
                builds.say_first()
                builds.say_next(new, arguments.rounds)
                builds.say_export()
        connection.close()


class Builds:
    """A task with so many examples, in a project of its own, and its dataset."""

    def __init__(self, world: World, rows: int, *, is_imported: bool) -> None:
        self.database, self.is_imported = world.database, is_imported
        project = Project.objects.create(slug=f"bench-{Project.objects.count()}", name="bench")
        self.task = Task.objects.create(
            project=project, slug=f"mood-{rows}", modality="classification", labels=["neg", "pos"]
        )
        self.dataset = datasets.default_dataset(self.task)
        self.random = np.random.default_rng(rows)
        seconds = timed(lambda: self.add(rows))
        world.database.execute("VACUUM (ANALYZE)")
        print(f"\n{rows:,} examples, filled in {seconds:.0f} s", flush=True)

    def add(self, rows: int) -> None:
        """Store examples as processing does, with what they came from."""
        self.database.execute("DROP TABLE IF EXISTS said")
        self.database.execute("CREATE TABLE said (n serial, input text, hash bytea, split text)")
        columns = "COPY said (input, hash, split) FROM STDIN"
        with self.database.cursor() as cursor, cursor.copy(columns) as copy:
            for text in self.texts(rows):
                digest = content_hash(text)
                copy.write_row((text, digest, split_of(digest)))
        self.database.execute("ANALYZE said")
        ids = {"project": self.task.project_id, "task": self.task.pk, "users": USERS}
        for statement in (IMPORTED,) if self.is_imported else (SHOWN, CORRECTED, TAUGHT):
            self.database.execute(statement, ids)

    def texts(self, rows: int) -> Iterator[str]:
        shares, words = np.cumsum(1 / np.arange(1, WORDS + 1)), made_up_words()
        for _ in range(rows):
            drawn = self.random.random(self.random.integers(8, 17)) * shares[-1]
            yield " ".join(words[rank] for rank in np.searchsorted(shares, drawn).tolist())

    def build(self) -> DatasetVersion:
        version = datasets.request_version(self.dataset)
        while datasets.build_next() is not None:
            pass
        version.refresh_from_db()
        assert version.status == "ready", version.error
        return version

    def say_first(self) -> None:
        command = [sys.executable, str(HOUSE / "manage.py"), "build_dataset", self.dataset.name]
        command += ["--project", self.task.project.slug]
        began_at = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = status
        assert status == 0
        seconds = time.monotonic() - began_at
        version = self.dataset.versions.get()
        copy = "CREATE TEMP TABLE copied AS TABLE training_membership; DROP TABLE copied"
        copied = timed(lambda: self.database.execute(copy))
        print(
            f"first version: {version.build_seconds:.1f} s ({seconds:.1f} s with the process),"
            f" peak {usage.ru_maxrss / 1024:.0f} MB; a copy of its memberships {copied:.2f} s;"
            f" {version.counts}",
            flush=True,
        )

    def say_next(self, new: int, rounds: int) -> None:
        seconds = []
        for _ in range(rounds):
            self.add(new)
            seconds.append(timed(self.build))
        print(
            f"the next, after {new:,} new: median {statistics.median(seconds):.3f} s,"
            f" worst {max(seconds):.3f} s",
            flush=True,
        )

    def say_export(self) -> None:
        version = self.dataset.versions.latest("version")
        for when in ("the first time", "again"):
            count = 0

            def read() -> None:
                nonlocal count
                for piece in exports.export(version, "jsonl").pieces:
                    count += piece.count(b"\n")

            seconds = timed(read)
            print(f"jsonl {when}: {count:,} rows, {count / seconds:,.0f} a second", flush=True)


def made_up_words() -> list[str]:
    """Make as many words, the frequent ones short, of letters as frequent as in English."""
    random = np.random.default_rng(1)
    letters, shares = list("etaoinshrdlcumwfgypbvk"), 1 / np.arange(3, 25)
    lengths = 2 + (np.log2(np.arange(1, WORDS + 1)) / 2 + random.random(WORDS) * 3).astype(int)
    drawn = random.choice(letters, lengths.sum(), p=shares / shares.sum())
    ends = np.cumsum(lengths)
    return ["".join(drawn[end - length : end]) for end, length in zip(ends, lengths, strict=True)]


def timed(act: Callable[[], Any]) -> float:
    began_at = time.monotonic()
    act()
    return time.monotonic() - began_at


if __name__ == "__main__":
    main()
