"""Long lists: what is said of their rows, and where a page may begin."""

from urllib.parse import quote

import pytest

from feedback.admin import queue
from privacy.paging import counted
from tests.product import Product
from tests.roles import permitted

pytestmark = pytest.mark.django_db
QUEUE = "/admin/feedback/flaggedfeedback/"


@pytest.fixture
def kim(monkeypatch):
    """Return a moderator with three rows in lists of two."""
    monkeypatch.setattr(queue.ReviewQueue, "list_per_page", 2)
    product = Product()
    product.task()
    for n in range(3):
        product.correct("ann", f"soup {n}", signal="down", corrected=None)
    return permitted("kim", "view_feedback", "change_feedback", projects=[product.project])


def page(client, address):
    answer = client.get(QUEUE + address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_all_rows_are_counted_where_they_are_few(kim):
    said = page(kim, "")
    assert "Select all 3</a>" in said
    assert "All 3 selected" in said


def test_a_search_says_no_number_of_what_it_has_not_counted(kim):
    said = page(kim, "?q=soup")
    assert "Select all that match, 500 at once at most</a>" in said
    assert "All that match are selected" in said
    assert "Select all 3" not in said


def test_what_is_counted_up_to_a_limit_says_so():
    assert [counted(9_999), counted(10_000), counted(3, most=3)] == ["9,999", "10,000+", "3+"]


def test_how_many_at_once_is_said_where_all_are_more(kim, monkeypatch):
    monkeypatch.setattr(queue.ListOfFeedback, "most_at_once", 2)
    assert "Select all 3, 2 at once at most</a>" in page(kim, "")


@pytest.mark.parametrize(
    "after", [f"[{'9' * 400}, 1]", f"[0, {'9' * 400}]", "[" * 5_000, '["\\u0000", 1]', "{}", "[1]"]
)
def test_a_place_that_cannot_be_begins_an_empty_page(kim, after):
    assert "soup" not in page(kim, f"?after={quote(after)}")
