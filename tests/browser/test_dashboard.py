"""The dashboard in a browser: charts under the strict policy, in both looks, on a phone."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone
from playwright.sync_api import expect

from feedback import figures
from feedback.models import HourFigures, Inference, Task
from tests.product import Product, process
from tests.training import builders
from training import rollouts
from training.models import AnswerToCheck, Run

pytestmark = pytest.mark.django_db(transaction=True)
PIXELS = "document.querySelector('#chart-signals canvas').toDataURL()"
IS_OTHER = f"before => {PIXELS} !== before"

# How many pixels of the canvas have the colour of each kind's estimates.
DRAWN = """() => {
  const figure = document.querySelector("#chart-accuracy");
  const canvas = figure.querySelector("canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const pixels = data.length / 4;
  return [...figure.querySelectorAll("li:not(.bound) .swatch")].map((swatch) => {
    const colour = getComputedStyle(swatch).backgroundColor.match(/\\d+/g).map(Number);
    let found = 0;
    for (let i = 0; i < pixels; i++) {
      found += colour.every((part, n) => data[4 * i + n] === part);
    }
    return found;
  });
}"""


def log_in(page):
    get_user_model().objects.create_superuser("kim", password="a long pass phrase")
    page.goto("/admin/")
    page.get_by_label("Username").fill("kim")
    page.get_by_label("Password").fill("a long pass phrase")
    page.get_by_role("button", name="Log in").click()


@pytest.fixture
def dashboard(page):
    """The index, with something in each chart of feedback."""
    product = Product()
    product.task()
    for text in ("one", "two"):
        product.correct("ann", text)
    process()
    figures.measure()
    hour = timezone.now() - timedelta(hours=3)
    HourFigures.objects.create(
        task=Task.objects.get(),
        hour=hour,
        p50_seconds=1,
        p99_seconds=2,
        open_flagged=3,
        open_pending=1,
    )
    log_in(page)
    expect(page.locator("#chart-signals canvas")).to_be_visible()
    return page


def test_it_works(dashboard):
    chart = dashboard.locator("#chart-processed")
    last = chart.locator("[data-now]").first.text_content()
    plot = chart.locator(".u-over")
    plot.hover(position={"x": 2, "y": 50})
    expect(chart.locator("[data-now]").first).to_have_text("1.00 s")
    expect(chart.locator(".when")).to_contain_text("UTC")
    dashboard.mouse.move(0, 0)
    expect(chart.locator("[data-now]").first).to_have_text(last)
    expect(chart.locator("table")).to_be_hidden()
    chart.get_by_text("As a table").click()
    expect(chart.get_by_role("cell", name="1.00 s")).to_be_visible()


def test_charts_are_drawn_again_in_the_other_look(dashboard):
    light = dashboard.evaluate(PIXELS)
    dashboard.emulate_media(color_scheme="dark")
    dashboard.wait_for_function(IS_OTHER, arg=light)
    dashboard.emulate_media(color_scheme="light")
    dashboard.evaluate("document.documentElement.dataset.theme = 'dark'")
    dashboard.wait_for_function(IS_OTHER, arg=light)


@pytest.mark.parametrize("address", ["/admin/", "/admin/background/"])
def test_nothing_is_wider_than_a_phone(dashboard, address):
    dashboard.set_viewport_size({"width": 390, "height": 844})
    dashboard.goto(address)
    expect(dashboard.locator("#content h1")).to_be_visible()
    assert dashboard.evaluate("document.documentElement.scrollWidth") <= 390


def test_without_javascript_the_tables_say_it(browser, dashboard, live_server):
    state = dashboard.context.storage_state()
    context = browser.new_context(
        base_url=live_server.url, java_script_enabled=False, storage_state=state
    )
    plain = context.new_page()
    plain.goto("/admin/")
    chart = plain.locator("#chart-signals")
    chart.get_by_text("As a table").click()
    expect(chart.get_by_role("cell", name="2", exact=True)).to_be_visible()
    context.close()


def test_each_kind_of_accuracy_is_drawn(page):
    product = builders.Product()
    model = product.register()
    holdout = {"accuracy": 0.9, "accuracy_low": 0.85, "accuracy_high": 0.95}
    Run.objects.filter(pk=model.run_id).update(metrics={"holdout": holdout})
    rollouts.promote(model)
    for days, is_right in ((1, True), (2, False)):
        shown = product.show(f"soup of day {days}")
        audit = product.react(shown, "up" if is_right else "down", user="mia")
        then = timezone.now() - timedelta(days=days)
        Inference.objects.filter(pk=shown.pk).update(created_at=then, model_version=f"m{days}")
        AnswerToCheck.objects.create(
            task=product.task,
            inference=shown,
            is_random=True,
            propensity=1.0,
            status="answered",
            feedback=audit,
            answered_at=timezone.now(),
        )
    log_in(page)
    expect(page.locator("#chart-accuracy canvas")).to_be_visible()
    expect(page.locator("#chart-accuracy .legend .swatch:visible")).to_have_count(2)
    assert min(page.evaluate(DRAWN)) > 50
