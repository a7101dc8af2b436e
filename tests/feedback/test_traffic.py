"""How far a task's figures reach: who was served, how large corrections are, who is concerned."""

import pytest
from django.db import connection

from feedback import traffic
from feedback.models import Task
from tests.product import Product

pytestmark = pytest.mark.django_db
PEOPLE = ["ann", "bob", "cy"]
LARGE_TABLES = ["feedback", "feedback_example", "feedback_inference", "privacy_datasubject"]


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


def measured():
    traffic.measure_tasks()
    return Task.objects.get()


def test_it_works(shop):
    for user in [*PEOPLE, "ann"]:
        shop.infer(user_id=user)
    assert traffic.waiting_seconds() == 0.0
    task = measured()
    assert (task.weekly_users, task.rewrite_distance) == (3, None)
    assert traffic.waiting_seconds() is None


def test_nothing_is_measured_before_anything_was_shown(shop):
    assert traffic.waiting_seconds() is None


def test_the_distance_that_few_corrections_pass_needs_200_of_them():
    distances = [n / 1_000 for n in range(1, 1_001)]
    assert traffic.rewrite_distance(distances[:199]) is None
    assert traffic.rewrite_distance(distances[:200]) == 0.199
    assert traffic.rewrite_distance(distances) == 0.995


def test_a_correction_of_what_many_saw_is_flagged(shop):
    for user in PEOPLE:
        shop.infer("cold soup", user_id=user)
        shop.infer(f"soup of {user}", user_id=user)
    measured()
    assert shop.correct("dan", "cold soup")["flags"] == ["feedback.high_impact"]
    assert shop.correct("dan", "soup of ann")["flags"] == []


def test_a_task_says_how_many_are_many(shop):
    for user in PEOPLE:
        shop.infer("cold soup", user_id=user)
    measured()
    shop.patch("tasks/mood/", {"settings": {"thresholds": {"feedback.high_impact": None}}})
    assert shop.correct("dan", "cold soup")["flags"] == []


def test_the_disagreement_is_what_the_model_did_not_expect(shop):
    inference = shop.infer(confidence=0.9)
    body = {"inference_id": inference, "signal": "correction", "corrected": "neg"}
    receipt = shop.post("feedback/", body | {"user_id": "ann"}, 201)
    assert shop.get(f"feedback/{receipt['id']}/")["disagreement"] == pytest.approx(0.9)
    silent = shop.correct("ann", "another soup")
    assert shop.get(f"feedback/{silent['id']}/")["disagreement"] is None


def test_capture_reads_no_large_table_from_end_to_end(shop):
    with connection.cursor() as cursor:
        cursor.execute("DISCARD PLANS")
        cursor.execute("SET LOCAL enable_seqscan = off")  # as PostgreSQL decides for large tables
        before = sequential_scans(cursor)
        shop.correct("ann")
        shop.correct("bob", corrected="neg")
        assert sequential_scans(cursor) == before


def sequential_scans(cursor):
    cursor.execute(
        "SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE relname = ANY(%s)",
        [LARGE_TABLES],
    )
    return dict(cursor.fetchall())
