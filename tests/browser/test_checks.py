"""Answers to check in a browser, by keyboard alone."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from feedback.models import Feedback, Inference
from tests.browser.queue import PAGE, Editor, moderator
from training import checking
from training.models import AnswerToCheck

pytestmark = pytest.mark.django_db(transaction=True)
CHECKS = "/admin/training/answertocheck/"
BOXES = {"boxes": [{"id": "a", "label": "panel", "bbox": [20, 20, 360, 260]}]}


@pytest.fixture
def kim(page):
    """A moderator before answers of three modalities that nobody reacted to for two days."""
    editor = Editor()
    shown = [
        ("mood", "The soup was warm enough.", "pos"),
        ("mood", "Nobody would eat here twice.", "pos"),
        ("dialogue", "Write a line for the captain.", "All hands on deck"),
        ("panels", PAGE, BOXES),
    ]
    for n, (task, input_, output) in enumerate(shown):
        body = {"task": task, "input": input_, "output": output, "confidence": 0.6 + n / 20}
        editor.post("inferences/", body | {"user_id": f"u-{n}"}, 201)
    Inference.objects.update(created_at=timezone.now() - timedelta(days=2))
    for task in editor.project.tasks.all():
        checking.choose(task)
    return moderator(page, "kim", editor.project)


def press(page, *keys):
    with page.expect_navigation():
        for key in keys:
            page.keyboard.press(key)
    page.wait_for_load_state()


def test_it_works(kim):
    kim.goto(CHECKS)
    expect(kim.locator("#result_list tbody tr")).to_have_count(4)
    press(kim, "n")
    said = {"text": ("e", "Control+Enter"), "layout": ("w",), "classification": ("a",)}
    for _ in range(4):
        check = AnswerToCheck.objects.get(pk=kim.url.split("/")[-3])
        if check.task.modality == "text":
            kim.get_by_label("What is right").fill("Everybody up here")
        press(kim, *said[check.task.modality])
    expect(kim.get_by_text("Nothing to check.")).to_be_visible()
    audits = Feedback.objects.filter(source="audit")
    assert sorted(audits.values_list("task__slug", "signal", "status")) == [
        ("dialogue", "correction", "pending"),
        ("mood", "up", "pending"),
        ("mood", "up", "pending"),
        ("panels", "down", "pending"),
    ]
    assert not AnswerToCheck.objects.filter(seconds=None).exists()


def test_an_answer_is_taken_back(kim):
    kim.goto(CHECKS)
    press(kim, "n")
    item = kim.url
    press(kim, "a")
    assert Feedback.objects.filter(source="audit").count() == 1
    press(kim, "z")
    assert kim.url == item
    assert not Feedback.objects.exists()
    expect(kim.get_by_role("button", name="Right A")).to_be_visible()
