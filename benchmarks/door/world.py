"""An installation of its own for a benchmark: product and floor on one PostgreSQL, known rows."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import django
import psycopg

# Before Django reads its settings: a benchmark must not touch an installation.
FOLDER = Path(tempfile.mkdtemp(prefix="emend-bench-"))
FOLDER.chmod(0o711)  # where root runs it PostgreSQL's own account passes through
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
os.environ |= {"EMEND_DATA_DIR": str(FOLDER), "DATABASE_URL": "", "REDIS_URL": ""}
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
django.setup()

from django.core.management import call_command  # noqa: E402

from benchmarks.door import bodies, load  # noqa: E402
from config import embedded  # noqa: E402
from config.management.commands import up  # noqa: E402
from config.management.demo.server import Server  # noqa: E402
from config.supervisor import Supervisor  # noqa: E402

HOST = "127.0.0.1"
LOGS = str(FOLDER / "logs" / "{name}.log")
SETTINGS = {"phone_regions": ["GB", "DE"]}
TASKS: list[dict[str, Any]] = [
    {"slug": "mood", "modality": "classification", "labels": list(bodies.LABELS)},
    {"slug": "summary", "modality": "text"},
]
TEMPLATE = bodies.inference_id(2**40).decode()
UUID_OF_N = "('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid"
LABEL = f"('{{{{{','.join(bodies.LABELS)}}}}}'::text[])[({{}}) % 3 + 1]"
SAID = ["fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size"]


@dataclass
class World:
    """A running product, its manage key (which knows no rate limit), and the same database."""

    url: str
    key: str
    database: "psycopg.Connection[Any]"
    next_number: int = 0
    pool: int = 0  # inferences filled in

    def plan(self, kind: str, **options: Any) -> load.Plan:
        path = "feedback/" if kind == "mix" else "feedback/batch/"
        sender: dict[str, Any] = {
            "url": f"{self.url}/api/v1/{path}",
            "key": self.key,
            "pool": self.pool,
        }
        return load.Plan(kind=kind, start=self.next_number, **(sender | options))

    def measure(self, kind: str, **options: Any) -> load.Figures:
        """Send bodies that nobody sent before."""
        figures = load.run(self.plan(kind, **options))
        self.skip(kind, figures.sent)
        return figures

    def skip(self, kind: str, requests: int) -> None:
        """Leave out the numbers of so many requests, and begin the next at a multiple of four."""
        self.next_number += (requests * bodies.SPAN[kind] // 4 + 1) * 4

    def ask(self, question: str, *values: object) -> Any:
        """Return the only value of the only row of an answer."""
        row = self.database.execute(question, values).fetchone()
        return row and row[0]

    def pending(self) -> int:
        return int(self.ask("SELECT count(*) FROM feedback WHERE status = 'pending'"))

    def wait_processed(self, patience_seconds: float = 300.0) -> None:
        """Let the workers finish, so that they do not disturb what is measured next."""
        ends_at = time.monotonic() + patience_seconds
        while (left := self.pending()) and time.monotonic() < ends_at:
            time.sleep(0.2)
        if left:
            print(f"  {left} rows are still pending after {patience_seconds:g} s", flush=True)

    def say_statuses(self) -> None:
        rows = self.database.execute("SELECT status, count(*) FROM feedback GROUP BY 1 ORDER BY 1")
        print("rows of feedback: " + ", ".join(f"{n} {status}" for status, n in rows), flush=True)

    def multiply(self, table: str, source: str, changes: dict[str, str]) -> None:
        """Copy the row `t` of `source` into the table, once for each row there, with changes.

        `source` is a FROM clause, `changes` maps columns to SQL expressions; the columns that only
        the product knows keep what it wrote into `t`. The primary key is left to its sequence.
        """
        found = self.database.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s"
            " AND is_identity = 'NO'",
            [table],
        )
        columns = [name for (name,) in found]
        values = [changes.get(name, f't."{name}"') for name in columns]
        names = ", ".join(f'"{name}"' for name in columns)
        self.database.execute(
            f"INSERT INTO {table} ({names}) SELECT {', '.join(values)} FROM {source}"  # noqa: S608
        )

    def fill_inferences(self, pool: int) -> None:
        """Make the inferences up to that number."""
        self.multiply(
            "feedback_inference",
            f"feedback_inference t, generate_series({self.pool}, {pool - 1}) n"
            f" WHERE t.id = '{TEMPLATE}' ORDER BY n",
            {
                "id": UUID_OF_N,
                "user_id": f"'user-' || n % {bodies.USERS}",
                "session_id": "'session-' || n",
                "input": "to_jsonb((t.input #>> '{}') || ' ' || n)",
                "output": f"to_jsonb({LABEL.format('n')})",
                "input_hash": "sha256(n::text::bytea)",
                "fingerprint": "sha256(n::text::bytea)",
                "created_at": "now() - n % 600000 * interval '1 s'",
            },
        )
        self.pool = pool

    def fill_feedback(self, first: int, pool: int) -> None:
        """Make one processed correction for each of these inferences."""
        self.multiply(
            "feedback",
            f"generate_series({first}, {pool - 1}) n"
            f" JOIN feedback_inference i ON i.id = {UUID_OF_N}"
            f" JOIN feedback t ON t.id = '{TEMPLATE}' ORDER BY n",
            {
                "id": "gen_random_uuid()",
                "inference_id": "i.number",
                "user_id": "i.user_id",
                "session_id": "i.session_id",
                "original": "i.output",
                "corrected": f"to_jsonb({LABEL.format('n + 1')})",
                "corrected_hash": f"sha256({LABEL.format('n + 1')}::bytea)",
                "act_hash": "sha256(i.input_hash)",
                "input_hash": "i.input_hash",
                "fingerprint": "i.fingerprint",
                "status": "'processed'",
                "created_at": "i.created_at",
                "processed_at": "i.created_at",
            },
        )

    def drop_pending(self) -> None:
        """Call done what the workers have still to do: it is not what is measured next."""
        self.database.execute(
            "UPDATE feedback SET status = 'processed', processed_at = now() WHERE number IN"
            " (SELECT number FROM feedback WHERE status = 'pending' FOR UPDATE SKIP LOCKED)"
        )
        self.wait_processed()  # what a worker holds

    def settle(self) -> None:
        """Let nothing that filling left behind run into what is measured next."""
        self.database.execute("VACUUM (ANALYZE) feedback, feedback_inference")
        self.database.execute("VACUUM (ANALYZE) privacy_datasubject, privacy_consent")
        self.database.execute("CHECKPOINT")


@contextmanager
def running_product() -> Iterator[World]:
    """Run Emend as `up` does, with two tasks, a pool of inferences and people who are known."""
    up.end_on_signals()
    with up.stack(host=HOST, port=0, say=lambda _text: None, log_pattern=LOGS) as running:
        printed = StringIO()
        call_command(
            "create_api_key",
            *("bench", "--project", "bench", "--scope", "manage"),
            stdout=printed,
            stderr=StringIO(),
        )
        key = printed.getvalue().strip()
        server = Server(running.url, key)
        for task in TASKS:
            server.post("tasks/", task | {"settings": SETTINGS})
        inference = {
            "id": TEMPLATE,
            "task": "mood",
            "input": "The soup was cold, and the waiter said that this is how it is done here.",
            "output": bodies.LABELS[0],
            "confidence": 0.8,
            "model_version": "mood-7",
            "user_id": "user-0",
        }
        server.post("inferences/", inference)
        act = {"id": TEMPLATE, "inference_id": TEMPLATE, "user_id": "user-0"}
        act |= {"signal": "correction", "corrected": bodies.LABELS[1], "comment": "It was cold."}
        server.post("feedback/", act)
        with psycopg.connect(embedded.database_url(), autocommit=True) as database:
            world = World(running.url, key, database)
            world.multiply(
                "privacy_datasubject",
                f"privacy_datasubject t, generate_series(1, {bodies.USERS - 1}) n"
                " WHERE t.user_id = 'user-0'",
                {"user_id": "'user-' || n"},
            )
            database.execute(
                "INSERT INTO privacy_consent (subject_id, purpose, is_granted, decided_at,"
                " text_version, language, method, evidence)"
                " SELECT id, 'collection', true, now(), '', '', 'api', ''"
                " FROM privacy_datasubject WHERE id % 2 = 0"
            )
            world.fill_inferences(bodies.POOL)
            database.execute("CREATE DATABASE floor")
            subprocess.run([sys.executable, "-m", "benchmarks.door.floor"], check=True)
            world.settle()
            say_circumstances(world)
            yield world


@contextmanager
def running_floor() -> Iterator[str]:
    """Run the bare view with the command of the product's web server; yield its URL."""
    port = up._free_port(HOST, 0)
    web = next(service for service in up._services(HOST, port) if service.name == "web")
    application = {"config.wsgi:application": "benchmarks.door.floor:application"}
    command = [application.get(word, word) for word in web.command]
    assert command != web.command
    supervisor = Supervisor(log_pattern=LOGS)
    try:
        supervisor.start(replace(web, name="floor", command=command))
        supervisor.wait_ready()
        yield f"http://{HOST}:{port}"
    finally:
        supervisor.stop()


def say_circumstances(world: World) -> None:
    said = [f"{name} {world.ask(f'SHOW {name}')}" for name in SAID]
    print(f"PostgreSQL: {', '.join(said)}", flush=True)
    began_at = time.perf_counter()
    world.database.execute("CREATE TABLE trial (n bigint)")
    for n in range(200):
        world.database.execute("INSERT INTO trial VALUES (%s)", [n])
    ms = (time.perf_counter() - began_at) * 5
    world.database.execute("DROP TABLE trial")
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}; a commit takes {ms:.2f} ms",
        flush=True,
    )
