"""Child processes in the foreground: started in order, restarted with backoff, ended in reverse."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

SHORTEST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 30.0
STEADY_AFTER_SECONDS = 60.0
PATIENCE_SECONDS = 180.0  # a busy machine first reads hundreds of MB of libraries
LOOK_SECONDS = 0.1
LAST_WORDS_BYTES = 2000


class CannotRunError(RuntimeError):
    """A service cannot run here; the message is one sentence for the person at the terminal."""


@dataclass(frozen=True)
class Service:
    """One program in the foreground: how to start it, to ask whether it answers, to end it.

    `environment` is the whole environment of the child; `stop_signal` asks it to end by itself.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    is_ready: Callable[[], bool] = lambda: True
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 15.0


def dying_with_parent(stop_signal: signal.Signals) -> list[str]:
    """Return the prefix of a command that ends with this process even when that is killed.

    Empty where util-linux's setpriv is missing (macOS): there an orphan outlives a `kill -9`.
    """
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return [setpriv, "--pdeathsig", stop_signal.name.removeprefix("SIG")] if setpriv else []


class Supervisor:
    """Keep services running, in a thread, until `stop`.

    What they write goes to the files named by `log_pattern` (`.../demo-{name}.log`), or, without
    one, to standard output behind the service's name.
    """

    def __init__(self, *, log_pattern: str | None = None) -> None:
        self._log_pattern = log_pattern
        self._children: list[_Child] = []
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self, service: Service) -> None:
        """Start a service, and again whenever it exits."""
        child = _Child(service, self._log_pattern)
        child.launch()
        self._children.append(child)
        if not self._watcher.is_alive():
            self._watcher.start()

    @property
    def pids(self) -> dict[str, int]:
        """Return the process id of each service, in the order they were started."""
        return {child.service.name: child.process.pid for child in self._children}

    def wait_ready(self, *, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until every service answers; raise `CannotRunError` with last words when not."""
        deadline = time.monotonic() + timeout_seconds
        for child in self._children:
            while not child.service.is_ready():
                if time.monotonic() > deadline:
                    message = f"{child.service.name} did not answer in {timeout_seconds:g} s."
                    raise CannotRunError(message + child.last_words())
                time.sleep(LOOK_SECONDS)

    def run_forever(self) -> None:
        """Block until `stop` is called from elsewhere or a signal handler raises."""
        self._stopping.wait()

    def stop(self) -> None:
        """Stop all services, the last started first; kills those that outstay their grace."""
        self._stopping.set()
        if self._watcher.is_alive():
            self._watcher.join()
        while self._children:
            self._children[-1].end()
            self._children.pop()

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            for child in tuple(self._children):
                child.tend()


class _Child:
    process: "subprocess.Popen[bytes]"

    def __init__(self, service: Service, log_pattern: str | None) -> None:
        self.service = service
        self.log_path = Path(log_pattern.format(name=service.name)) if log_pattern else None
        self.delay_seconds = 0.0
        self.restart_at: float | None = None

    def launch(self) -> None:
        log = _open_private(self.log_path) if self.log_path else None
        # A session of its own: Ctrl-C in the terminal reaches the supervisor alone, and what a
        # child leaves behind can be found by its group.
        self.process = subprocess.Popen(
            self.service.command,
            env=self.service.environment,
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=log or subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.started_at = time.monotonic()
        self.restart_at = None
        if log:
            log.close()
        elif self.process.stdout:
            printer = (self.service.name, self.process.stdout)
            threading.Thread(target=_print_lines, args=printer, daemon=True).start()

    def tend(self) -> None:
        if self.process.poll() is None:
            return
        if self.restart_at is not None:
            if time.monotonic() >= self.restart_at:
                self.launch()
            return
        self._kill_group()
        lived_seconds = time.monotonic() - self.started_at
        is_steady = lived_seconds >= STEADY_AFTER_SECONDS
        doubled = min(2 * self.delay_seconds, LONGEST_DELAY_SECONDS)
        self.delay_seconds = max(0.0 if is_steady else doubled, SHORTEST_DELAY_SECONDS)
        self.restart_at = time.monotonic() + self.delay_seconds
        self._say(f"ended with {self.process.returncode}; starts again in {self.delay_seconds:g} s")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(self.service.stop_signal)
        try:
            self.process.wait(self.service.grace_seconds)
        except subprocess.TimeoutExpired:
            self._say(f"did not stop within {self.service.grace_seconds:g} s; killed")
        self._kill_group()
        self.process.wait()

    def last_words(self) -> str:
        if self.log_path is None or not self.log_path.exists():
            return ""
        words = self.log_path.read_bytes()[-LAST_WORDS_BYTES:].decode(errors="replace").strip()
        return f" The end of {self.log_path}:\n{words}"

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
            os.killpg(self.process.pid, signal.SIGKILL)

    def _say(self, text: str) -> None:
        if self.log_path is None:
            _print_line(self.service.name, text)
            return
        with _open_private(self.log_path) as log:
            log.write(f"supervisor: {self.service.name} {text}\n".encode())


def _open_private(path: Path) -> IO[bytes]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _print_lines(name: str, lines: IO[bytes]) -> None:
    with lines:
        for line in lines:
            _print_line(name, line.decode(errors="replace").rstrip())


def _print_line(name: str, text: str) -> None:
    with suppress(BrokenPipeError, ValueError):  # the terminal is gone, the services are not
        sys.stdout.write(f"{name:<8} | {text}\n")
        sys.stdout.flush()
