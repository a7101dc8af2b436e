"""The review queue in a browser: by keyboard alone, by two at once, undone, and in bulk."""

import pytest
from playwright.sync_api import expect

from feedback.models import Feedback, Review
from tests.browser.queue import QUEUE, moderator

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def kim(page, editor):
    return moderator(page, "kim", editor.project)


@pytest.fixture
def lee(new_page, editor):
    return moderator(new_page(), "lee", editor.project)


def start(page):
    page.goto(QUEUE)
    page.wait_for_load_state()
    page.keyboard.press("n")
    on_item(page)


def on_item(page):
    expect(page.get_by_role("heading", name="What the model saw")).to_be_visible()
    page.wait_for_load_state()
    return page.url.split("/change/")[0].rsplit("/", 1)[1]


def press(page, *keys):
    """Press keys that decide, and wait for the page that follows."""
    with page.expect_navigation():
        for key in keys:
            page.keyboard.press(key)
    page.wait_for_load_state()


def test_it_works(kim, editor):
    """Twenty items of all modalities, with the keyboard only."""
    for n in range(20):
        editor.flag(n)
    start(kim)
    ways = [("a",), ("e", "Control+Enter"), ("r", "2", "Enter"), ("p", "a"), ("s",)]
    decided = 0
    while Feedback.objects.flagged().exists():
        keys = ways[decided % len(ways)]
        is_label = kim.get_by_label("What is right").evaluate("field => field.tagName") == "SELECT"
        if keys[0] == "e" and is_label:
            keys = ("e", "n", "Enter")
        press(kim, *keys)
        decided += 1
        assert decided < 60
    expect(kim.get_by_text("No flagged feedback.")).to_be_visible()
    assert Review.objects.count() == 20
    assert {"accept", "reject"} == set(Review.objects.values_list("decision", flat=True))
    assert Review.objects.filter(is_pinned=True).exists()
    assert not Review.objects.filter(seconds=None).exists()


def test_two_moderators_never_get_the_same_item(kim, lee, editor):
    for n in range(8):
        editor.flag(n)
    seen = set()
    for page in (kim, lee):
        start(page)
    for _ in range(3):
        mine, theirs = on_item(kim), on_item(lee)
        assert mine != theirs
        assert not seen & {mine, theirs}
        seen |= {mine, theirs}
        press(kim, "a")
        press(lee, "r", "1", "Enter")
    expect(kim.get_by_role("heading", name="What the model saw")).to_be_visible()
    lee.goto(kim.url)
    expect(lee.get_by_text("kim has this open")).to_be_visible()
    expect(lee.get_by_role("button", name="Accept")).to_have_count(0)


def test_a_decision_is_undone_within_seconds(kim, editor):
    first = Feedback.objects.get(uuid=editor.flag(0))
    editor.flag(4)
    start(kim)
    item = on_item(kim)
    press(kim, "a")
    assert Feedback.objects.get(pk=item).status == "pending"
    press(kim, "z")
    assert on_item(kim) == item
    assert Feedback.objects.get(pk=item).status == "flagged"
    assert str(first.pk) == item or Feedback.objects.flagged().count() == 2


def test_the_way_back_is_gone_after_ten_seconds(kim, editor):
    editor.flag(0)
    editor.flag(4)
    start(kim)
    # The page's own time stands still, and goes on as the test says.
    kim.clock.install(time=0)
    kim.clock.pause_at(1_000)
    press(kim, "a")
    button = kim.get_by_role("button", name="Undo")
    expect(button).to_be_visible()
    left = int(kim.locator("form.undo").get_attribute("data-seconds"))
    assert left <= 10
    kim.clock.run_for((left - 1) * 1_000)
    expect(button).to_be_visible()
    kim.clock.run_for(1_000)
    expect(button).to_be_hidden()


def test_many_are_rejected_at_once_and_undone(kim, lee, editor):
    for n in range(0, 24, 4):
        editor.flag(n)
    start(lee)
    kim.goto(QUEUE)
    kim.locator("#action-toggle").check()
    kim.get_by_label("Action:").select_option("reject")
    kim.get_by_label("Reason:").select_option("vandalism")
    kim.get_by_role("button", name="Go").click()
    expect(kim.get_by_text("5 rejected. 1 left alone: lee has it open.")).to_be_visible()
    assert Feedback.objects.filter(status="rejected").count() == 5
    kim.get_by_role("button", name="Undo").click()
    expect(kim.get_by_text("5 undone.")).to_be_visible()
    assert Feedback.objects.flagged().count() == 6


def test_what_asks_for_two_is_accepted_by_two(kim, lee, editor):
    editor.patch("tasks/mood/", {"settings": {"approvals_required": 2}})
    uuid = editor.flag(0)
    start(kim)
    press(kim, "e", "n", "Enter")
    expect(kim.get_by_text("Others are still to accept the same.")).to_be_visible()
    assert Feedback.objects.get(uuid=uuid).status == "flagged"
    start(lee)
    expect(lee.get_by_text("2 moderators must accept the same")).to_be_visible()
    press(lee, "a")
    row = Feedback.objects.get(uuid=uuid)
    assert (row.status, row.review.corrected, row.review.moderator) == ("pending", "neg", "lee")


def test_who_has_no_permission_is_refused_by_the_server(page, editor):
    feedback = Feedback.objects.get(uuid=editor.flag(0))
    moderator(page, "ann", editor.project, role="engineer")
    address = f"/admin/feedback/feedback/{feedback.pk}/change/"
    page.goto(address)
    expect(page.get_by_text("You may look at this, but not decide it.")).to_be_visible()
    [token] = [c["value"] for c in page.context.cookies() if c["name"] == "csrftoken"]
    answer = page.context.request.post(
        address, form={"decision": "accept"}, headers={"X-CSRFToken": token}
    )
    assert answer.status == 403
    assert "permission" in answer.text() or "Forbidden" in answer.text()
    feedback.refresh_from_db()
    assert feedback.status == "flagged"
