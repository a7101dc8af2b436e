"""Second looks in a browser, by keyboard alone."""

import pytest
from playwright.sync_api import expect

from feedback import review
from feedback.models import Feedback, SecondLook
from tests.browser.queue import Editor, moderator
from tests.browser.test_accessible import faults_of
from tests.browser.test_checks import press

pytestmark = pytest.mark.django_db(transaction=True)
LOOKS = "/admin/feedback/secondlook/"


@pytest.fixture
def kim(page, monkeypatch):
    """A moderator before what somebody else has rejected, in four modalities."""
    monkeypatch.setattr(review.second, "chance", lambda: 0.0)
    editor = Editor()
    for n in range(4):
        editor.flag(n)
    for feedback in Feedback.objects.flagged():
        review.reject(feedback, by="lee", reason="no")
    return moderator(page, "kim", editor.project)


def test_it_works(kim):
    kim.goto("/admin/feedback/flaggedfeedback/")
    expect(kim.get_by_role("link", name="4 second looks")).to_be_visible()
    kim.goto(LOOKS)
    press(kim, "n")
    first = kim.url
    expect(kim.get_by_text("lee")).to_have_count(0)
    press(kim, "r")
    expect(kim.get_by_text("Noted: you would reject it.")).to_be_visible()
    press(kim, "z")
    assert kim.url == first
    for key in ("a", "s", "r", "r"):
        press(kim, key)
    said = SecondLook.objects.order_by("pk").values_list("is_second_yes", flat=True)
    assert sorted(said, key=str) == [False, False, None, True]
    press(kim, "a")
    expect(kim.get_by_text("Nothing waits for your second look.")).to_be_visible()
    kim.goto(f"{LOOKS}?judged=differ")
    expect(kim.get_by_text("lee: reject, kim: accept")).to_have_count(2)


def test_everybody_can_judge(kim):
    looks = [f"{LOOKS}{look.pk}/change/" for look in SecondLook.objects.all()]
    assert faults_of(kim, [LOOKS, *looks, f"{LOOKS}?judged=same"]) == []
