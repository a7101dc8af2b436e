"""Violence under load: whatever dies, what was acknowledged is there, and there once.

All of Emend runs as `up` runs it, on a data folder of its own. Senders do what the contract asks
of clients: an id for each feedback, and the same id again after a 503 or a lost connection.
"""

import http.client
import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import quantiles
from urllib.parse import urlencode
from uuid import uuid4

import psycopg
import pytest
import redis

from config import embedded, json
from tests.config.test_up import children, started
from tests.processes import wait_until

SENDERS = 6
PACE_SECONDS = 0.03  # a sender's shortest time between two requests
FREEZE_SECONDS = 8
FINAL = {200, 201, 422}
TASK = {"slug": "mood", "modality": "classification", "labels": ["neg", "pos"]}


@pytest.fixture(scope="module")
def emend(tmp_path_factory):
    """Run Emend until the tests here are done; this process speaks to it as a neighbour."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DATABASE_URL", "REDIS_URL"):
            patch.delenv(name, raising=False)
        folder = tmp_path_factory.mktemp("chaos")
        patch.setenv("EMEND_DATA_DIR", str(folder))
        with started(folder) as process:
            emend = Emend(process)
            assert emend.post("tasks/", TASK)[0] == 201
            yield emend


class Emend:
    """A running Emend: its door, its database, its processes."""

    def __init__(self, process):
        self.process = process
        self.key = embedded.secret("manage_key")

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.process.port, timeout=30)

    def post(self, path, body, connection=None, **headers):
        """Return status and headers of an answer, and its document."""
        connection = connection or self.connect()
        headers |= {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection.request("POST", f"/api/v1/{path}", json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())

    def ask(self, question, *values):
        with psycopg.connect(embedded.database_url(), autocommit=True) as database:
            return database.execute(question, values).fetchall()

    def one(self, question, *values):
        return self.ask(question, *values)[0][0]

    def pids(self, words):
        """Return the services whose command lines have these words."""
        return {pid for pid, line in children(self.process.pid).items() if words in line}

    def kill(self, pids):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def terminate_sessions(self):
        return len(
            self.ask(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        )


class Load:
    """Feedback with ids, sent by threads until each id has its answer."""

    def __init__(self, emend):
        self.emend = emend
        self.is_over = threading.Event()
        self.answered = {}  # id -> the status that ended it
        self.statuses = Counter()
        self.seen = []  # (time at which it was sent, seconds until it was answered, status)

    def send_all(self):
        """Send one feedback after the other; each until it is answered for good."""
        connection = self.emend.connect()
        while not self.is_over.is_set():
            body = act()
            began_at = time.monotonic()
            while self.send(connection, body) not in FINAL:
                time.sleep(PACE_SECONDS)  # sooner than asked: the load must not ebb
            time.sleep(max(0.0, PACE_SECONDS - (time.monotonic() - began_at)))

    def send(self, connection, body):
        began_at = time.monotonic()
        try:
            status, headers, document = self.emend.post("feedback/", body, connection)
        except (OSError, http.client.HTTPException):
            connection.close()
            status = 0
        else:
            assert status in {*FINAL, 503}, document
            assert status != 503 or int(headers["Retry-After"]) > 0
        self.statuses[status] += 1
        self.seen.append((began_at, time.monotonic() - began_at, status))
        if status in FINAL:
            self.answered[body["id"]] = status
        return status

    def goes_on(self, more=50):
        """Wait until so many more are answered."""
        enough = len(self.answered) + more
        wait_until(lambda: len(self.answered) >= enough, tell=lambda: self.statuses)

    def p99_seconds(self, since, until):
        return quantiles([took for at, took, _ in self.seen if since <= at < until], n=100)[98]


def act():
    """Make a correction of an output sent with it; one in eight corrects nothing."""
    name = uuid4()
    corrected = "pos" if name.int % 8 == 0 else "neg"
    return {
        "id": str(name),
        "task": "mood",
        "input": f"The soup of {name} was cold.",
        "output": "pos",
        "signal": "correction",
        "corrected": corrected,
        "user_id": f"user-{name.int % 50}",
    }


@contextmanager
def load(emend):
    """Keep the load up inside the block, then wait for the last answers."""
    load = Load(emend)
    with ThreadPoolExecutor(SENDERS) as pool:
        futures = [pool.submit(load.send_all) for _ in range(SENDERS)]
        try:
            load.goes_on()
            yield load
            load.goes_on()
        finally:
            load.is_over.set()
        for future in futures:
            future.result()


def no_row_is_lost_or_doubled(emend, load):
    rows = Counter(str(id) for (id,) in emend.ask("SELECT id FROM feedback"))
    missing = [id for id in load.answered if rows[id] != 1]
    assert missing == []
    doubled = "SELECT count(*) FROM feedback_inference WHERE id NOT IN (%s)"
    assert max(rows.values()) == 1, doubled
