"""`up` as a person runs it, and the supervisor below it."""

import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from config import supervisor as supervision
from config.management.commands import up
from config.supervisor import CannotRunError, Service, Supervisor

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """Run `up` on a data folder of its own until the tests here are done."""
    with started(tmp_path_factory.mktemp("up")) as process:
        yield process


@contextmanager
def started(folder, *options):
    port = up._free_port("127.0.0.1", 0)
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            manage("up", "--port", port, *options),
            cwd=ROOT,
            env=environment(folder),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    process.folder, process.port = folder, port
    try:
        wait_until(lambda: "answers on" in output_of(process) or process.poll() is not None)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def manage(*arguments):
    return [sys.executable, "manage.py", *map(str, arguments)]


def environment(folder):
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    return kept | {"EMEND_DATA_DIR": str(folder)}


def output_of(process):
    return (process.folder / "output").read_text()


def children(pid):
    """Return the direct children of a process: command line by process id."""
    listed = subprocess.run(
        ["ps", "-axwwo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    return {int(row[0]): row[2] for row in rows if int(row[1]) == pid and len(row) == 3}


def is_group(pid):
    """Tell whether a process, or one that it started, is left."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(is_so, *, timeout_seconds=60):
    deadline = time.monotonic() + timeout_seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_works(command):
    with urllib.request.urlopen(f"http://127.0.0.1:{command.port}/healthz", timeout=10) as answer:
        assert answer.status == 200
    running = " ".join(children(command.pid).values())
    for name in (
        "postgres",
        "redis",
        "-A config worker",
        "-A config beat",
        "granian",
    ):
        assert name in running


def test_a_refusal_keeps_the_connection_though_the_body_comes_late(command):
    connection = http.client.HTTPConnection("127.0.0.1", command.port, timeout=30)
    connection.connect()
    kept, body = connection.sock, b"{}" * 1_000
    for _ in range(3):
        connection.putrequest("POST", "/api/v1/feedback/")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        time.sleep(0.2)  # on a busy machine the two arrive apart
        connection.send(body)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 401
        assert connection.sock is kept
    connection.close()


def test_bodies_that_never_come_stop_nobody(command):
    head = b"POST /api/v1/feedback/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    address = "127.0.0.1", command.port
    with ExitStack() as stalled:
        for _ in range(24):
            stalled.enter_context(socket.create_connection(address)).sendall(head)
        for _ in range(24):
            with urllib.request.urlopen(f"http://127.0.0.1:{command.port}/healthz", timeout=10):
                pass


def test_the_first_start_hands_out_password_and_keys(command):
    for name in ("admin_password", "capture_key", "manage_key"):
        path = command.folder / "secrets" / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert output_of(command).count(path.read_text()) == 1


def test_a_second_up_says_so(command):
    second = subprocess.run(
        manage("up", "--port", up._free_port("127.0.0.1", 0)),
        cwd=ROOT,
        env=environment(command.folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert second.returncode == 1
    assert "already runs" in second.stderr


def test_a_used_port_is_said_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = subprocess.run(
            manage("up", "--port", taken.getsockname()[1]),
            cwd=ROOT,
            env=environment(tmp_path / "data"),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert refused.returncode == 1
    assert "choose another with --port" in refused.stderr
    assert not (tmp_path / "data" / "postgres").exists()


def test_a_killed_worker_comes_back(command):
    def workers():
        return {pid for pid, line in children(command.pid).items() if "-Q process.text" in line}

    killed = workers()
    assert len(killed) == 1
    os.kill(*killed, signal.SIGKILL)
    wait_until(lambda: workers() and workers() != killed)
    told = re.compile(r"^text +\| ended with -9; starts again in \d+ s", re.MULTILINE)
    wait_until(lambda: told.search(output_of(command)))


def test_terminate_leaves_nothing(tmp_path):
    with started(tmp_path, "--drain", "2") as command:
        left = children(command.pid)
        assert len(left) == 4 + len(up.WORKERS)
        command.terminate()
        wait_until(lambda: "stopping" in missing(command.port))
        assert command.wait(60) == 0
    wait_until(lambda: not any(is_group(pid) for pid in left), timeout_seconds=5)
    assert not [path for path in (tmp_path / "run").rglob("*") if path.is_socket()]
    assert up._free_port("127.0.0.1", command.port) == command.port


def missing(port):
    """Return what /readyz says is missing."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return []
    except urllib.error.HTTPError as error:
        return json.load(error)["missing"]


def shell(name, script, **options):
    return Service(name, ["sh", "-c", script], {"PATH": os.defpath}, **options)


def test_the_delay_doubles_up_to_its_limit(monkeypatch, tmp_path):
    monkeypatch.setattr(supervision, "SHORTEST_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(supervision, "LONGEST_DELAY_SECONDS", 0.05)
    supervisor = Supervisor(log_pattern=str(tmp_path / "{name}.log"))
    supervisor.start(shell("short", "exit 3"))
    log = tmp_path / "short.log"
    wait_until(lambda: log.read_text().count("ended with 3") >= 5)
    supervisor.stop()
    delays = re.findall(r"in (\S+) s", log.read_text())
    assert delays[:5] == ["0.01", "0.02", "0.04", "0.05", "0.05"]


def test_a_steady_life_forgives(monkeypatch, tmp_path):
    monkeypatch.setattr(supervision, "SHORTEST_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(supervision, "STEADY_AFTER_SECONDS", 0.0)
    supervisor = Supervisor(log_pattern=str(tmp_path / "{name}.log"))
    supervisor.start(shell("steady", "exit 0"))
    log = tmp_path / "steady.log"
    wait_until(lambda: log.read_text().count("ended with 0") >= 3)
    supervisor.stop()
    assert set(re.findall(r"in (\S+) s", log.read_text())) == {"0.01"}


def test_the_last_started_stops_first(tmp_path):
    supervisor = Supervisor(log_pattern=str(tmp_path / "{name}.log"))
    script = "trap 'echo {0} >> {1}; exit' TERM; touch {1}.{0}; while :; do sleep 0.05; done"
    for name in ("first", "second", "third"):
        started = tmp_path / f"order.{name}"
        command = script.format(name, tmp_path / "order")
        supervisor.start(shell(name, command, is_ready=started.exists))
    supervisor.wait_ready()
    supervisor.stop()
    assert (tmp_path / "order").read_text().split() == ["third", "second", "first"]


def test_the_stubborn_is_killed_with_its_children(tmp_path):
    supervisor = Supervisor(log_pattern=str(tmp_path / "{name}.log"))
    started = tmp_path / "started"
    script = f"trap '' TERM; sleep 60 & touch {started}; wait; wait"
    supervisor.start(shell("stubborn", script, is_ready=started.exists, grace_seconds=0.2))
    supervisor.wait_ready()
    pid = supervisor.pids["stubborn"]
    supervisor.stop()
    assert "did not stop within 0.2 s; killed" in (tmp_path / "stubborn.log").read_text()
    wait_until(lambda: not is_group(pid), timeout_seconds=5)


def test_last_words_tell_why(tmp_path):
    supervisor = Supervisor(log_pattern=str(tmp_path / "{name}.log"))
    supervisor.start(shell("mute", "echo no disk here; exit 1", is_ready=lambda: False))
    with pytest.raises(CannotRunError, match=r"mute did not answer in 0.5 s[\s\S]*no disk here"):
        supervisor.wait_ready(timeout_seconds=0.5)
    supervisor.stop()
