"""A real Chromium on a live server; whatever it complains about fails the test."""

import os
import shutil
from pathlib import Path

import pytest
from django.db import connections
from playwright.sync_api import sync_playwright

from tests.browser.queue import Editor, moderator

ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run", "--disable-quic"),
]
TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP ${event.violatedDirective} ${event.blockedURI}`));
"""


def find_chromium(playwright):
    own = playwright.chromium.executable_path
    if Path(own).exists():
        return own
    return next(filter(None, map(shutil.which, ["chromium", "google-chrome"])), None)


@pytest.fixture(scope="session")
def browser():
    connections.close_all()  # Django finds none of them in the loop that now begins
    with sync_playwright() as playwright, pytest.MonkeyPatch.context() as patch:
        # Playwright's loop runs in this thread; Django would take the tests' queries for async.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        path = find_chromium(playwright)
        if path is None and os.environ.get("CI"):
            pytest.fail("No Chromium: CI must install one.")
        if path is None:
            pytest.skip("No Chromium: neither Playwright's own nor chromium or google-chrome.")
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()
        connections.close_all()  # nor those of the loop once it is over


@pytest.fixture
def complaints():
    """Console errors, violations of the policy, exceptions of scripts and dialogs."""
    return []


@pytest.fixture
def new_page(browser, live_server, complaints):
    """Return a function that opens a page of somebody else: each has cookies of its own."""
    contexts = []

    def open_page():
        context = browser.new_context(
            base_url=live_server.url, viewport={"width": 1280, "height": 900}
        )
        contexts.append(context)
        context.set_default_timeout(10_000)
        context.add_init_script(TELL_VIOLATIONS)
        page = context.new_page()
        is_bad = {"error", "warning"}
        page.on("console", lambda said: said.type in is_bad and complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))

        def dismiss(dialog):
            complaints.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        page.on("dialog", dismiss)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture
def page(new_page):
    return new_page()


@pytest.fixture(autouse=True)
def _own_storage(settings, tmp_path):
    settings.STORAGE_URL = str(tmp_path / "storage")


@pytest.fixture
def editor(page):
    return Editor()


@pytest.fixture
def lead(page, editor):
    return moderator(page, "kim", editor.project, role="lead")
