"""Work in the background: what is kept of it, and the page that tells staff."""

import re
from datetime import timedelta

import pytest
from celery import shared_task
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.beat import FROZEN_SECONDS, BellScheduler
from config.celery import BEAT_SCHEDULE, BellTask, app, lock_key
from config.models import BellRun
from feedback.models import Feedback, Task
from privacy.models import Upkeep
from tests.processes import Processes, wait_until
from tests.product import Product
from tests.roles import permitted
from training.dashboard import background

pytestmark = pytest.mark.django_db
PAGE = "/admin/background/"
ATTACK = "<script>alert(1)</script>"


@pytest.fixture
def bell():
    """Make a bell of a function; it is gone with the test."""
    bells = []

    def make(work):
        name = f"tests.{work.__name__}"
        waiting = staticmethod(lambda: None)
        bells.append(shared_task(work, base=BellTask, name=name, waiting=waiting, shared=False))
        return bells[-1]

    yield make
    for task in bells:
        app.tasks.unregister(task.name)


@pytest.fixture
def product():
    product = Product()
    product.task()
    return product


@pytest.fixture
def kim(product):
    seen = ["view_feedback", "view_run", "retry_feedback"]
    return permitted("kim", *seen, projects=[product.project])


def text_of(answer):
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def fail(product, text="good soup"):
    feedback = Feedback.objects.get(uuid=product.correct("ann", text)["id"])
    Feedback.objects.filter(pk=feedback.pk).update(status="failed", error="feedback.label_gone")
    return feedback


def test_it_works(kim, product):
    feedback = fail(product)
    said = text_of(kim.get(PAGE))
    assert "process.text 0 nothing waits" in said
    assert all(entry["task"] in said for entry in BEAT_SCHEDULE.values())
    assert f"{str(feedback.uuid)[:8]}… mood correction feedback.label_gone just now" in said
    assert "No runs yet." in said


def test_why_feedback_failed_is_said_in_words(kim, product):
    feedback = fail(product)
    Feedback.objects.filter(pk=feedback.pk).update(error="feedback.example_refused")
    words = "The correction is no longer an output of the task"
    assert f"{words} feedback.example_refused" in text_of(kim.get(PAGE))


def test_what_a_person_may_not_see_is_not_said_to_be_none(product):
    lee = permitted("lee", "retry_feedback", "view_feedback", projects=[product.project])
    assert "No runs" not in text_of(lee.get(PAGE))
    max_ = permitted("max", "view_run", projects=[product.project])
    assert "Failed feedback" not in text_of(max_.get(PAGE))


def test_each_run_of_a_task_is_kept_and_written_over(bell):
    def rest():
        return

    task = bell(rest)
    task()
    (first,) = BellRun.objects.all()
    assert (first.task, first.fault) == (task.name, "")
    assert 0 <= first.seconds < 5
    task()
    (second,) = BellRun.objects.all()
    assert second.began_at > first.began_at


def test_a_fault_is_kept_by_its_class_alone(bell):
    def stumble():
        raise KeyError("something of a person")

    with pytest.raises(KeyError):
        bell(stumble)()
    run = BellRun.objects.get()
    assert (run.fault, "person" in str(vars(run))) == ("KeyError", False)


@pytest.mark.django_db(transaction=True)
def test_what_the_scheduler_does_itself_is_kept_too(product, settings):
    settings.REDIS_URL = ""
    app.loader.import_default_modules()
    scheduler = BellScheduler(app=app)
    product.correct("ann")
    scheduler.apply_entry(scheduler.schedule["process-text"])
    wait_until(lambda: BellRun.objects.filter(task="feedback.process_text").exists())
    wait_until(lambda: not scheduler.standing_in)


