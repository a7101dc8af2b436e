"""The capture of feedback over HTTP beside its floor: one by one, in batches, in a full table.

python -m benchmarks.capture [--only single|batch|scale] [--seconds 15] [--connections 16]

Floor of single feedback: a bare Django view with one ORM insert, under the same web server. Floor
of batches: COPY of as many rows into a table of the same PostgreSQL.
"""

import argparse
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from statistics import median

import psycopg

from benchmarks.door.bodies import BATCH, KINDS, POOL
from benchmarks.door.world import World, running_floor, running_product
from config import embedded

WARM_UP_SECONDS = 3.0
ROUNDS = 2
BATCHES = ("batches_by_id", "batches_inline")
BATCH_SECONDS, BATCH_REQUESTS = 8.0, 30
COPY_ROUNDS = 2
TEXT_COLUMNS = ["task", "signal", "user_id", "session_id", "comment"]
JSON_COLUMNS = ["input", "output", "corrected", "metadata"]
SCALES = (100_000, 1_000_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=MEASUREMENTS)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--connections", type=int, default=16)
    arguments = parser.parse_args()
    if arguments.only is None:  # each on an installation of its own
        for name in MEASUREMENTS:
            print(f"--- {name}", flush=True)
            command = [sys.executable, "-m", "benchmarks.capture", *sys.argv[1:], "--only", name]
            subprocess.run(command, check=True)
        return
    with running_product() as world:
        MEASUREMENTS[arguments.only](world, arguments)
        world.say_statuses()


def single(world: World, arguments: argparse.Namespace) -> None:
    """Send one feedback a request to floor and product, in turn."""
    options = {
        "connections": arguments.connections,
        "seconds": arguments.seconds,
        "warm_up_seconds": WARM_UP_SECONDS,
    }
    floors, rates, slowest = [], [], 0.0
    with running_floor() as floor_url:
        for _ in range(ROUNDS):
            floor = world.measure("mix", url=f"{floor_url}/api/v1/feedback/", **options)
            print(f"  floor {floor}", flush=True)
            emend = world.measure("mix", **options)
            print(f"  Emend {emend}", flush=True)
            floors.append(floor.rate)
            rates.append(emend.rate)
            slowest = max(slowest, emend.p99_ms)
            world.wait_processed()
    ratio = median(rates) / median(floors)
    print(f"single: {ratio:.1%} of the floor, p99 at most {slowest:.1f} ms", flush=True)


def batch(world: World, _arguments: argparse.Namespace) -> None:
    """Send 1,000 feedback a request: of known inferences, and with their inferences."""
    for kind in BATCHES:
        for connections in (2, 4):
            world.drop_pending()
            floor = copy_rate(kind, connections)
            figures = world.measure(
                kind, connections=connections, seconds=BATCH_SECONDS, requests=BATCH_REQUESTS
            )
            print(
                f"{kind}, {connections} connections: {figures.rate * BATCH:.0f} feedback/s,"
                f" {figures.rate * BATCH / floor:.1%} of COPY's {floor:.0f}; a batch: {figures}",
                flush=True,
            )


def copy_rate(kind: str, connections: int) -> float:
    """Return how many rows of the same content a second COPY stores, a commit each thousand."""
    blobs = [copied(body) for body in islice(KINDS[kind](0, POOL), 8)]

    def fill(_n: int) -> float:
        with psycopg.connect(embedded.database_url("floor"), autocommit=True) as database:
            began_at = time.perf_counter()
            for blob in blobs * COPY_ROUNDS:
                with database.cursor().copy(
                    f"COPY row ({', '.join(TEXT_COLUMNS + JSON_COLUMNS)}) FROM STDIN"
                ) as copy:
                    copy.write(blob)
            return time.perf_counter() - began_at

    with ThreadPoolExecutor(connections) as threads:
        seconds = max(threads.map(fill, range(connections)))
    return connections * len(blobs) * COPY_ROUNDS * BATCH / seconds


def copied(body: bytes) -> bytes:
    """Return the items of a batch in COPY's text format."""
    lines = []
    for item in json.loads(body)["items"]:
        cells = [str(item.get(name) or "") for name in TEXT_COLUMNS]
        cells += [json.dumps(item.get(name)) for name in JSON_COLUMNS]
        lines.append("\t".join(cell.replace("\\", "\\\\") for cell in cells))
    return ("\n".join(lines) + "\n").encode()


def scale(world: World, _arguments: argparse.Namespace) -> None:
    """Measure what an item of a batch costs in a small and in a large table."""
    costs: dict[int, dict[str, float]] = {}
    filled = 0
    for rows in SCALES:
        began_at = time.perf_counter()
        world.drop_pending()
        if rows > world.pool:
            world.fill_inferences(rows)
        world.fill_feedback(filled, rows)
        filled = rows
        world.settle()
        held = world.ask("SELECT count(*) FROM feedback")
        seconds = time.perf_counter() - began_at
        print(f"  {held:,} rows of feedback after {seconds:.0f} s of filling", flush=True)
        costs[rows] = {}
        for kind in BATCHES:
            figures = world.measure(
                kind, connections=1, seconds=BATCH_SECONDS, requests=BATCH_REQUESTS
            )
            costs[rows][kind] = figures.p50_ms / BATCH
            print(f"  {kind}: {figures.p50_ms / BATCH:.4f} ms an item; {figures}", flush=True)
            world.drop_pending()
    small, large = costs.values()
    for kind in BATCHES:
        print(f"scale, {kind}: {large[kind] / small[kind]:.2f} times the cost", flush=True)


MEASUREMENTS = {"single": single, "batch": batch, "scale": scale}

if __name__ == "__main__":
    main()
