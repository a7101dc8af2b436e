"""The bell: finds work that is ready in PostgreSQL and wakes a worker, or does it itself.

Redis may be dead or frozen: messages are sent from a thread that may block, and where no
worker answers a bell within `PATIENCE_SECONDS` the scheduler does the batch in a thread of its
own. Nothing is lost, because what is to be done stands in rows, never in messages.
"""

import logging
import threading
import time
from queue import SimpleQueue
from typing import Any, cast

from celery.beat import ScheduleEntry, Scheduler
from django.conf import settings
from django.db import Error, connection
from kombu.exceptions import OperationalError as BrokerError

from config.celery import BEAT_SCHEDULE, BellTask, lock_key

logger = logging.getLogger(__name__)
PATIENCE_SECONDS = 2.0
FROZEN_SECONDS = 10.0  # short work that waits longer is done whoever holds its lock
MESSAGE_LIFE_SECONDS = 30


class BellScheduler(Scheduler):
    """Ask each schedule's task whether it has work; ring, or stand in for a missing worker."""

    # The stock property connects to the broker, which may block: nothing here may.
    producer = None  # type: ignore[assignment]

    def setup_schedule(self) -> None:
        self.merge_inplace(BEAT_SCHEDULE)  # type: ignore[arg-type]
        self.has_broker = bool(settings.REDIS_URL)
        self.session: object = None  # the database session that holds the scheduler's lock
        self.bells: SimpleQueue[ScheduleEntry] = SimpleQueue()
        self.ringing: set[str] = set()
        self.waiting_since: dict[str, float] = {}
        self.standing_in: set[str] = set()
        if self.has_broker:
            threading.Thread(target=self._send_bells, name="bells", daemon=True).start()

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        """Look whether the entry's task has ready rows, and see that somebody does them."""
        task = cast("BellTask", self.app.tasks[str(entry.task)])
        try:
            waiting = task.waiting() if self._is_only_scheduler() else None
        except Error:
            # PostgreSQL is away: it is restarted by its supervisor; the next tick asks again.
            logger.warning("beat.database_unavailable")
            self.session = None
            connection.close()
            return
        if waiting is None:
            self.waiting_since.pop(task.name, None)
            return
        # A task that cannot tell how long says 0: then it is as long as we have known.
        since = self.waiting_since.setdefault(task.name, time.monotonic())
        waiting = waiting or time.monotonic() - since
        if self.has_broker and task.name not in self.ringing:
            self.ringing.add(task.name)
            self.bells.put(entry)
        if waiting > PATIENCE_SECONDS or not self.has_broker:
            self._stand_in(task, is_forced=task.is_short and waiting > FROZEN_SECONDS)

    def _is_only_scheduler(self) -> bool:
        """Hold the scheduler's advisory lock: a second beat waits until the first one is gone."""
        connection.close_if_unusable_or_obsolete()
        with connection.cursor() as cursor:
            # A session that was replaced, which Django may do unasked, took its lock with it.
            if self.session is not connection.connection:
                cursor.execute("SELECT pg_try_advisory_lock(%s)", [lock_key("beat")])
                self.session = connection.connection if cursor.fetchone()[0] else None
        return self.session is not None

    def _send_bells(self) -> None:
        """Send from the queue for ever; a frozen broker blocks only this thread."""
        while True:
            entry = self.bells.get()
            task = self.app.tasks[str(entry.task)]
            try:
                task.apply_async(**(entry.options or {}), expires=MESSAGE_LIFE_SECONDS, retry=False)
            except (BrokerError, OSError):
                logger.warning("beat.broker_unavailable")
            self.ringing.discard(task.name)

    def _stand_in(self, task: BellTask, *, is_forced: bool) -> None:
        if task.name in self.standing_in:
            return
        self.standing_in.add(task.name)
        threading.Thread(
            target=self._work,
            args=[task],
            kwargs={"is_forced": is_forced},
            name=task.name,
            daemon=True,
        ).start()

    def _work(self, task: BellTask, *, is_forced: bool) -> None:
        """Do the task here unless some worker holds its lock, that is, has answered."""
        key = lock_key(task.name)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
                if not cursor.fetchone()[0] and not is_forced:
                    return
            logger.info("beat.standing_in task=%s", task.name)
            task.work()
        except Exception:  # the outermost edge of this worker: the rows tell what is left
            logger.exception("beat.work_failed task=%s", task.name)
        finally:
            connection.close()  # and with the session, its lock
            self.standing_in.discard(task.name)
