"""From capture to processed: at a steady rate, and after a burst of batches.

python -m benchmarks.processing [--seconds 60] [--rate 500] [--burst 100000]
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from benchmarks.door import load
from benchmarks.door.bodies import BATCH
from benchmarks.door.world import World, running_product

BESIDE_RATE = 50.0  # single feedback a second during and after the burst
PATIENCE_SECONDS = 400.0
LOOK_SECONDS = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="0: no steady rate")
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--burst", type=int, default=100_000, help="0: no burst")
    arguments = parser.parse_args()
    with running_product() as world:
        world.measure("mix", connections=16, rate=100.0, seconds=2.0)
        world.wait_processed()
        if arguments.seconds:
            steady(world, arguments.rate, arguments.seconds)
        if arguments.burst:
            burst(world, arguments.burst)
        world.say_statuses()


def steady(world: World, rate: float, seconds: float) -> None:
    """Print the seconds from capture to processed while feedback arrives at a fixed rate."""
    began_at = world.ask("SELECT now()")
    figures = world.measure("mix", connections=32, rate=rate, seconds=seconds)
    print(f"capture at {rate:g}/s for {seconds:g} s: {figures}", flush=True)
    world.wait_processed(PATIENCE_SECONDS)
    say_waits(world, began_at)


def say_waits(world: World, since: datetime) -> None:
    row = world.database.execute(
        "SELECT count(*), percentile_cont(ARRAY[0.5, 0.99, 1]) WITHIN GROUP"
        " (ORDER BY extract(epoch FROM processed_at - created_at)) FROM feedback"
        " WHERE created_at > %s AND processed_at IS NOT NULL",
        [since],
    ).fetchone()
    assert row is not None
    p50, p99, most = row[1]
    print(
        f"capture to processed, {row[0]} rows: p50 {p50:.2f} s, p99 {p99:.2f} s, max {most:.2f} s",
        flush=True,
    )


def burst(world: World, rows: int) -> None:
    """Send batches as fast as they are answered; single feedback beside them, and after them."""
    world.wait_processed(PATIENCE_SECONDS)
    began_at = world.ask("SELECT clock_timestamp()")
    with beside(world, "during the burst"):
        figures = world.measure("batches_by_id", connections=4, requests=rows // BATCH)
    print(f"burst: {figures.rate * BATCH:.0f} feedback/s captured; a batch: {figures}", flush=True)
    ended_at = world.ask("SELECT clock_timestamp()")
    waiting = world.pending()
    with beside(world, "while the backlog drains"):
        left, seconds = await_drained(world, ended_at)
    print(
        f"backlog: {waiting} waiting at the burst's end, {left} left {seconds:.1f} s later:"
        f" {(waiting - left) / seconds:.0f} rows/s drained",
        flush=True,
    )
    say_waits(world, began_at)


@contextmanager
def beside(world: World, when: str) -> Iterator[None]:
    """Send single feedback all the while."""
    process = load.start(world.plan("mix", connections=16, rate=BESIDE_RATE))
    # Numbers that these will not reach.
    world.skip("mix", round(BESIDE_RATE * PATIENCE_SECONDS))
    yield
    print(f"single at {BESIDE_RATE:g}/s {when}: {load.finish(process)}", flush=True)


def await_drained(world: World, ended_at: datetime) -> tuple[int, float]:
    """Wait until nothing that came before is pending; return what is left and the seconds."""
    began_at = time.monotonic()
    while True:
        left = world.ask(
            "SELECT count(*) FROM feedback WHERE status = 'pending' AND created_at < %s", ended_at
        )
        waited_seconds = time.monotonic() - began_at
        if not left or waited_seconds > PATIENCE_SECONDS:
            return left, waited_seconds
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
