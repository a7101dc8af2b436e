"""One key far over its limit, another beside it; then Redis frozen and killed under that load."""

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from statistics import quantiles

import pytest

from config import json
from tests.config.test_up import ROOT, environment, manage, started
from tests.processes import wait_until
from tests.test_chaos import TASK, WAITS_SECONDS, Emend, act

pytestmark = pytest.mark.alone
SENDERS = 32
LIMIT = 50  # of the key that is loud, in 10 seconds
TIMES = 20  # what it sends is so many times that
WINDOW_SECONDS = 10
SECONDS = 9.5  # of the load: all of it within one window
ANY = dict.fromkeys(("burst", "rate", "quota"))
UNLIMITED = {"key": ANY, "contributor": ANY, "session": ANY, "address": ANY}


@pytest.fixture(scope="module")
def emend(tmp_path_factory):
    with started(tmp_path_factory.mktemp("limits")) as process:
        emend = Emend(process)
        assert emend.post("tasks/", TASK)[0] == 201
        yield emend


@pytest.fixture(params=["untouched", "frozen", "killed"])
def violence(emend, request):
    """Return what happens to Redis a second after the load began."""
    (pid,) = emend.pids("redis-server")
    if request.param == "untouched":
        yield lambda: None
    elif request.param == "frozen":
        yield lambda: os.kill(pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGCONT)
    else:
        yield lambda: emend.kill([pid])
        wait_until(lambda: emend.pids("redis-server") - {pid})


class Sender:
    """Feedback by one key at a steady pace, until it is told to stop."""

    def __init__(self, emend, name, limits):
        words = ("create_api_key", name, "--project", "default", "--scope", "capture")
        made = subprocess.run(
            manage(*words),
            cwd=ROOT,
            env=environment(emend.process.folder),
            capture_output=True,
            text=True,
            check=True,
        )
        self.emend, self.key = emend, made.stdout.strip()
        change = "UPDATE privacy_apikey SET limits = %s::jsonb WHERE prefix = %s RETURNING id"
        assert emend.ask(change, json.dumps(limits).decode(), self.key[:15])
        self.is_over = threading.Event()
        self.answers = []  # (when it was sent, seconds until it was answered, status)

    def send_all(self, pace_seconds):
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        with closing(self.emend.connect()) as connection:
            while not self.is_over.is_set():
                began_at = time.monotonic()
                body = json.dumps(act() | {"corrected": "neg"})
                connection.request("POST", "/api/v1/feedback/", body, headers)
                answer = connection.getresponse()
                document = answer.read()
                self.answers.append((began_at, time.monotonic() - began_at, answer.status))
                if answer.status == 429:
                    assert int(answer.headers["Retry-After"]) >= 1
                    assert b"one key in 10 seconds (burst)" in document
                self.is_over.wait(max(0.0, pace_seconds - (time.monotonic() - began_at)))

    @property
    def statuses(self):
        return Counter(status for *_, status in self.answers)

    def p99_seconds(self, since):
        """Return it of what was sent since then."""
        return quantiles([seconds for at, seconds, _ in self.answers if at >= since], n=100)[98]


@contextmanager
def sending(sender, threads, a_second):
    """Keep so many threads sending inside the block."""
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(sender.send_all, threads / a_second) for _ in range(threads)]
        try:
            yield
        finally:
            sender.is_over.set()
        for future in futures:
            future.result()


def test_it_works(emend, violence, request):
    loud = Sender(emend, "loud", UNLIMITED | {"key": ANY | {"burst": LIMIT}})
    calm = Sender(emend, "calm", UNLIMITED)
    with sending(calm, 2, 20), sending(loud, SENDERS, TIMES * LIMIT / WINDOW_SECONDS):
        began_at = time.monotonic()
        wait_until(lambda: loud.statuses[201] >= LIMIT / 2)
        since = time.monotonic()
        violence()
        loud.is_over.wait(SECONDS - (time.monotonic() - began_at))
    accepted = loud.statuses[201]
    sent = sum(loud.statuses.values())
    loud_seconds, calm_seconds = loud.p99_seconds(since), calm.p99_seconds(since)
    print(sent, loud.statuses, loud_seconds, calm.statuses, calm_seconds)
    assert sent > 0.8 * TIMES * LIMIT * SECONDS / WINDOW_SECONDS
    assert set(loud.statuses) == {201, 429}
    assert set(calm.statuses) == {201}
    # Each time that counting begins anew, elsewhere, one more limit may pass.
    anew = {"untouched": 0, "frozen": 1, "killed": 2}[request.node.callspec.params["violence"]]
    assert accepted <= 1.1 * LIMIT * (1 + anew)
    assert max(calm_seconds, loud_seconds) < WAITS_SECONDS
