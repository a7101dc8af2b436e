"""The other doors: a file of a million lines, and a topic whose consumer is killed.

python -m benchmarks.doors [--lines 1000000] [--events 10000]
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Producer
from django.core.management import call_command

from benchmarks.door import bodies, world
from config import embedded
from feedback.models import Task
from privacy.models import Project

ROOT = Path(__file__).parents[1]
MANAGE = [sys.executable, "manage.py"]
TOPIC = "acts"
LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 900.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000, help="0: no file")
    parser.add_argument("--events", type=int, default=10_000, help="0: no topic")
    arguments = parser.parse_args()
    with embedded.running(needs_redis=False, log_pattern=world.LOGS):
        call_command("migrate", verbosity=0)
        project = Project.objects.create(slug="bench", name="bench")
        for task in world.TASKS:
            Task.objects.create(project=project, **task)
        with psycopg.connect(embedded.database_url(), autocommit=True) as database:
            if arguments.events:
                topic(database, arguments.events)
            if arguments.lines:
                file(database, arguments.lines)


def act(k: int) -> bytes:
    """Make act number k whole, input and output included: every fourth is a text of about 1 KB."""
    if k % 4 == 3:
        return bodies.rewriting(k, 0)
    label, better = (bodies.LABELS[(k + turn) % 3].encode() for turn in (0, 1))
    return (
        b'{"signal":"correction","task":"mood","input":"%b (%d)","output":"%b","corrected":"%b",'
        b'"user_id":"user-%d","session_id":"session-%d","occurred_at":"2026-01-05T10:00:00Z",'
        b'"metadata":{"page":"/reviews/%d","locale":"en-GB"}}'
    ) % (
        *(bodies.SENTENCES[k % len(bodies.SENTENCES)], k, label, better),
        *(k % bodies.USERS, k // 8, k),
    )


def is_bad(k: int) -> bool:
    return k % 100 == 99


def file(database: "psycopg.Connection[Any]", count: int) -> None:
    """Import, killed at a third and interrupted at two thirds; print what the figures are."""
    path = world.FOLDER / "acts.jsonl"
    with path.open("wb") as lines:
        lines.writelines((b'{"signal"' if is_bad(k) else act(k)) + b"\n" for k in range(count))
    print(f"file: {count} lines, {path.stat().st_size / 1e6:.0f} MB", flush=True)
    before, seconds = stored(database), 0.0
    command = [*MANAGE, "import_feedback", str(path), "--project", "bench"]
    for until, number in ((count // 3, signal.SIGKILL), (2 * count // 3, signal.SIGINT), (0, None)):
        began_at = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT)
        watch(process, Path(f"{path}.place"), until, count)
        if number is not None:
            process.send_signal(number)
        process.wait(PATIENCE_SECONDS)
        seconds += time.monotonic() - began_at
    rejects = Path(f"{path}.rejects.ndjson").read_bytes().count(b"\n")
    print(
        f"file: {stored(database) - before} rows of {sum(not is_bad(k) for k in range(count))},"
        f" {rejects} rejects; {count / seconds:.0f} lines/s with three starts",
        flush=True,
    )


def watch(process: "subprocess.Popen[bytes]", place: Path, until: int, count: int) -> None:
    """Wait until that line is stored, or the end; print the memory at a tenth and at the last."""
    line, marks = 0, [count // 10, count * 95 // 100]
    while process.poll() is None and not (until and line >= until):
        time.sleep(LOOK_SECONDS)
        if place.exists():
            line = json.loads(place.read_bytes())["line"]
        while marks and line >= marks[0]:
            print(f"  line {line}: {memory_mb(process.pid):.0f} MB", flush=True)
            del marks[0]


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process and its children."""
    listed = subprocess.run(
        ["ps", "-o", "rss=", "--pid", f"{pid}", "--ppid", f"{pid}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return sum(map(int, listed.stdout.split())) / 1024


def stored(database: "psycopg.Connection[Any]") -> int:
    row = database.execute("SELECT count(*) FROM feedback").fetchone()
    assert row is not None
    return int(row[0])


def topic(database: "psycopg.Connection[Any]", count: int) -> None:
    """Consume events while the consumer is killed three times; print what became of them."""
    with cluster() as address:
        produce(address, count)
        letters = sum(map(is_bad, range(count)))
        consumer = [
            *("env", f"KAFKA_BOOTSTRAP_SERVERS={address}", *MANAGE, "consume_kafka"),
            *("--project", "bench", "--topic", TOPIC),
        ]
        began_at, kills = time.monotonic(), [count // 5, count // 2, count * 4 // 5]
        process = subprocess.Popen(consumer, cwd=ROOT)
        while stored(database) < count - letters:
            assert time.monotonic() - began_at < PATIENCE_SECONDS
            time.sleep(LOOK_SECONDS)
            if kills and stored(database) >= kills[0]:
                del kills[0]
                process.kill()
                process.wait()
                process = subprocess.Popen(consumer, cwd=ROOT)
        seconds = time.monotonic() - began_at
        process.terminate()
        process.wait(PATIENCE_SECONDS)
    reasons = database.execute("SELECT code, count(*) FROM feedback_deadletter GROUP BY 1")
    print(
        f"topic: {stored(database)} rows of {count - letters} in {seconds:.1f} s,"
        f" {3 - len(kills)} kills; dead letters {dict(reasons.fetchall())} of {letters}",
        flush=True,
    )


@contextmanager
def cluster() -> Iterator[str]:
    command = [sys.executable, str(ROOT / "tests" / "mock_kafka.py")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def produce(address: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": address})
    for k in range(count):
        headers: dict[str, str | bytes | None] = {
            "ce_id": f"{k}",
            "ce_source": "/bench",
            "ce_type": "emend.feedback",
            "ce_specversion": "1.0",
        }
        value = act(k)
        producer.produce(TOPIC, value[:40] if is_bad(k) else value, headers=headers)
        producer.poll(0)
    assert producer.flush(60) == 0


if __name__ == "__main__":
    main()
