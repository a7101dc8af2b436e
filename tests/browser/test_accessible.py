"""Pages of staff for everybody: no serious fault by axe, in both looks, on a laptop and a phone."""

import re
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth import get_user_model
from django.utils import timezone
from playwright.sync_api import expect

from feedback import claims, figures, review
from feedback.models import Feedback, HourFigures, Inference, Task
from tests.browser.queue import QUEUE
from training import checking
from training.models import AnswerToCheck

pytestmark = pytest.mark.django_db(transaction=True)
AXE = Axe()
# Axe's preload copies imported style sheets into the page, which our policy refuses.
OPTIONS = {"resultTypes": ["violations"], "preload": False}
# Each look and each screen once: colours don't go by the width, nor places by the look.
SCREENS = {"light": (1280, 900), "dark": (390, 844)}
SETTLED = """() => {
  for (let n = 0; n < 20; n += 1) document.getAnimations().forEach((motion) => motion.cancel());
}"""
WATCH = """() => {
  const all = "a[href], button, input:not([type=hidden], [type=radio]), select, textarea, summary,"
    + "input[type=radio]:checked";
  const isThere = (element) => element.checkVisibility({ visibilityProperty: true })
    && !element.disabled && element.tabIndex >= 0;
  window.unreached = new Set([...document.querySelectorAll(all)].filter(isThere));
  window.ringless = [];
  document.addEventListener("focusin", ({ target }) => {
    window.unreached.delete(target);
    const { outlineStyle, outlineWidth } = getComputedStyle(target);
    const isRing = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
    if (!isRing) window.ringless.push(target.outerHTML);
  });
  return window.unreached.size;
}"""
LEFT = "() => [[...window.unreached].map(element => element.outerHTML), window.ringless]"
CHECKS = "/admin/training/answertocheck/"
ITEM = "/admin/feedback/feedback/{}/change/"


def faults(page):
    """Return what is wrong with the page, in both looks and on both screens."""
    found = []
    for look, (width, height) in SCREENS.items():
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=look)
        page.evaluate(SETTLED)  # a colour that is still changing has too little contrast
        told = AXE.run(page, options=OPTIONS).response["violations"]
        found += [
            (fault["id"], page.url, look, node["html"], node["failureSummary"])
            for fault in told
            if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"]
        ]
    page.set_viewport_size({"width": 1280, "height": 900})
    return found


def faults_of(page, addresses):
    found = []
    for address in addresses:
        answer = page.goto(address)
        assert answer.ok, address
        found += faults(page)
    return found


def flagged(editor, *numbers):
    return [Feedback.objects.get(uuid=editor.flag(n)) for n in numbers]


def test_it_works(page):
    """Axe finds what is wrong."""
    page.goto("/admin/")
    assert not faults(page)
    page.evaluate("document.querySelector('label').remove()")
    assert {fault[0] for fault in faults(page)} == {"label"}


def test_lists(lead, editor):
    found = faults_of(lead, [QUEUE, CHECKS, "/admin/"])
    rows = flagged(editor, *range(8))
    review.escalate(rows[0], by="lee", reason="Who knows?")
    views = ["", "?signal=down", "?signal=up", "?q=soup", f"?alike={rows[1].pk}&order=oldest"]
    found += faults_of(lead, [QUEUE + view for view in views])
    found += faults_of(lead, ["/admin/feedback/feedback/", "/admin/feedback/image/"])
    lead.goto(QUEUE)
    lead.locator("#action-toggle").check()
    lead.get_by_label("Action:").select_option("escalate")
    lead.get_by_role("button", name="Go").click()
    expect(lead.get_by_role("button", name="Undo")).to_be_visible()
    assert found + faults(lead) == []


def test_items(lead, editor):
    rows = flagged(editor, *range(4))
    found = faults_of(lead, [ITEM.format(row.pk) for row in rows])
    lead.keyboard.press("?")
    expect(lead.get_by_role("dialog")).to_be_visible()
    found += faults(lead)
    lead.keyboard.press("Escape")
    lead.get_by_role("button", name="Reject").click()
    expect(lead.get_by_text("Say why it is rejected.")).to_be_visible()
    assert found + faults(lead) == []


