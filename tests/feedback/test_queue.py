"""The pages of the review queue: what one address means, bulk, what is kept when it is refused."""

import re
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from feedback import claims, review
from feedback.admin import bulk
from feedback.models import Feedback, ReviewClaim
from feedback.review import ranking
from privacy.models import StaffProject
from tests.feedback.test_admin import QUEUE, decide, flag, page_of, staff, text_of
from tests.product import Product

pytestmark = pytest.mark.django_db
CORRECTED = {"signal": "correction", "corrected": "neg", "comment": "<b>bold</b>"}


@pytest.fixture
def product():
    product = Product()
    product.task()
    return product


@pytest.fixture
def kim(product):
    return staff("kim", "view_feedback", "change_feedback")


@pytest.fixture
def lee(product):
    return staff("lee", "view_feedback", "change_feedback")


def act(client, action, *rows, **fields):
    chosen = {"action": action, "_selected_action": [row.pk for row in rows]}
    return text_of(client.post(QUEUE, chosen | fields, follow=True))


def test_it_works(kim, product):
    flag(product)
    text = text_of(kim.get(QUEUE))
    assert "1 waiting" in text
    assert "Not ranked yet" in text
    ranking.rank_queue()
    assert "How sure the model was is not known; served once" in text_of(kim.get(QUEUE))


def test_pages_go_on_after_the_last_row(kim, product, monkeypatch):
    rows = [flag(product, text=f"soup {n}") for n in range(5)]
    monkeypatch.setattr("feedback.admin.queue.ReviewQueue.list_per_page", 2)
    seen, address = [], QUEUE
    while address:
        changelist = kim.get(address).context["cl"]
        seen += [row.pk for row in changelist.result_list]
        address = changelist.next_url and QUEUE + changelist.next_url
    assert seen == [row.pk for row in rows]


@pytest.mark.parametrize("after", ["x", "[]", '["x", 1]', '{"a": 1}', "[" * 5_000])
def test_a_broken_place_is_an_empty_page(kim, product, after):
    flag(product)
    assert kim.get(QUEUE, {"after": after, "order": "oldest"}).status_code == 200
    assert kim.get("/admin/feedback/feedback/", {"after": after}).status_code == 200


@pytest.mark.parametrize("view", ["whose=999999", "alike=999999", "task=abc", "whose=x"])
def test_a_filter_that_means_nothing_leaves_nothing(kim, product, view):
    flag(product)
    assert "Nothing flagged matches this view." in text_of(kim.get(f"{QUEUE}?{view}"))
    kim.post(f"{QUEUE}?{view}", {"action": "escalate", "select_across": "1"})
    assert not Feedback.objects.filter(review__isnull=False).exists()


def test_filters_say_how_many_they_would_leave(kim, product):
    flag(product)
    flag(product, "ben", "z", **CORRECTED)
    text = text_of(kim.get(QUEUE))
    assert "shop / mood 2" in text
    assert "down 1" in text
    assert "Contains markup or a script 1" in text
    assert (
        "A thumbs down" not in text_of(kim.get(f"{QUEUE}?signal=correction")).split("By signal")[1]
    )


def test_what_is_searched_for_is_what_comes_next(kim, product):
    flag(product, text="an apple")
    banana = flag(product, text="a banana")
    view = "?q=banana"
    assert "1 waiting" in text_of(kim.get(QUEUE + view))
    assert kim.get(f"{QUEUE}next/{view}").url == page_of(banana) + view


def test_alike_leaves_those_of_the_same_input(kim, product):
    first = flag(product)
    flag(product, "ben")
    flag(product, "ann", "another soup")
    assert "1 more in the queue about the same input" in text_of(kim.get(page_of(first)))
    assert "2 waiting" in text_of(kim.get(f"{QUEUE}?alike={first.pk}"))
    assert "2 waiting" in text_of(kim.get(f"{QUEUE}?whose={first.pk}"))


# --- Many at once ---------------------------------------------------------------------------------
def test_all_of_a_view_is_decided_and_told(kim, lee, product):
    rows = [flag(product, "ann", f"soup {n}", **CORRECTED) for n in range(4)]
    bare = flag(product)
    lee.get(page_of(rows[0]))
    said = act(kim, "accept", *rows, bare)
    assert "3 accepted. " in said
    assert "1 left alone: lee has it open." in said
    assert "1 left alone: decided, in need of nothing, or without a word" in said
    assert Feedback.objects.filter(status="pending").count() == 3
    assert "3 undone." in text_of(kim.post(f"{QUEUE}undo/", follow=True))
    assert Feedback.objects.flagged().count() == 5


def test_what_cannot_be_accepted_stands_in_nobodys_way(kim, product, monkeypatch):
    monkeypatch.setattr(bulk, "MOST_AT_ONCE", 2)
    bare = [flag(product, text=f"bare {n}") for n in range(3)]
    good = [flag(product, "ann", f"soup {n}", **CORRECTED) for n in range(3)]
    said = act(kim, "accept", *bare, *good)
    assert "2 accepted. " in said
    assert "1 left alone: beyond 2 at once." in said


