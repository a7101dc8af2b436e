"""What the tests of training share."""

import pytest

from tests.training.builders import Product
from training import serving
from training.checking import choosing


@pytest.fixture(autouse=True)
def _fresh_aliases(monkeypatch):
    """Let each answer see the aliases as they are now; what a process caches has its own test."""
    monkeypatch.setattr(serving, "STATE_SECONDS", 0.0)
    serving._states.clear()


@pytest.fixture(autouse=True)
def none_drawn(monkeypatch):
    """Draw no silent answer for the slice unless a test asks for it."""
    monkeypatch.setattr(choosing, "MOST_PROPENSITY", 0.0)


@pytest.fixture
def product(db):
    return Product()
