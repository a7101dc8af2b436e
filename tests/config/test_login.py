"""The admin's login: how often one may guess, and who is locked out by whose guesses."""

import random

import pytest
from django.contrib.auth.models import User
from django.test import Client

from config.settings import REDIS_URL
from privacy import limits
from privacy.limits import shared
from privacy.limits.shared import Meter

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def meter(monkeypatch):
    """Count in Redis."""
    User.objects.create_superuser("admin", password=PASSWORD)
    monkeypatch.setattr(shared, "TIMEOUT_SECONDS", 10)  # however busy the machine is
    meter = Meter(REDIS_URL, processes=2)
    monkeypatch.setattr(limits, "_meter", lambda: meter)
    yield
    assert not meter._is_away


@pytest.fixture
def address():
    return f"198.51.{random.randrange(256)}.{random.randrange(256)}"


def try_in(address, name="admin", password="guess"):  # noqa: S107
    """Send the form; return the answer."""
    client = Client(REMOTE_ADDR=address)
    return client.post("/admin/login/", {"username": name, "password": password})


def lock_out(address, name="admin"):
    for _ in range(10):
        assert try_in(address, name).status_code == 200
    assert try_in(address, name).status_code == 429


def test_it_works(address):
    assert try_in(address).status_code == 200
    answer = try_in(address, password=PASSWORD)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/accounts/profile/")


def test_after_ten_failures_the_right_password_is_refused_too(address):
    lock_out(address)
    answer = try_in(address, password=PASSWORD)
    assert answer.status_code == 429
    assert 800 < int(answer.headers["Retry-After"]) <= 975
    assert "Too many failed logins. Try again in 1" in answer.text
    assert "_auth_user_id" not in answer.client.session


def test_the_form_can_still_be_read(address):
    lock_out(address)
    assert Client(REMOTE_ADDR=address).get("/admin/login/").status_code == 200


def test_a_stranger_elsewhere_locks_nobody_out(address):
    lock_out(address)
    assert try_in("192.0.2.1", password=PASSWORD).status_code == 302


def test_another_name_from_there_is_not_locked_out_at_once(address):
    lock_out(address, "guessed")
    assert try_in(address, password=PASSWORD).status_code == 302


def test_after_fifty_failures_of_an_address_no_name_is_let_in(address):
    for n in range(50):
        assert try_in(address, f"guess-{n}").status_code == 200
    assert try_in(address, password=PASSWORD).status_code == 429


def test_logins_are_no_failures(address):
    for _ in range(60):
        assert try_in(address, password=PASSWORD).status_code == 302


def test_people_without_the_right_to_enter_count_as_failures(address):
    User.objects.create_user("visitor", password=PASSWORD)
    for _ in range(10):
        assert try_in(address, "visitor", PASSWORD).status_code == 200
    assert try_in(address, "visitor", PASSWORD).status_code == 429


def test_a_form_that_names_nobody_is_no_guess(address):
    for _ in range(60):
        assert try_in(address, "", "").status_code == 200
    assert try_in(address, password=PASSWORD).status_code == 302


def test_pages_lead_to_this_login(address):
    answer = Client(REMOTE_ADDR=address).get("/admin/")
    assert answer.headers["Location"].startswith("/admin/login/")
