"""Real workers, schedulers and brokers for tests, on the test database."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import connection

from config import embedded

ROOT = Path(__file__).parents[1]
QUEUES = "process.text,process.layout,process.image,train"


class Processes:
    """Start what Celery needs beside the test, and end all of it."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="emend-"))  # short, for a socket's path
        self.redis_url = f"redis+socket://{quote(str(self.folder / 'redis.sock'))}"
        self.started = []

    def redis(self):
        command = [embedded._redis_binary(), "--port", "0", "--save", "", "--dir", self.folder]
        process = self._start("redis", [*command, "--unixsocket", self.folder / "redis.sock"])
        return self._when(process, "eady to accept connections at")

    def worker(self):
        process = self._celery("worker", "-Q", QUEUES, "-c", "2", "--without-mingle")
        return self._when(process, " ready.")

    def beat(self):
        process = self._celery("beat", "-S", "config.beat.BellScheduler")
        return self._when(process, "beat: Starting")

    def log(self, process):
        return (self.folder / f"{process.name}.log").read_text()

    def kill(self, process, number=signal.SIGKILL):
        """Signal a process and its children, as `kill -9` of all of them does."""
        os.killpg(process.pid, number)
        if number == signal.SIGKILL:
            process.wait(10)

    def end(self):
        for process in self.started:
            if process.poll() is None:
                self.kill(process)
        shutil.rmtree(self.folder)

    def _when(self, process, words):
        """Return the process once it has logged these words."""
        wait_until(lambda: words in self.log(process), tell=lambda: self.log(process))
        return process

    def _celery(self, kind, *arguments):
        command = [sys.executable, "-m", "celery", "-A", "config", kind, "-l", "INFO"]
        return self._start(kind, [*command, *arguments])

    def _start(self, kind, command):
        name = f"{kind}-{len(self.started)}"
        with (self.folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        process.name = name
        self.started.append(process)
        return process

    def _environment(self):
        database = connection.get_connection_params()
        user, password = database["user"], quote(str(database.get("password", "")), safe="")
        query = "&".join(
            f"{key}={quote(str(database[key]), safe='')}"
            for key in ("host", "port")
            if database.get(key)
        )
        return {
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DATABASE_URL": f"postgres://{user}:{password}@/{database['dbname']}?{query}",
            "REDIS_URL": self.redis_url,
            "SECRET_KEY": settings.SECRET_KEY,
        }


def wait_until(is_so, *, timeout_seconds=60, tell=str):
    """Poll until it is so; fail after the deadline with what `tell` says."""
    deadline = time.monotonic() + timeout_seconds
    while not is_so():
        assert time.monotonic() < deadline, f"It did not come to be in time. {tell()}"
        time.sleep(0.02)
