"""Real PostgreSQL and Redis for the tests, embedded ones where no URL names others."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from config import embedded
from privacy import limits
from privacy.limits.shared import Meter


@pytest.fixture(scope="session")
def services() -> Iterator[None]:
    """Run PostgreSQL and Redis in the temporary data folder that tests/settings.py chose."""
    log_pattern = str(embedded.data_dir() / "logs" / "{name}.log")
    with embedded.running(needs_redis=True, log_pattern=log_pattern):
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(services: None) -> None:
    """Start the services before pytest-django makes the test database."""


@pytest.fixture(autouse=True)
def nothing_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no decision be drawn for a second look by chance; what a test draws is asked at once."""
    monkeypatch.setattr("feedback.review.second.chance", lambda: 1.0)
    monkeypatch.setattr("feedback.querysets.SECOND_LOOK_AFTER", timedelta(0))


@pytest.fixture(autouse=True)
def nothing_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin each test with unspent limits: all of them come from one address."""
    meter = Meter("", processes=1)
    monkeypatch.setattr(limits, "_meter", lambda: meter)
