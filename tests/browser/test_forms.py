"""What a form of staff needs is asked for before it is sent: nothing that was chosen is lost."""

import pytest
from playwright.sync_api import expect

from feedback import review
from feedback.models import Feedback
from tests.browser.queue import QUEUE

pytestmark = pytest.mark.django_db(transaction=True)


def choose(page, action, **needed):
    """Select all of the queue and an action, whose fields need what `needed` says."""
    page.goto(QUEUE)
    for name, values in needed.items():
        field = page.locator(f".actions [name={name}]")
        field.evaluate("(field, values) => { field.dataset.requiredFor = values; }", values)
    page.locator("#action-toggle").check()
    page.get_by_label("Action:").select_option(action)


def test_it_works(lead, editor):
    editor.flag(0)
    choose(lead, "reject", ground="reject")
    lead.get_by_role("button", name="Go").click()
    expect(lead.get_by_label("Reason:")).to_be_focused()
    expect(lead.locator("tbody .action-select")).to_be_checked()
    lead.get_by_label("Reason:").select_option("vandalism")
    lead.get_by_role("button", name="Go").click()
    expect(lead.get_by_text("1 rejected.")).to_be_visible()


def test_what_two_choices_need_together_is_asked_for(lead, editor):
    editor.flag(0)
    choose(lead, "reject", ground="reject", note="reject other")
    lead.get_by_label("Reason:").select_option("other")
    lead.get_by_role("button", name="Go").click()
    expect(lead.get_by_label("Note:")).to_be_focused()
    expect(lead.locator("tbody .action-select")).to_be_checked()


def test_another_action_does_not_need_it(lead, editor):
    editor.flag(0)
    choose(lead, "reject", ground="reject")
    lead.get_by_role("button", name="Go").click()
    lead.get_by_label("Action:").select_option("escalate")
    expect(lead.get_by_label("Reason:")).to_be_hidden()
    lead.get_by_role("button", name="Go").click()
    expect(lead.get_by_text("1 escalated.")).to_be_visible()


def test_what_a_button_needs_is_asked_for_when_it_is_pressed(lead, editor):
    feedback = Feedback.objects.get(uuid=editor.flag(0))
    review.accept(feedback, by="lee")
    Feedback.objects.filter(pk=feedback.pk).update(status="failed", error="feedback.unreadable")
    lead.goto("/admin/background/")
    reason = lead.locator("#reason")
    reason.evaluate("field => { field.dataset.requiredFor = 'discard'; }")
    chosen = lead.get_by_label(f"Choose {feedback.uuid}")
    chosen.check()
    lead.get_by_role("button", name="Discard").click()
    expect(reason).to_be_focused()
    expect(chosen).to_be_checked()
    lead.get_by_role("button", name="Try again").click()
    expect(lead.locator(".messagelist")).to_contain_text("1")
