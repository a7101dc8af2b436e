"""What the tests of training share."""

import pytest

from tests.training.builders import Product
from training import serving


@pytest.fixture(autouse=True)
def _fresh_aliases(monkeypatch):
    """Let each answer see the aliases as they are now; what a process caches has its own test."""
    monkeypatch.setattr(serving, "STATE_SECONDS", 0.0)
    serving._states.clear()


@pytest.fixture
def product(db):
    return Product()