def test_two_moderators_accept_many_together(kim, lee, product):
    product.patch("tasks/mood/", {"settings": {"approvals_required": 2}})
    rows = [flag(product, "ann", f"soup {n}", **CORRECTED) for n in range(3)]
    assert "0 accepted. 3 accepted by you, and still to be by others." in act(kim, "accept", *rows)
    assert "3 accepted. " in act(lee, "accept", *rows)
    assert Feedback.objects.filter(status="pending").count() == 3


def test_a_rejection_of_many_needs_its_reason(kim, product):
    row = flag(product)
    assert "Nothing rejected: choose a reason" in act(kim, "reject", row)
    assert "Nothing rejected: choose a reason" in act(kim, "reject", row, ground="other")
    assert "1 rejected." in act(kim, "reject", row, ground="abuse", note="rude")
    assert row.review.reason == "Abusive or offensive: rude"


def test_it_is_too_late_after_some_seconds(kim, product, monkeypatch):
    act(kim, "escalate", flag(product))
    monkeypatch.setattr(bulk.time, "time", lambda: 4e9)
    assert "too late to undo" in text_of(kim.post(f"{QUEUE}undo/", follow=True))
    assert Feedback.objects.get().review.decision == "escalate"


# --- One at a time --------------------------------------------------------------------------------
def test_what_was_written_is_kept_when_somebody_else_has_it(kim, lee, product):
    feedback = flag(product)
    kim.get(page_of(feedback))
    ReviewClaim.objects.update(ends_at=Now() - timedelta(seconds=1))
    lee.get(page_of(feedback))
    answer = kim.post(page_of(feedback), {"decision": "escalate", "note": "my long note"})
    text = answer.content.decode()
    assert "my long note" in text
    assert "lee has taken this up since" in text
    feedback.refresh_from_db()
    assert not hasattr(feedback, "review")


def test_what_was_written_is_kept_when_it_is_decided_meanwhile(kim, product):
    feedback = flag(product)
    kim.get(page_of(feedback))
    review.accept(feedback, by="lee")
    answer = kim.post(page_of(feedback), {"decision": "escalate", "note": "my long note"})
    assert "my long note" in answer.content.decode()
    assert "lee decided this (accept) while you looked at it." in answer.content.decode()


def test_undo_stays_in_the_filtered_queue(kim, product):
    feedback = flag(product)
    view = "?signal=down&order=oldest"
    kim.post(page_of(feedback) + view, {"decision": "escalate"})
    assert f"{QUEUE}undo/{view}".replace("&", "&amp;") in kim.get(QUEUE + view).content.decode()
    assert kim.post(f"{QUEUE}undo/{view}").url == page_of(feedback) + view


def test_who_can_do_nothing_more_is_told_why(kim, product):
    decide(kim, flag(product), "escalate")
    said = text_of(kim.get(f"{QUEUE}next/", follow=True))
    assert "What is left is open before others, or waits for another moderator." in said


def test_a_second_moderator_sees_that_it_was_pinned(kim, lee, product):
    product.patch("tasks/mood/", {"settings": {"approvals_required": 2}})
    feedback = flag(product)
    decide(kim, feedback, "edit", corrected="neg", is_pinned="on")
    kim.get(QUEUE)
    pin = re.search(
        r'<input[^>]*name="is_pinned"[^>]*>', lee.get(page_of(feedback)).content.decode()
    )
    assert "checked" in pin[0]


def test_the_history_says_what_was_undone(kim, product):
    feedback = flag(product)
    review.escalate(feedback, by="lee", reason="hard")
    made = review.reject(feedback, by="kim", reason="no")
    review.undo(feedback, by="kim", record=made.record)
    assert "undone by kim" in text_of(kim.get(page_of(feedback)))


def test_an_open_page_keeps_its_item(kim, lee, product):
    feedback = flag(product)
    address = f"{QUEUE}claim/{feedback.pk}/"
    kim.get(page_of(feedback))
    assert kim.post(address).status_code == 204
    assert lee.post(address).status_code == 409
    assert claims.of(claims.FEEDBACK, feedback.pk).moderator == "kim"
    review.accept(feedback, by="kim")
    assert kim.post(address).status_code == 409


def test_another_projects_items_are_nobodys(product):
    feedback = flag(product)
    stranger = staff("sue", "view_feedback", "change_feedback")
    stranger_of = Product("other")
    stranger_of.task()
    user = stranger.session["_auth_user_id"]
    StaffProject.objects.filter(user=user).update(project=stranger_of.project)
    assert stranger.post(f"{QUEUE}claim/{feedback.pk}/").status_code == 409
    assert stranger.get(f"{QUEUE}next/").url == QUEUE
    stranger.post(page_of(feedback), {"decision": "escalate"})
    act(stranger, "escalate", feedback)
    assert not Feedback.objects.filter(review__isnull=False).exists()
