"""Pending feedback becomes examples exactly once, whoever dies on the way."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from django.db.models import Count
from django.utils import timezone

from feedback import processing, review
from feedback.models import Claim, Example, Feedback, Inference
from tests.processes import Processes, wait_until
from tests.product import Product, process

pytestmark = pytest.mark.django_db
QUEUE = "process.text"


@pytest.fixture
def shop(db):
    shop = Product("shop")
    shop.task()
    return shop


def corrections(numbers):
    body = {"task": "mood", "output": "pos", "signal": "correction", "corrected": "neg"}
    return [body | {"input": f"soup {n}", "user_id": f"u{n}"} for n in numbers]


def send(shop, numbers):
    answer = shop.post("feedback/batch/", {"items": corrections(numbers)}, 200)
    assert answer["created"] == len(numbers)


def lose_leases():
    """Let the leases end, as those of a worker that died do."""
    Claim.objects.update(lease_until=timezone.now())


def assert_each_once(count):
    assert list(Feedback.objects.values_list("status").annotate(Count("pk"))) == [
        ("processed", count)
    ]
    assert Example.objects.count() == count
    assert Example.objects.values("feedback").distinct().count() == count


def test_it_works(shop):
    shop.correct("ann", "good soup", metadata={"seat": 1})
    assert process() == 1
    row, example = Feedback.objects.get(), Example.objects.get()
    assert (row.status, row.error) == ("processed", "")
    assert row.created_at <= row.processed_at
    assert (example.input, example.output, example.rejected_output) == ("good soup", "neg", "pos")
    assert (example.source, example.signal, example.case) == (
        "feedback",
        "correction",
        "regression",
    )
    assert bytes(example.input_hash) == bytes(Inference.objects.get().input_hash)
    assert example.review_history_id is None


def test_nothing_is_done_twice(shop):
    send(shop, range(3))
    assert [process(), process()] == [3, 0]
    assert_each_once(3)


def test_a_signal_that_teaches_nothing_is_processed_without_an_example(shop):
    body = {"inference_id": shop.infer(), "signal": "abandoned", "user_id": "ann"}
    shop.post("feedback/", body, 201)
    assert process() == 1
    assert not Example.objects.exists()


def test_only_pending_rows_of_the_queue_are_taken(shop):
    body = {"inference_id": shop.infer(), "signal": "down", "user_id": "ann"}
    shop.post("feedback/", body, 201)  # flagged
    shop.correct("bob")
    assert processing.process_queue("process.image") == 0
    assert process() == 1


def test_the_waiting_time_is_that_of_the_oldest_ready_row(shop):
    assert processing.waiting_seconds(QUEUE) is None
    shop.correct("ann")
    Feedback.objects.update(ready_at=timezone.now() - timezone.timedelta(seconds=9))
    assert 9 <= processing.waiting_seconds(QUEUE) < 60
    processing.claim(QUEUE)
    assert processing.waiting_seconds(QUEUE) is None
    lose_leases()
    assert processing.waiting_seconds(QUEUE) >= 9


def test_a_lost_lease_is_fenced(shop):
    send(shop, range(3))
    slow = processing.claim(QUEUE)
    lose_leases()
    for _ in range(3):
        assert processing.process(processing.claim(QUEUE)) == 1
    assert processing.process(slow) == 0
    assert_each_once(3)


def test_a_worker_that_lost_its_lease_cannot_take_the_row_of_another(shop):
    shop.correct("ann")
    slow = processing.claim(QUEUE)
    lose_leases()
    fast = processing.claim(QUEUE)
    assert processing.process(slow) == 0
    assert processing.process(fast) == 1


def test_a_row_that_keeps_killing_its_worker_fails_after_three_deaths_alone(shop):
    send(shop, range(3))
    killer = Feedback.objects.earliest("number").pk
    assert len(processing.claim(QUEUE).numbers) == 3  # and the worker dies
    deaths = 0
    for _ in range(20):
        lose_leases()
        claimed = processing.claim(QUEUE)
        if claimed is None:
            continue
        assert len(claimed.numbers) == 1
        if killer in claimed.numbers:
            deaths += 1
        else:
            processing.process(claimed)
    assert deaths == 3
    failed = Feedback.objects.get(pk=killer)
    assert (failed.status, failed.error) == ("failed", "feedback.worker_died")
    assert Feedback.objects.filter(status="processed").count() == 2
    review.retry(failed, by="mo")
    assert process() == 1
    assert_each_once(3)


def test_rows_that_died_and_those_that_did_not_take_turns(shop):
    shop.correct("ann", "killer")
    processing.claim(QUEUE)
    lose_leases()
    send(shop, range(3))
    assert len(processing.claim(QUEUE).numbers) == 1  # the older row, alone
    assert len(processing.claim(QUEUE).numbers) == 3


def test_a_label_that_is_gone_fails_its_row_alone(shop):
    shop.patch("tasks/mood/", {"labels": ["neg", "pos", "odd"]})
    shop.correct("ann", corrected="odd")
    shop.correct("bob", "other soup")
    shop.patch("tasks/mood/", {"labels": ["neg", "pos"]})
    assert process() == 1
    failed = Feedback.objects.get(user_id="ann")
    assert (failed.status, failed.error) == ("failed", "feedback.example_refused")
    assert shop.get(f"feedback/{failed.uuid}/")["error"] == "feedback.example_refused"


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_do_each_row_once(shop):
    send(shop, range(450))

    def work(_number):
        try:
            return process()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 450
    assert_each_once(450)


@pytest.mark.django_db(transaction=True)
def test_killed_workers_and_a_killed_broker_lose_nothing(shop):
    processes = Processes()
    try:
        redis, worker = processes.redis(), processes.worker()
        processes.beat()
        for round_ in range(6):
            send(shop, range(100 * round_, 100 * round_ + 100))
            if round_ == 1:
                wait_until(Feedback.objects.filter(status="processed").exists)
                processes.kill(worker)
                worker = processes.worker()
            if round_ == 3:
                processes.kill(worker)
                processes.kill(redis)
        wait_until(lambda: not Feedback.objects.pending().exists(), timeout_seconds=90)
        assert_each_once(600)
    finally:
        processes.end()
