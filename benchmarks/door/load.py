"""Send HTTP requests from a process of its own, with as little work for each as possible.

Closed loop (each connection sends when it was answered) or open loop (a fixed rate; latency counts
from the time at which a request was due, so that a slow server cannot slow its own measurement).
"""

import asyncio
import gc
import json
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from benchmarks.door.bodies import KINDS

PATIENCE_SECONDS = 120.0  # with the last answers


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to send: bodies of `kind` (see bodies.py), about `pool` inferences, from `start` on.

    Ends after `seconds` or `requests`, or when told by `finish`. No `rate`: closed loop.
    """

    url: str
    key: str
    kind: str
    start: int
    pool: int
    connections: int
    seconds: float = 3600.0
    warm_up_seconds: float = 0.0
    rate: float | None = None
    requests: int = 10**9


@dataclass(frozen=True)
class Figures:
    """What came back after the warm-up; `statuses` counts answers, 0 a connection that was lost.

    `cpu_share` is what the sending itself took of one core.
    """

    statuses: dict[str, int]
    sent: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_share: float

    @property
    def rate(self) -> float:
        return sum(n for status, n in self.statuses.items() if status[0] == "2") / self.seconds

    def __str__(self) -> str:
        bad = {status: n for status, n in self.statuses.items() if status[0] != "2"}
        return (
            f"{self.rate:8.1f}/s  p50 {self.p50_ms:7.1f}  p99 {self.p99_ms:7.1f}"
            f"  max {self.max_ms:7.1f} ms  sender {self.cpu_share:3.0%} of a core"
            + (f"  NOT 2xx: {bad}" if bad else "")
        )


def run(plan: Plan) -> Figures:
    """Carry out the plan in a process of its own."""
    return finish(start(plan), is_early=False)


def start(plan: Plan) -> "subprocess.Popen[str]":
    """Begin to carry out the plan; hand what is returned to `finish`."""
    command = [sys.executable, "-m", "benchmarks.door.load", json.dumps(asdict(plan))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]", *, is_early: bool = True) -> Figures:
    """Wait for the plan's end, or end it now where `is_early`."""
    if is_early:
        process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate()
    return Figures(**json.loads(printed))


class Load:
    """One plan being carried out."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        target = urlsplit(plan.url)
        self.host, self.port = target.hostname or "", target.port or 80
        self.head = (
            f"POST {target.path} HTTP/1.1\r\nHost: {target.netloc}\r\n"
            f"Authorization: Bearer {plan.key}\r\nContent-Type: application/json\r\n"
        ).encode()
        self.bodies: Iterator[bytes] = KINDS[plan.kind](plan.start, plan.pool)
        self.loop = asyncio.get_running_loop()
        self.statuses: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.sent = self.flying = 0
        self.idle: deque[Connection] = deque()
        self.due: deque[float] = deque()  # open loop: what no connection was free for
        self.done = self.loop.create_future()
        self.is_ending = False

    async def carry_out(self) -> Figures:
        for _ in range(self.plan.connections):
            await self.loop.create_connection(lambda: Connection(self), self.host, self.port)
        self.loop.add_signal_handler(signal.SIGTERM, self.end)
        self.began_at = began_at = self.loop.time()
        self.counts_from = self.ended_at = began_at + self.plan.warm_up_seconds
        self.loop.call_at(self.counts_from + self.plan.seconds, self.end)
        if self.plan.rate is None:
            for connection in list(self.idle):
                self.offer(began_at, connection)
        else:
            await self.keep_pace(began_at, self.plan.rate)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.done, self.plan.seconds + PATIENCE_SECONDS)
        return self.figures()

    async def keep_pace(self, began_at: float, rate: float) -> None:
        number = 0
        while not self.is_ending:
            number += 1
            due_at = began_at + number / rate
            await asyncio.sleep(due_at - self.loop.time())
            if self.idle:
                self.offer(due_at, self.idle.popleft())
            else:
                self.due.append(due_at)

    def offer(self, due_at: float, connection: "Connection") -> None:
        """Send the next request, or nothing more where the end has come."""
        if self.sent >= self.plan.requests:
            self.is_ending = True
        if not self.is_ending:
            self.sent += 1
            self.flying += 1
            connection.send(due_at, self.head, next(self.bodies))

    def answered(self, status: str, connection: "Connection") -> None:
        now = self.loop.time()
        self.flying -= 1
        if connection.due_at >= self.counts_from:
            self.statuses[status] += 1
            self.latencies.append(now - connection.due_at)
            self.ended_at = now
        if self.plan.rate is None:
            self.offer(now, connection)
        elif self.due:
            self.offer(self.due.popleft(), connection)
        else:
            self.idle.append(connection)
        if self.is_ending and not self.flying:
            self.end()

    def end(self) -> None:
        self.is_ending = True
        if not self.flying and not self.done.done():
            self.done.set_result(None)

    def figures(self) -> Figures:
        ordered = sorted(self.latencies) or [0.0]
        p50, p99, most = (
            1000 * ordered[min(int(len(ordered) * share), len(ordered) - 1)]
            for share in (0.5, 0.99, 1.0)
        )
        if self.flying or self.due:
            self.statuses["no answer"] += self.flying + len(self.due)
        seconds = self.ended_at - self.counts_from
        cpu_share = time.process_time() / (self.loop.time() - self.began_at)
        return Figures(dict(self.statuses), self.sent, seconds, p50, p99, most, cpu_share)


class Connection(asyncio.Protocol):
    """One kept-alive connection with one request at a time on it."""

    transport: asyncio.Transport

    def __init__(self, load: Load) -> None:
        self.load = load
        self.due_at = 0.0
        self.head = b""
        self.missing_bytes = 0
        self.is_busy = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.load.idle.append(self)

    def send(self, due_at: float, head: bytes, body: bytes) -> None:
        self.due_at = due_at
        self.is_busy = True
        self.transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))

    def data_received(self, data: bytes) -> None:
        if self.missing_bytes:
            self.missing_bytes -= len(data)
        else:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            # Any answer without a length breaks the loop here: all that is measured state one.
            length = self.head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]
            self.missing_bytes = int(length) - (len(self.head) - end - 4)
        if self.missing_bytes == 0:
            status, self.head = self.head[9:12].decode(), b""
            self.is_busy = False
            self.load.answered(status, self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.is_busy:
            self.load.answered("0", self)
            self.load.is_ending = True


async def main() -> None:
    plan = Plan(**json.loads(sys.argv[1]))
    print(json.dumps(asdict(await Load(plan).carry_out())))


if __name__ == "__main__":
    gc.disable()  # nothing here is cyclic, and a pause would be counted as the server's
    asyncio.run(main())
