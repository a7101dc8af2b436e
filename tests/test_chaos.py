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
from contextlib import closing, contextmanager
from statistics import quantiles
from urllib.parse import urlencode
from uuid import uuid4

import psycopg
import pytest
import redis

from config import embedded, json
from tests.config.test_up import children, started
from tests.processes import wait_until

pytestmark = pytest.mark.alone
SENDERS = 6
PACE_SECONDS = 0.03  # a sender's shortest time between two requests
FREEZE_SECONDS = 8
PROCESSED_WITHIN_SECONDS = 30
# Who waited for a frozen Redis would wait for as long as it is; benchmarks.limits tells how quick
# the others are, which is a matter of the machine.
WAITS_SECONDS = 1
BECOMES = {("processed", 1): True, ("rejected", 0): False}  # status and examples
FINAL = {200, 201, 422}
TASK = {"slug": "mood", "modality": "classification", "labels": ["neg", "pos"]}


@pytest.fixture(scope="module")
def emend(tmp_path_factory):
    """Run Emend until the tests here are done."""
    with started(tmp_path_factory.mktemp("chaos")) as process:
        emend = Emend(process)
        assert emend.post("tasks/", TASK)[0] == 201
        yield emend


class Emend:
    """A running Emend: its door, its database, its processes."""

    def __init__(self, process):
        self.process = process
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("EMEND_DATA_DIR", str(process.folder))
            self.key, self.password = map(embedded.secret, ("manage_key", "admin_password"))
            self.database_url = embedded.database_url()
            self.redis_socket = str(embedded._redis_socket())

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.process.port, timeout=30)

    def post(self, path, body, **headers):
        with closing(self.connect()) as connection:
            return self.post_on(connection, path, body, **headers)

    def post_on(self, connection, path, body, **headers):
        """Return the status of an answer, its headers and its document."""
        headers |= {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection.request("POST", f"/api/v1/{path}", json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())

    def ask(self, question, *values):
        with psycopg.connect(self.database_url, autocommit=True) as database:
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
        """End every session but this one; return how many there were."""
        clients = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {clients}"  # noqa: S608
        return len(self.ask(ended))

    def has_database(self):
        try:
            return self.one("SELECT true")
        except psycopg.OperationalError:
            return False


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
        with closing(self.emend.connect()) as connection:
            while not self.is_over.is_set():
                body = act()
                while self.send(connection, body) not in FINAL:
                    time.sleep(PACE_SECONDS)  # sooner than asked: the load must not ebb
                time.sleep(PACE_SECONDS)

    def send(self, connection, body):
        began_at = time.monotonic()
        try:
            status, headers, document = self.emend.post_on(connection, "feedback/", body)
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
    """Make a correction of an output sent with it; one in eight changes nothing: rejected."""
    name = str(uuid4())
    return {
        "id": name,
        "task": "mood",
        "input": f"The soup of {name} was cold.",
        "output": "pos",
        "signal": "correction",
        "corrected": "neg" if is_correction(name) else "pos",
        "user_id": f"user-{name[:2]}",
    }


def is_correction(name):
    return name[0] > "1"


@contextmanager
def load(emend):
    """Keep the load up inside the block; then each id must be there once, and done in time."""
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
    pending = "SELECT count(*) FROM feedback WHERE status = 'pending'"
    wait_until(lambda: emend.one(pending) == 0)
    is_each_stored_once(emend, load)


def is_each_stored_once(emend, load):
    """Compare what was answered with the tables: feedback, its inference, its examples."""
    found = emend.ask(
        "SELECT f.id::text, f.status, count(e.id),"
        " coalesce(extract(epoch FROM f.processed_at - f.created_at)::float8, 0)"
        " FROM feedback f JOIN feedback_inference i ON i.number = f.inference_id"
        " LEFT JOIN feedback_example e ON e.feedback_id = f.number"
        " WHERE f.id = ANY(%s::uuid[]) GROUP BY f.number",
        list(load.answered),
    )
    stored = {name: (status, examples) for name, status, examples, _ in found}
    assert len(found) == len(load.answered)
    assert {name: is_correction(name) for name in load.answered} == {
        name: BECOMES.get(row) for name, row in stored.items()
    }
    assert emend.one("SELECT count(*) FROM feedback") == emend.one(
        "SELECT count(*) FROM feedback_inference"
    )
    assert max(seconds for *_, seconds in found) < PROCESSED_WITHIN_SECONDS


def test_it_works(emend):
    with load(emend) as calm:
        pass
    assert set(calm.statuses) == {201, 422}


def test_redis_frozen(emend):
    (redis_pid,) = emend.pids("redis-server")
    with load(emend) as frozen:
        os.kill(redis_pid, signal.SIGSTOP)
        try:
            since = time.monotonic()
            frozen.is_over.wait(FREEZE_SECONDS)
            until = time.monotonic()
        finally:
            os.kill(redis_pid, signal.SIGCONT)
    assert set(frozen.statuses) == {201, 422}
    assert frozen.p99_seconds(since, until) < WAITS_SECONDS


def test_redis_flushed(emend):
    broker = redis.Redis(unix_socket_path=emend.redis_socket)
    with load(emend) as flushed, broker as client:
        client.flushall()
    assert set(flushed.statuses) == {201, 422}


def test_redis_killed(emend):
    killed = emend.pids("redis-server")
    with load(emend) as unharmed:
        emend.kill(killed)
        wait_until(lambda: emend.pids("redis-server") - killed)
    assert set(unharmed.statuses) == {201, 422}


def test_workers_killed_with_their_children(emend):
    killed = emend.pids("-A config worker")
    with load(emend) as unharmed:
        for pid in killed:
            emend.kill([*children(pid), pid])
        wait_until(lambda: len(emend.pids("-A config worker") - killed) == len(killed))
    assert set(unharmed.statuses) == {201, 422}


def test_every_session_terminated_ten_times(emend):
    with load(emend) as interrupted:
        for _ in range(10):
            assert emend.terminate_sessions() > 0
            interrupted.goes_on(20)
    assert 0 not in interrupted.statuses


def test_postgres_killed(emend):
    (killed,) = emend.pids("bin/postgres")
    with load(emend) as interrupted:
        emend.kill([killed])
        wait_until(emend.has_database)
    assert interrupted.statuses[503] > 0
    assert 0 not in interrupted.statuses


def test_the_web_server_killed(emend):
    (killed,) = emend.pids("granian")
    with load(emend) as interrupted:
        emend.kill([*children(killed), killed])
        wait_until(lambda: emend.pids("granian") - {killed})
    assert interrupted.statuses[0] > 0


def test_pages_answer_503_too(emend):
    cookies = staff(emend)
    (killed,) = emend.pids("bin/postgres")
    assert page(emend, cookies) == 200
    emend.kill([killed])
    wait_until(lambda: page(emend, cookies) == 503)
    wait_until(lambda: page(emend, cookies) == 200)
    for _ in range(10):
        emend.terminate_sessions()
        assert page(emend, cookies) == 200


def test_one_key_sent_fifty_times_at_once_is_one_row(emend):
    body = act() | {"corrected": "neg"}
    del body["id"]
    with ThreadPoolExecutor(50) as pool:
        answers = list(
            pool.map(lambda _: emend.post("feedback/", body, **{"Idempotency-Key": "k"}), range(50))
        )
    assert {status for status, *_ in answers} <= {201, 409}
    assert len({document["id"] for status, _, document in answers if status == 201}) == 1
    same = "SELECT count(*) FROM feedback WHERE inference_id IN"
    same += " (SELECT number FROM feedback_inference WHERE input = to_jsonb(%s::text))"
    assert emend.one(same, body["input"]) == 1


def staff(emend):
    """Sign the administrator in; return the cookies."""
    _, headers = browse(emend, "GET", "/admin/login/")
    token = headers["Set-Cookie"].split(";")[0]
    fields = {"csrfmiddlewaretoken": token.split("=")[1], "next": "/admin/"}
    fields |= {"username": "admin", "password": emend.password}
    headers = {"Cookie": token, "Content-Type": "application/x-www-form-urlencoded"}
    status, headers = browse(emend, "POST", "/admin/login/", urlencode(fields), headers)
    assert status == 302
    return "; ".join(line.split(";")[0] for line in headers.get_all("Set-Cookie"))


def page(emend, cookies):
    """Ask for the first page of the admin; return the status."""
    status, headers = browse(emend, "GET", "/admin/", None, {"Cookie": cookies})
    assert status == 200 or (status == 503 and int(headers["Retry-After"]) > 0)
    return status


def browse(emend, *request):
    with closing(emend.connect()) as connection:
        connection.request(*request)
        answer = connection.getresponse()
        answer.read()
    return answer.status, answer.headers


def test_a_table_locked_for_longer_than_a_request_may_take(emend):
    with load(emend) as held, psycopg.connect(emend.database_url) as database:
        database.execute("LOCK TABLE feedback IN ACCESS EXCLUSIVE MODE")
        wait_until(lambda: held.statuses[503] > SENDERS)
        wait_until(lambda: browse(emend, "GET", "/readyz")[0] == 503)
    assert 0 not in held.statuses
