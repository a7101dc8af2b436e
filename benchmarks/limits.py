"""What limits cost a request: the question to Redis, and counting in this process instead.

python -m benchmarks.limits [--rounds 3000]

For a single feedback (a key, a contributor, a session, an address), and for a batch of 200 people.
Beside it what Redis itself takes for a question, during which it answers nobody else.
"""

import argparse
import time
from statistics import quantiles

import redis

from benchmarks.door.world import LOGS
from config import embedded
from privacy import limits
from privacy.limits.shared import Meter
from privacy.models import ApiKey

WIDE = {"burst": 10**9, "rate": 10**9, "quota": 10**9}
KEY = ApiKey(
    pk=1, scope="capture", limits=dict.fromkeys(("key", "contributor", "session", "address"), WIDE)
)
PEOPLE = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3_000)
    rounds = parser.parse_args().rounds
    url = embedded.redis_url()
    with embedded.running(needs_redis=True, log_pattern=LOGS):
        measure("Redis", Meter(url or "", processes=1), rounds)
        path = str(embedded.run_dir() / "redis.sock")
        with redis.Redis(unix_socket_path=path) as client:
            for name, ask in {"feedback": singles, "batch": batches}.items():
                client.config_resetstat()
                ask(rounds // 30)
                spent = client.info("commandstats")["cmdstat_evalsha"]["usec_per_call"]
                print(f"Redis alone: a {name} {spent:.0f} us")
    measure("this process", Meter("", processes=1), rounds)


def measure(where: str, meter: Meter, rounds: int) -> None:
    limits._meter = lambda: meter  # type: ignore[assignment]
    print(f"{where}: a feedback {said(singles(rounds))}")
    print(f"{where}: a batch of {PEOPLE} people {said(batches(rounds // 30))}")


def singles(rounds: int) -> list[float]:
    return timed([[(f"user-{n}", f"session-{n}")] for n in range(rounds)])


def batches(rounds: int) -> list[float]:
    return timed([[(f"user-{n}", f"session-{n}") for n in range(PEOPLE)] for _ in range(rounds)])


def timed(requests: list[list[tuple[str | None, str | None]]]) -> list[float]:
    """Return the microseconds that each request took."""
    taken = []
    for acts in requests:
        began_at = time.perf_counter()
        limits.admit(key=KEY, address="203.0.113.7", acts=acts)
        taken.append((time.perf_counter() - began_at) * 1e6)
    return taken


def said(taken: list[float]) -> str:
    ranks = quantiles(taken, n=100)
    return f"p50 {ranks[49]:.0f} us, p99 {ranks[98]:.0f} us"


if __name__ == "__main__":
    main()
