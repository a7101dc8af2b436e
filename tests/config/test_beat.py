"""The bell: work that is ready in PostgreSQL is done, whatever happens to Redis and workers."""

import signal

import pytest
from django.db import connection

from config.beat import BellScheduler
from config.celery import BEAT_SCHEDULE, app, lock_key
from feedback.models import Feedback
from tests.processes import Processes, wait_until
from tests.product import Product
from training import orphans

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shop(transactional_db):
    shop = Product("shop")
    shop.task()
    return shop


@pytest.fixture
def processes(shop):
    processes = Processes()
    yield processes
    processes.end()


def correct_and_wait(shop, text):
    """Capture one correction and wait until somebody has processed it."""
    row = shop.correct("ann", text)
    wait_until(lambda: Feedback.objects.get(uuid=row["id"]).status == "processed")


def schedulers():
    """Return the database sessions that hold the lock of the one active scheduler."""
    key = lock_key("beat") % 2**64
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND classid::bigint = %s AND objid::bigint = %s",
            [key >> 32, key & (2**32 - 1)],
        )
        return {pid for (pid,) in cursor.fetchall()}


def test_it_works(shop, processes):
    processes.redis()
    worker, beat = processes.worker(), processes.beat()
    for text in ("one", "two", "three"):
        correct_and_wait(shop, text)
    assert "standing_in" not in processes.log(beat)
    assert "ERROR" not in processes.log(worker)


def test_the_scheduler_stands_in_where_no_worker_answers(shop, processes):
    processes.redis()
    beat = processes.beat()
    correct_and_wait(shop, "one")
    row = Feedback.objects.get()
    assert 2 <= (row.processed_at - row.created_at).total_seconds() < 10
    assert "beat.standing_in task=feedback.process_text" in processes.log(beat)


def test_a_frozen_broker_does_not_stop_the_scheduler(shop, processes):
    redis = processes.redis()
    processes.beat()
    correct_and_wait(shop, "before")
    redis.send_signal(signal.SIGSTOP)
    correct_and_wait(shop, "frozen")
    redis.send_signal(signal.SIGCONT)
    correct_and_wait(shop, "after")


def test_a_dead_broker_does_not_stop_the_scheduler(shop, processes):
    beat = processes.beat()
    correct_and_wait(shop, "one")
    wait_until(lambda: "beat.broker_unavailable" in processes.log(beat))


def test_without_a_broker_the_scheduler_works_at_once(shop, settings):
    settings.REDIS_URL = ""
    app.loader.import_default_modules()
    scheduler = BellScheduler(app=app)
    row = shop.correct("ann")
    scheduler.apply_entry(scheduler.schedule["process-text"])
    wait_until(lambda: Feedback.objects.get(uuid=row["id"]).status == "processed")
    wait_until(lambda: not scheduler.standing_in)


def test_a_lost_database_session_is_replaced(shop, processes):
    processes.redis()
    processes.beat()
    correct_and_wait(shop, "before")
    (session,) = schedulers()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [session])
    correct_and_wait(shop, "after")
    wait_until(lambda: len(schedulers()) == 1)
    assert schedulers() != {session}


def test_only_one_scheduler_is_active_and_another_takes_over(shop, processes):
    first = processes.beat()
    wait_until(schedulers)
    (session,) = schedulers()
    second = processes.beat()
    correct_and_wait(shop, "one")
    assert schedulers() == {session}
    assert "standing_in" not in processes.log(second)
    processes.kill(first)
    correct_and_wait(shop, "two")
    assert "standing_in" in processes.log(second)
    assert len(schedulers()) == 1


def test_every_schedule_names_a_task_that_can_be_asked(shop):
    app.loader.import_default_modules()
    for entry in BEAT_SCHEDULE.values():
        task = app.tasks[entry["task"]]
        is_daily = task.name in {orphans.TASK, "privacy.apply_retention"}  # never done yet
        assert task.waiting() == (0.0 if is_daily else None)
        task.run()