def test_items_that_others_have_or_decided(lead, editor):
    editor.patch("tasks/mood/", {"settings": {"approvals_required": 2}})
    approved, held, decided, failed = flagged(editor, 0, 1, 2, 3)
    review.accept(approved, by="lee", corrected="neg")
    claims.take(claims.FEEDBACK, held.pk, by="lee")
    review.reject(decided, by="lee", reason="Spam or vandalism: <b>")
    review.accept(failed, by="lee")
    Feedback.objects.filter(pk=failed.pk).update(status="failed", error="feedback.unreadable")
    found = faults_of(lead, [ITEM.format(row.pk) for row in (approved, held, decided, failed)])
    history = f"/admin/feedback/inference/{approved.inference_id}/change/"
    assert found + faults_of(lead, [history, "/admin/background/"]) == []


def test_answers_to_check(lead, editor):
    for n in range(3):
        editor.infer(f"The sea on day {n} was grey.", confidence=0.6 + n / 10, user_id=f"u-{n}")
    shown = timezone.now() - timedelta(days=3)
    Inference.objects.update(created_at=shown)
    checking.choose(Task.objects.get(slug="mood"))
    first, other, _ = AnswerToCheck.objects.order_by("place")
    claims.take(claims.ANSWER, other.pk, by="lee")
    pages = [CHECKS, *(f"{CHECKS}{row.pk}/change/" for row in (first, other))]
    found = faults_of(lead, pages)
    lead.goto(pages[1])
    lead.keyboard.press("w")
    expect(lead.get_by_role("button", name="Undo")).to_be_visible()
    assert found + faults(lead) == []


def test_dashboard_and_numbers(lead, editor):
    rows = flagged(editor, *range(4))
    review.accept(rows[1], by="lee")
    review.reject(rows[2], by="kim", reason="The correction is wrong")
    figures.measure()
    hour = timezone.now() - timedelta(hours=3)
    counted = {"p50_seconds": 1, "p99_seconds": 2, "open_flagged": 3, "open_pending": 1}
    HourFigures.objects.create(task=rows[0].task, hour=hour, **counted)
    found = faults_of(lead, [f"{QUEUE}numbers/", "/admin/background/", "/admin/"])
    expect(lead.locator("#chart-signals canvas")).to_be_visible()
    lead.get_by_text("As a table").first.click()
    assert found + faults(lead) == []


def test_second_factor(lead):
    found = faults_of(lead, ["/admin/second-factor/"])
    lead.get_by_role("button", name="Set it up").click()
    assert found + faults(lead) == []


def test_the_page_on_which_roles_are_given(lead):
    kim = get_user_model().objects.get()
    get_user_model().objects.update(is_superuser=True)
    lead.goto(f"/admin/auth/user/{kim.pk}/change/")
    expect(lead.get_by_text("Chosen groups")).to_be_visible()
    # What its markup lacks is Django's; the colours are ours.
    assert [fault for fault in faults(lead) if fault[0] == "color-contrast"] == []


def test_pages_that_refuse(lead, complaints):
    found = []
    for address in ("/admin/nothing/", "/admin/privacy/erasurerequest/"):
        assert not lead.goto(address).ok
        found += faults(lead)
    lead.get_by_role("link", name="Go to the dashboard").click()
    expect(lead).to_have_url(re.compile("/admin/$"))
    assert found == []
    # The browser says of itself that an answer was a refusal.
    complaints[:] = [said for said in complaints if "Failed to load resource" not in said]


def test_everything_is_reached_by_tab_and_seen_to_be(lead, editor):
    rows = flagged(editor, *range(4))
    for address in ("/admin/", QUEUE, *(ITEM.format(row.pk) for row in rows[1:])):
        lead.goto(address)
        lead.wait_for_load_state()
        for _ in range(lead.evaluate(WATCH) + 10):  # boxes that scroll are stops too
            lead.keyboard.press("Tab")
        assert lead.evaluate(LEFT) == [[], []], address


def test_keys_are_told_and_search_is_a_key_away(lead, editor):
    [row] = flagged(editor, 0)
    for address in (QUEUE, ITEM.format(row.pk)):
        lead.goto(address)
        lead.wait_for_load_state()
        lead.keyboard.press("?")
        expect(lead.get_by_role("dialog", name="Keys")).to_be_visible()
        lead.keyboard.press("Escape")
        expect(lead.get_by_role("dialog", name="Keys")).to_be_hidden()
    lead.goto(QUEUE)
    lead.wait_for_load_state()
    lead.keyboard.press("/")
    expect(lead.get_by_label("Search")).to_be_focused()
    lead.keyboard.type("soup")
    lead.keyboard.press("Enter")
    expect(lead).to_have_url(re.compile(r"\?q=soup$"))
