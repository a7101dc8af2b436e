"""The privacy page as a person uses it: on a phone, without JavaScript, until the receipt."""

import json

import pytest
from playwright.sync_api import expect

from privacy import erasure, receipts
from privacy.models import Consent, DataSubject, ErasureRequest
from tests.browser.conftest import TELL_VIOLATIONS
from tests.privacy.tokens import Signer
from tests.product import Product, process

pytestmark = pytest.mark.django_db(transaction=True)
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.project.name = "Corner shop"
    shop.project.save()
    shop.task()
    for number in range(3):
        shop.correct("u-17", f"the soup of day {number} was cold")
    shop.correct("u-17", "the tea was good", signal="up", corrected=None)
    process()
    return shop


@pytest.fixture
def page(browser, live_server, complaints):
    """A phone's browser that runs no script of the page."""
    context = browser.new_context(
        base_url=live_server.url, viewport=PHONE, java_script_enabled=False, has_touch=True
    )
    context.set_default_timeout(10_000)
    page = context.new_page()
    is_bad = {"error", "warning"}
    page.on("console", lambda said: said.type in is_bad and complaints.append(said.text))
    yield page
    context.close()
    assert not complaints


def arrive(page, shop, user_id="u-17"):
    page.goto(f"/privacy/?token={Signer(shop.project).token(user_id)}")
    assert page.url.endswith("/privacy/")


def work():
    while erasure.erase_next():
        pass


def test_it_works(page, shop, tmp_path):
    arrive(page, shop)
    expect(page.get_by_role("heading", name="Your data in Corner shop")).to_be_visible()
    expect(page.get_by_text("4 corrections and ratings")).to_be_visible()
    expect(page.get_by_text("“neg” instead of “pos”").first).to_be_visible()
    expect(page.get_by_text("Waiting for the next dataset version.").first).to_be_visible()

    page.get_by_label("Let models learn from it").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("No model that is trained from now on")
    expect(page.get_by_label("Let models learn from it")).not_to_be_checked()
    assert Consent.objects.get().method == "page"

    with page.expect_download() as download:
        page.get_by_role("link", name="Download everything").click()
    assert len(json.loads(download.value.path().read_text())["feedback"]) == 4

    page.get_by_role("link", name="Erase everything").click()
    expect(page.get_by_text("It cannot be undone.")).to_be_visible()
    page.get_by_role("button", name="Erase user u-17 and 4 corrections and ratings").click()
    expect(page.get_by_role("heading", name="Erasing your data")).to_be_visible()
    work()
    # The page looks again by itself.
    expect(page.get_by_role("heading", name="Your data was erased")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the receipt").click()
    receipts.verify(json.loads(download.value.path().read_text()))
    assert not DataSubject.objects.filter(user_id="u-17").exists()


def test_the_link_is_cut_after_a_question(page, shop):
    arrive(page, shop)
    page.get_by_role("link", name="Cut the link to me").click()
    expect(page.get_by_role("heading", name="Cut the link to you?")).to_be_visible()
    page.get_by_role("link", name="Change nothing").click()
    page.get_by_role("link", name="Cut the link to me").click()
    page.get_by_role("button", name="Cut the link to user u-17").click()
    expect(page.get_by_role("status")).to_contain_text("no link to you any more")
    expect(page.get_by_text("4 corrections and ratings")).to_have_count(0)


def test_a_button_is_about_the_person_it_names(page, shop, complaints):
    """Though in another tab somebody else's link was opened since."""
    arrive(page, shop)
    page.goto("/privacy/erase/")
    other = page.context.new_page()
    arrive(other, shop, "u-18")
    page.get_by_role("button", name="Erase user u-17").click()
    expect(page.get_by_role("heading", name="This page is about somebody else")).to_be_visible()
    assert DataSubject.objects.filter(user_id="u-17").exists()
    assert not ErasureRequest.objects.exists()
    complaints.clear()  # the browser says that it was a 403


def test_a_tab_of_before_grants_nothing_again(page, shop):
    arrive(page, shop)
    other = page.context.new_page()
    other.goto("/privacy/")
    other.get_by_label("Let models learn from it").uncheck()
    other.get_by_role("button", name="Save").click()
    expect(other.get_by_role("status")).to_contain_text("No model that is trained from now on")
    expect(page.get_by_label("Let models learn from it")).to_be_checked()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Nothing was changed.")
    expect(page.get_by_label("Let models learn from it")).not_to_be_checked()


def test_an_old_link_says_what_to_do(page, shop, complaints):
    old = Signer(shop.project).token("u-17", life_seconds=-60)
    page.goto(f"/privacy/?token={old}")
    expect(page.get_by_role("heading", name="This link no longer works")).to_be_visible()
    complaints.clear()  # the browser says that it was a 403


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_stands_under_the_policy(browser, live_server, shop, viewport, scheme):
    """With scripts on, to measure and to hear of violations; each screen in turn."""
    context = browser.new_context(base_url=live_server.url, viewport=viewport, color_scheme=scheme)
    context.add_init_script(TELL_VIOLATIONS)
    page, said = context.new_page(), []
    page.on("console", lambda line: said.append(line.text))
    arrive(page, shop)
    page.get_by_label("Store what I send").uncheck()
    page.get_by_role("button", name="Save").click()
    screens = {"page": "/privacy/", "anonymise": "/privacy/anonymise/", "erase": "/privacy/erase/"}
    for name, address in screens.items():
        page.goto(address)
        look(page, f"{name}-{scheme}-{viewport['width']}")
    page.get_by_role("button", name="Erase user u-17").click()
    look(page, f"erasing-{scheme}-{viewport['width']}")
    work()
    page.goto("/privacy/")
    look(page, f"erased-{scheme}-{viewport['width']}")
    context.close()
    assert not said


def look(page, name):
    """Measure that nothing is wider than the screen, and that targets are large enough."""
    expect(page.locator("h1")).to_be_visible()
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"], name
    least = 44 if page.viewport_size["width"] < 768 else 24
    for box in page.locator(".act").all():
        assert box.bounding_box()["height"] >= least, name
