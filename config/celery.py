"""The Celery application, the one table of schedules, and the kind of task that a bell rings."""

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, cast

from celery import Celery, Task, shared_task
from celery.signals import beat_init, heartbeat_sent, worker_init
from django.conf import settings
from django.db import Error, connection

if TYPE_CHECKING:
    AnyTask = Task[Any, Any]
else:
    AnyTask = Task  # generic in its type stubs only

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# Every entry is a question that the scheduler asks at its interval (seconds): has this task
# something to do? Only then is its bell rung. Due times live in the rows, not here.
BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "process-text": {
        "task": "feedback.process_text",
        "schedule": 0.5,
        "options": {"queue": "process.text"},
    },
    "process-layout": {
        "task": "feedback.process_layout",
        "schedule": 0.5,
        "options": {"queue": "process.layout"},
    },
    "process-image": {
        "task": "feedback.process_image",
        "schedule": 0.5,
        "options": {"queue": "process.image"},
    },
    "measure-figures": {
        "task": "feedback.measure_figures",
        "schedule": 60.0,
        "options": {"queue": "train"},
    },
    "measure-tasks": {
        "task": "feedback.measure_tasks",
        "schedule": 5.0,
        "options": {"queue": "train"},
    },
    "rank-queue": {
        "task": "feedback.rank_queue",
        "schedule": 5.0,
        "options": {"queue": "train"},
    },
    "build-versions": {
        "task": "training.build_versions",
        "schedule": 1.0,
        "options": {"queue": "train"},
    },
    "execute-runs": {
        "task": "training.execute_runs",
        "schedule": 1.0,
        "options": {"queue": "train"},
    },
    "start-due-runs": {
        "task": "training.start_due_runs",
        "schedule": 5.0,
        "options": {"queue": "train"},
    },
    "score-contributors": {
        "task": "training.score_contributors",
        "schedule": 5.0,
        "options": {"queue": "train"},
    },
    "choose-answers": {
        "task": "training.choose_answers",
        "schedule": 60.0,
        "options": {"queue": "train"},
    },
    "credit-models": {
        "task": "training.credit_models",
        "schedule": 5.0,
        "options": {"queue": "train"},
    },
    "advance-rollouts": {
        "task": "training.advance_rollouts",
        "schedule": 5.0,
        "options": {"queue": "train"},
    },
    "erase": {
        "task": "privacy.erase",
        "schedule": 1.0,
        "options": {"queue": "train"},
    },
    "apply-retention": {
        "task": "privacy.apply_retention",
        "schedule": 60.0,
        "options": {"queue": "train"},
    },
    "archive": {
        "task": "training.archive",
        "schedule": 60.0,
        "options": {"queue": "train"},
    },
    "remove-orphans": {
        "task": "training.remove_orphans",
        "schedule": 60.0,
        "options": {"queue": "train"},
    },
}


RECORD = """
    INSERT INTO config_bellrun (task, began_at, seconds, fault, place)
    VALUES (%(task)s, clock_timestamp() - make_interval(secs => %(seconds)s), %(seconds)s,
        %(fault)s, current_setting('application_name'))
    ON CONFLICT (task) DO UPDATE SET began_at = excluded.began_at, seconds = excluded.seconds,
        fault = excluded.fault, place = excluded.place"""


def lock_key(name: str) -> int:
    """Return the 64-bit key of PostgreSQL's advisory lock of that name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


class BellTask(AnyTask):
    """A task without arguments that does all the ready work of its kind.

    `waiting` answers for how many seconds the oldest ready row has waited unclaimed, or None.
    While the task works it holds a shared advisory lock, so that the scheduler sees that its
    bell was answered. `is_short` work may also be done twice at once (rows are claimed), so the
    scheduler helps out when a worker holds the lock but does nothing, as a stopped process does.
    """

    abstract = True
    is_short: ClassVar[bool] = True
    waiting: Callable[[], float | None]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        key = lock_key(self.name)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock_shared(%s)", [key])
            if not cursor.fetchone()[0]:
                return None  # the scheduler is standing in for us
        try:
            self.work()
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock_shared(%s)", [key])

    def work(self) -> None:
        """Do the work, and keep how it went for the page of background work."""
        began, fault = time.monotonic(), ""
        try:
            self.run()
        except BaseException as error:
            fault = type(error).__name__
            raise
        finally:
            seconds = time.monotonic() - began
            with suppress(Error), connection.cursor() as cursor:
                cursor.execute(RECORD, {"task": self.name, "seconds": seconds, "fault": fault})


def bell(
    name: str, *, waiting: Callable[[], float | None], is_short: bool = True
) -> Callable[[Callable[[], None]], BellTask]:
    """Make a function without arguments the task that is rung while `waiting` finds ready rows."""

    def decorate(work: Callable[[], None]) -> BellTask:
        options: dict[str, Any] = {"waiting": staticmethod(waiting), "is_short": is_short}
        make: Any = shared_task(base=BellTask, name=name, **options)
        return cast("BellTask", make(work))

    return decorate


app = Celery("emend")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_schedule = BEAT_SCHEDULE
app.conf.beat_max_loop_interval = 0.5
app.autodiscover_tasks()


@worker_init.connect
def name_worker(**_: Any) -> None:
    """Let PostgreSQL know a worker's sessions by the queues that it works on."""
    _name_sessions(" ".join(["emend-worker", *sorted(app.amqp.queues.consume_from)]))


@heartbeat_sent.connect
def be_seen(**_: Any) -> None:
    """Hold a session that asks every two seconds while the broker is there: so we are seen idle."""
    try:
        with connection.cursor() as cursor:
            # Again each time, for the session may be a new one; a lock of one's own never waits.
            cursor.execute("SELECT pg_try_advisory_lock_shared(%s)", [lock_key("worker")])
    except Error:  # PostgreSQL is away: the next heartbeat asks again
        connection.close()


@beat_init.connect
def name_scheduler(**_: Any) -> None:
    _name_sessions("emend-beat")


def _name_sessions(name: str) -> None:
    settings.DATABASES["default"]["OPTIONS"]["application_name"] = name[:63]
