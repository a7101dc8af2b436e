"""The list of contributors: what a moderator decides about many of them."""

import re

import pytest

from feedback.admin import people
from feedback.models import Contributor
from tests.product import Product
from tests.roles import permitted

pytestmark = pytest.mark.django_db
PAGE = "/admin/feedback/contributor/"


@pytest.fixture
def task():
    product = Product()
    product.task()
    task = product.project.tasks.get()
    Contributor.objects.bulk_create(Contributor(task=task, user_id=f"u-{n}") for n in range(3))
    return task


def act(task, **chosen):
    """Let a moderator do something with all that are listed; return what the page says of it."""
    seen = ["view_contributor", "change_contributor"]
    kim = permitted("kim", *seen, projects=[task.project])
    keys = Contributor.objects.order_by("pk").values_list("pk", flat=True)
    answer = kim.post(PAGE, {"_selected_action": [*keys], **chosen}, follow=True)
    said = re.search(r'<ul class="messagelist">.*?</ul>', answer.content.decode(), re.DOTALL)[0]
    return " ".join(re.sub(r"<[^>]+>", " ", said).split())


def test_many_are_decided_about_for_a_reason(task):
    assert act(task, action="quarantine", reason=" one and the same ") == (
        "3 quarantined from now on, by your decision."
    )
    found = set(Contributor.objects.values_list("standing", "is_held", "reason"))
    assert found == {("quarantined", True, "one and the same")}


def test_what_is_left_beyond_so_many_at_once_is_said(task, monkeypatch):
    monkeypatch.setattr(people, "MOST_AT_ONCE", 2)
    said = act(task, action="trust")
    assert "1 left alone: beyond 2 at once." in said
    assert "2 trusted from now on, by your decision." in said
    assert Contributor.objects.filter(is_held=True).count() == 2


def test_only_who_was_decided_about_is_let_go(task):
    first = Contributor.objects.order_by("pk").first()
    Contributor.objects.filter(pk=first.pk).update(is_held=True, standing="quarantined")
    assert act(task, action="let_go") == "1 judged again, from the next scores on."
    first.refresh_from_db()
    assert (first.is_held, first.standing) == (False, "probation")
