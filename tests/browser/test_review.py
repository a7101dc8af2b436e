"""Review as a moderator does it: in a browser, by keyboard, under the strict policy."""

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import expect

from feedback.models import Feedback
from tests.product import Product
from tests.training.builders import Product as Shop
from training import rollouts

pytestmark = pytest.mark.django_db(transaction=True)
ATTACK = "<script>alert(1)</script><img src=x onerror=alert(2)> \u202etxet"


@pytest.fixture
def product(page):
    product = Product()
    product.task()
    return product


@pytest.fixture
def moderator(page, product):
    """Kim, logged in."""
    get_user_model().objects.create_superuser("kim", password="a long pass phrase")
    page.goto("/admin/")
    page.get_by_label("Username").fill("kim")
    page.get_by_label("Password").fill("a long pass phrase")
    page.get_by_role("button", name="Log in").click()
    expect(
        page.get_by_text("Needs you:").or_(page.get_by_text("Nothing needs you."))
    ).to_be_visible()
    return page


def flag(product, user_id, text, **more):
    body = {"signal": "down", "corrected": None} | more
    answer = product.correct(user_id, text, **body)
    assert answer["status"] == "flagged"
    return answer["id"]


def open_item(page, name):
    """Open an item from the queue, ready to be decided by keyboard."""
    page.goto("/admin/feedback/feedback/queue/")
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", name="What the model saw")).to_be_visible()
    page.wait_for_load_state()


def status_of(uuid):
    return Feedback.objects.get(uuid=uuid).status


def test_it_works(moderator, product):
    page = moderator
    first = flag(product, "ann", ATTACK, comment=ATTACK)
    second = flag(product, "ben", "the second one")
    page.goto("/admin/")
    page.get_by_role("link", name="2 flagged").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(2)
    page.get_by_role("link", name="<script>alert(1)").click()
    expect(page.get_by_text("<script>alert(1)").first).to_be_visible()
    expect(page.get_by_text("U+202E").first).to_be_visible()
    page.wait_for_load_state()
    page.keyboard.press("a")
    expect(page.get_by_text("the second one")).to_be_visible()
    expect(page.get_by_text("Accepted.")).to_be_visible()
    assert status_of(first) == "pending"
    assert status_of(second) == "flagged"


def test_reject_by_keyboard_takes_a_numbered_reason(moderator, product):
    page = moderator
    uuid = flag(product, "ann", "one to reject")
    open_item(page, "one to reject")
    page.keyboard.press("r")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No flagged feedback.")).to_be_visible()
    feedback = Feedback.objects.get(uuid=uuid)
    assert (feedback.status, feedback.review.reason) == ("rejected", "Spam or vandalism")


def test_edit_by_keyboard_takes_a_label(moderator, product):
    page = moderator
    uuid = flag(product, "ann", "one to edit")
    open_item(page, "one to edit")
    page.keyboard.press("e")
    page.keyboard.press("n")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Accepted with your correction.")).to_be_visible()
    assert Feedback.objects.get(uuid=uuid).review.corrected == "neg"


def test_skip_and_help_and_escape(moderator, product):
    page = moderator
    flag(product, "ann", "the first")
    flag(product, "ben", "the second")
    open_item(page, "the first")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("s")
    expect(page.get_by_text("the second")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Review queue")).to_be_visible()


def test_every_page_stands_under_the_policy(moderator, product):
    """Open every list of the admin, and of each the first row."""
    page = moderator
    flag(product, "ann", ATTACK)
    train_and_roll_out()
    page.goto("/admin/")
    lists = page.locator("#content-main th a").evaluate_all("links => links.map((a) => a.href)")
    assert len(lists) > 10
    for address in lists:
        page.goto(address)
        expect(page.locator("#content h1")).to_be_visible()
        row = page.locator("#result_list tbody th a").first
        if row.count():
            page.goto(row.get_attribute("href"))
            expect(page.locator("#content h1")).to_be_visible()


def train_and_roll_out():
    shop = Shop("another")
    shop.add_corpus()
    shop.correct("the soup was new", user="ben")
    rollouts.promote(shop.model())
    rollouts.start(shop.register(), rollouts.Plan())


def test_the_api_documentation_stands_under_the_policy(page, product):
    page.goto("/api/docs/")
    expect(page.get_by_text("/api/v1/feedback/", exact=True).first).to_be_visible()