@pytest.mark.django_db(transaction=True)
def test_workers_and_the_scheduler_are_seen_by_their_names(product):
    kim = permitted("kim", "view_run", projects=[product.project])
    processes = Processes()
    try:
        processes.redis()
        processes.worker()
        processes.beat()
        row = product.correct("ann")
        wait_until(lambda: Feedback.objects.get(uuid=row["id"]).status == "processed")
        wait_until(lambda: "emend-worker process.image" in text_of(kim.get(PAGE)))
        said = text_of(kim.get(PAGE))
    finally:
        processes.end()
    assert re.search(r"emend-beat \d+ nothing now \d\.\d\d s ago", said)
    assert "scheduler is not turning" not in said
    # The scheduler stands in where the worker is slow to start.
    last = r"feedback\.process_text process\.text every 0\.5 s just now by emend-(worker|beat)"
    assert re.search(last, said)


@pytest.mark.django_db(transaction=True)
def test_a_worker_is_heard_while_it_is_idle_and_missed_when_it_is_dead(product, settings):
    settings.REDIS_URL = "redis://of-this-process"  # which the page does not ask
    kim = permitted("kim", "view_run", projects=[product.project])

    def is_heard():
        said = text_of(kim.get(PAGE))
        row = re.search(
            r"emend-worker process\.image \S+ \S+ train 1 nothing now [0-3]\.\d\d s", said
        )
        return bool(row) and "No worker is heard" not in said

    assert "No worker is heard for process.image, process.layout" in text_of(kim.get(PAGE))
    processes = Processes()
    try:
        processes.redis()
        worker = processes.worker()
        wait_until(is_heard)
        processes.kill(worker)
        wait_until(lambda: "emend-worker" not in text_of(kim.get(PAGE)))
        assert "No worker is heard for process.image" in text_of(kim.get(PAGE))
    finally:
        processes.end()


def test_a_worker_that_stands_still_is_marked(kim, monkeypatch):
    row = f"('emend-worker train', %s::float8, ARRAY[{lock_key('worker')}])"
    sessions = ", ".join(row % seconds for seconds in (75, 1.5))
    monkeypatch.setattr(background, "_SESSIONS", f"VALUES {sessions}")
    assert "emend-worker train 2 nothing now ✗ 75 s ago 1.50 s ago" in text_of(kim.get(PAGE))


@pytest.mark.parametrize("name", ["rank-queue", "measure-figures"])
def test_a_long_pass_is_not_made_beside_the_worker_that_makes_it(settings, monkeypatch, name):
    settings.REDIS_URL = ""
    app.loader.import_default_modules()
    scheduler, asked = BellScheduler(app=app), []
    entry = scheduler.schedule[name]
    monkeypatch.setattr(app.tasks[entry.task], "waiting", lambda: FROZEN_SECONDS + 1)
    monkeypatch.setattr(scheduler, "_is_only_scheduler", lambda: True)
    monkeypatch.setattr(scheduler, "_stand_in", lambda _, *, is_forced: asked.append(is_forced))
    scheduler.apply_entry(entry)
    assert asked == [False]


def test_a_task_at_work_is_named(kim, product):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock_shared(%s)", [lock_key("training.execute_runs")])
        said = text_of(kim.get(PAGE))
        cursor.execute("SELECT pg_advisory_unlock_all()")
    assert said.count("training.execute_runs") == 2
    assert "at work" in said.split("training.execute_runs")[2][:80]


def test_failed_feedback_is_tried_again(kim, product):
    feedback = fail(product)
    answer = kim.post(
        PAGE, {"verb": "retry", "feedback": [feedback.pk, "x", "9" * 30]}, follow=True
    )
    assert "1 put back into the queue." in text_of(answer)
    feedback.refresh_from_db()
    assert (feedback.status, feedback.error) == ("pending", "")


def test_failed_feedback_is_discarded_for_a_reason(kim, product):
    feedback = fail(product)
    chosen = {"verb": "discard", "feedback": [feedback.pk]}
    assert "Say why it is discarded." in text_of(kim.post(PAGE, chosen, follow=True))
    feedback.refresh_from_db()
    assert feedback.status == "failed"
    kim.post(PAGE, chosen | {"reason": "the label is gone"})
    feedback.refresh_from_db()
    assert feedback.status == "rejected"
    assert feedback.history.first().history_change_reason == "discarded by kim: the label is gone"


