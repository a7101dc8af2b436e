"""Processes beside this one: each does its work in order, and ends when this one does."""

import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import django
from django.utils.module_loading import import_string


class Lanes:
    """Call one function, named by its dotted path, in several processes.

    A thread feeds each: it sends no work before the answer to the last has come, so that neither
    side waits for a pipe that the other has filled.
    """

    def __init__(self, count: int, function: str) -> None:
        # Not forked: libraries that were loaded here may have threads.
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._feeders = [ThreadPoolExecutor(1) for _ in range(count)]
        for _ in range(count):
            near, far = context.Pipe()
            context.Process(target=_serve, args=(far, function), daemon=True).start()
            far.close()
            self._pipes.append(near)

    def submit(self, lane: int, *arguments: Any) -> "Future[Any]":
        """Return the answer to come; it raises EOFError or OSError if the process has died."""
        return self._feeders[lane].submit(self._ask, self._pipes[lane], arguments)

    def end(self) -> None:
        """Let the processes finish what they were given, and end."""
        for feeder in self._feeders:
            feeder.shutdown()
        for pipe in self._pipes:
            pipe.close()

    def _ask(self, pipe: Connection, arguments: tuple[Any, ...]) -> Any:
        pipe.send(arguments)
        return pipe.recv()


def _serve(pipe: Connection, function: str) -> None:
    """Answer until the other end is closed, by whatever end of the process that holds it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C asks all; what is in hand is finished
    django.setup()
    work: Callable[..., Any] = import_string(function)
    with suppress(EOFError, OSError):
        while True:
            pipe.send(work(*pipe.recv()))
