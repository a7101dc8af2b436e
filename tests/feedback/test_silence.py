"""Answers that people let stand teach a little, where the task says so."""

from datetime import timedelta

import pytest
from django.utils import timezone

from feedback import processing
from feedback.models import Example, Inference
from tests.product import Product, process
from tests.training.builders import taken

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task(settings={"silence_hours": 24, "silence_weight": 0.25})
    return shop


def wait(hours):
    shown_at = timezone.now() - timedelta(hours=hours)
    Inference.objects.update(created_at=shown_at)


def add(shop):
    return processing.add_silent_examples(shop.project.tasks.get(slug="mood"))


def trainable():
    return taken().count()


def test_it_works(shop):
    shop.infer("fine soup", "pos")
    wait(hours=25)
    assert add(shop) == 1
    example = Example.objects.get()
    assert (example.source, example.input, example.output) == ("silence", "fine soup", "pos")
    assert (example.base_weight, example.case, example.signal) == (1.0, "", "")
    assert trainable() == 1


def test_silence_counts_once(shop):
    shop.infer()
    wait(hours=25)
    assert [add(shop), add(shop)] == [1, 0]


def test_silence_takes_its_time(shop):
    shop.infer()
    wait(hours=23)
    assert add(shop) == 0


def test_without_a_weight_silence_says_nothing(shop):
    shop.patch("tasks/mood/", {"settings": {"silence_weight": 0}})
    shop.infer()
    wait(hours=25)
    assert add(shop) == 0


@pytest.mark.parametrize("signal", ["up", "down", "abandoned"])
def test_any_reaction_breaks_it(shop, signal):
    body = {"inference_id": shop.infer(), "signal": signal, "user_id": "ann"}
    shop.post("feedback/", body, 201)
    wait(hours=25)
    assert add(shop) == 0


def test_a_late_reaction_takes_its_place(shop):
    inference = shop.infer()
    wait(hours=25)
    add(shop)
    shop.post("feedback/", {"inference_id": inference, "signal": "down", "user_id": "ann"}, 201)
    assert trainable() == 0


def test_what_a_publishable_key_made_up_is_not_believed(shop):
    shop.capture_key().infer(user_id="eve")
    wait(hours=25)
    assert add(shop) == 0


def test_who_withdrew_training_is_left_out(shop):
    shop.infer(user_id="ann")
    wait(hours=25)
    add(shop)
    shop.put("privacy/subjects/ann/consents/training/", {"granted": False})
    assert trainable() == 0


def test_another_task_keeps_its_own_silence(shop):
    shop.task(slug="tone", settings={"silence_weight": 0.5})
    body = {"task": "tone", "input": "x", "output": "pos"}
    shop.post("inferences/", body, 201)
    wait(hours=25)
    assert add(shop) == 0


def test_silence_and_feedback_live_side_by_side(shop):
    shop.infer()
    shop.correct("ann", "bad soup")
    wait(hours=25)
    process()
    add(shop)
    assert sorted(Example.objects.values_list("source", flat=True)) == ["feedback", "silence"]
