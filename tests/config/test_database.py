"""Statements that answer with one JSON document, and a database that keeps them waiting."""

import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client

from config import database
from config.database import fetch

pytestmark = pytest.mark.django_db


@pytest.fixture
def stuck(monkeypatch):
    """Let a statement wait for longer than it may."""
    monkeypatch.setitem(database._stuck, "until", 0.0)
    monkeypatch.setattr(database, "REST_SECONDS", 60.0)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '50ms'")
        with pytest.raises(OperationalError), transaction.atomic():
            fetch("SELECT pg_sleep(10)::text", {}, str)
        cursor.execute("SET LOCAL statement_timeout = 0")


def test_it_works():
    assert fetch("SELECT to_json(%(n)s::int + 1)::text", {"n": 41}, int) == 42


def test_nothing_found_is_null():
    assert fetch("SELECT '1' WHERE false", {}, int | None) is None


def test_after_one_long_wait_the_next_fail_at_once(stuck):
    assert database.is_stuck()
    with pytest.raises(OperationalError, match="in time"):
        fetch("SELECT '1'", {}, int)


def test_readiness_names_the_wait(stuck):
    assert "a database that answers in time" in Client().get("/readyz").json()["missing"]


def test_it_is_asked_again_after_a_rest(stuck, monkeypatch):
    monkeypatch.setitem(database._stuck, "until", 0.0)
    assert fetch("SELECT '1'", {}, int) == 1