def test_all_that_failed_by_one_error_is_tried_again_together(kim, product, monkeypatch):
    monkeypatch.setattr(background, "MOST_ROWS", 1)
    gone = [fail(product, f"text {n}") for n in range(3)]
    other = fail(product, "another")
    Feedback.objects.filter(pk=other.pk).update(error="feedback.other")
    said = text_of(kim.get(PAGE))
    assert "Failed feedback 1 of 4" in said
    assert "feedback.label_gone (3)" in said
    page = f"{PAGE}?why=feedback.label_gone"
    assert "Failed feedback 1 of 3 by feedback.label_gone" in text_of(kim.get(page))
    answer = kim.post(page, {"verb": "retry", "all": "on"}, follow=True)
    assert "3 put back into the queue." in text_of(answer)
    left = Feedback.objects.filter(status="failed")
    assert list(left) == [other]
    assert Feedback.objects.filter(pk__in=[row.pk for row in gone], status="pending").count() == 3


def test_when_answers_to_check_are_chosen_next_is_told(kim):
    chosen_at = timezone.now() - timedelta(minutes=15)
    Upkeep.objects.create(task="training.choose_answers 1", done_at=chosen_at)
    Upkeep.objects.create(task="training.choose_answers 2", done_at=chosen_at - timedelta(days=9))
    row = text_of(kim.get(PAGE)).split("training.choose_answers")[1]
    assert row.startswith(" train every 60 s never yet in 44 minutes")


def test_what_has_not_failed_is_left_alone_and_counted(kim, product):
    feedback = Feedback.objects.get(uuid=product.correct("ann")["id"])
    answer = kim.post(PAGE, {"verb": "retry", "feedback": [feedback.pk]}, follow=True)
    assert "1 left alone: Only failed feedback is retried" in text_of(answer)


def test_other_projects_and_people_without_permission_are_refused(kim, product):
    other = Product("other")
    other.task()
    theirs = fail(other)
    assert str(theirs.uuid)[:8] not in text_of(kim.get(PAGE))
    kim.post(PAGE, {"verb": "retry", "feedback": [theirs.pk]})
    theirs.refresh_from_db()
    assert theirs.status == "failed"
    assert permitted("lee", "view_feedback").get(PAGE).status_code == 403
    looker = permitted("max", "view_feedback", "view_run", projects=[other.project])
    assert looker.post(PAGE, {"verb": "retry", "feedback": [theirs.pk]}).status_code == 403
    assert "Try again" not in text_of(looker.get(PAGE))


def test_what_failed_is_shown_as_text(kim, product):
    feedback = fail(product)
    Feedback.objects.filter(pk=feedback.pk).update(error=ATTACK)
    BellRun.objects.create(
        task="privacy.erase", began_at=timezone.now(), seconds=1, fault=ATTACK, place=ATTACK
    )
    page = kim.get(PAGE).content.decode()
    assert ATTACK not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_queue_that_waits_for_a_minute_is_marked(kim, product):
    row = product.correct("ann")
    late = timezone.now() - timedelta(seconds=75)
    Feedback.objects.filter(uuid=row["id"]).update(ready_at=late)
    assert re.search(r"process\.text 1 ✗ 7\d s", text_of(kim.get(PAGE)))


def test_the_number_of_queries_does_not_follow_the_number_of_rows(kim, product):
    def queries():
        kim.get(PAGE)
        with CaptureQueriesContext(connection) as captured:
            kim.get(PAGE)
        return len(captured)

    fail(product, "text 0")
    before = queries()
    for n in range(1, 6):
        fail(product, f"text {n}")
        labels = {"modality": "classification", "labels": ["a", "b"]}
        Task.objects.create(project=Task.objects.first().project, slug=f"task-{n}", **labels)
    assert queries() == before
