"""What fits on a laptop and on a phone."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from feedback import review
from feedback.models import Contributor, Feedback, Inference, Task
from tests.browser.queue import QUEUE
from training import checking

pytestmark = pytest.mark.django_db(transaction=True)
ITEM = "/admin/feedback/feedback/{}/change/"
BOTTOMS = "rows => rows.map(row => row.getBoundingClientRect().bottom)"
BEYOND = """() => [...document.querySelectorAll("nav.top a, .results")].filter(element =>
  element.getBoundingClientRect().right > innerWidth || element.scrollWidth > element.clientWidth
).map(element => element.outerHTML.slice(0, 80))"""
LABEL = "cell => getComputedStyle(cell, '::before').content"
WIDTH = "element => element.getBoundingClientRect().width"


def on_a_phone(page, address):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(address)
    expect(page.locator("#result_list tbody tr").first).to_be_visible()


def test_it_works(lead, editor):
    """More than a few rows of the queue are seen at once."""
    for n in range(10):
        editor.flag(n)
    lead.goto(QUEUE)
    bottoms = lead.locator("#result_list tbody tr").evaluate_all(BOTTOMS)
    assert len([bottom for bottom in bottoms if bottom <= 900]) >= 5


def test_a_text_is_mended_over_the_whole_width(lead, editor):
    feedback = Feedback.objects.get(uuid=editor.flag(1))
    lead.goto(ITEM.format(feedback.pk))
    box = lead.get_by_label("What is right").evaluate(WIDTH)
    assert box > 0.9 * lead.locator(".decide").evaluate(WIDTH)


def test_lists_and_navigation_fit_on_small_screens(lead, editor, monkeypatch):
    monkeypatch.setattr("feedback.review.second.chance", lambda: 0.0)
    rows = [Feedback.objects.get(uuid=editor.flag(n)) for n in range(2)]
    review.reject(rows[1], by="lee", reason="Who knows?")
    editor.infer("The sea was grey.", confidence=0.6, user_id="u-9")
    Inference.objects.update(created_at=timezone.now() - timedelta(days=3))
    checking.choose(Task.objects.get(slug="mood"))
    for name in ("feedback/flaggedfeedback", "feedback/secondlook", "training/answertocheck"):
        on_a_phone(lead, f"/admin/{name}/")
        assert lead.evaluate(BEYOND) == [], name
        for width in (768, 1024, 1200, 1275):
            lead.set_viewport_size({"width": width, "height": 900})
            assert lead.evaluate(BEYOND) == [], (name, width)


def test_all_rows_are_selected_on_a_phone(lead, editor):
    for n in range(2):
        editor.flag(n)
    on_a_phone(lead, QUEUE)
    lead.get_by_label("Select all objects on this page for an action").check()
    expect(lead.get_by_text("2 of 2 selected")).to_be_visible()


def test_what_fits_stays_a_table(lead, editor):
    Contributor.objects.create(task=Task.objects.first(), user_id="u-0")
    for width, is_table in ((767, False), (1024, True)):
        lead.set_viewport_size({"width": width, "height": 900})
        lead.goto("/admin/feedback/contributor/")
        expect(lead.get_by_role("cell", name="u-0")).to_be_visible()
        expect(lead.get_by_role("columnheader", name="Trust")).to_be_visible(visible=is_table)
        assert lead.evaluate(BEYOND) == []


def test_only_a_contributors_trust_is_called_that(lead, editor):
    editor.flag(0)
    on_a_phone(lead, QUEUE)
    assert lead.locator("td.field-trusted").evaluate(LABEL) == "none"
