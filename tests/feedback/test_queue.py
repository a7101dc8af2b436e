"""The pages of the review queue: what one address means, bulk, what is kept when it is refused."""

import re
from datetime import timedelta
from functools import partial

import pytest
from django.db.models.functions import Now

from feedback import claims, review
from feedback.admin import bulk, queue, undoing
from feedback.models import Feedback, ReviewClaim
from feedback.review import ranking
from privacy.models import StaffProject
from tests.feedback.test_admin import QUEUE, decide, flag, page_of, staff, text_of
from tests.product import Product, process

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


@pytest.mark.parametrize("word", ['"quoted"', "back\\slash", "Stra\u00dfe"])
def test_words_are_found_as_they_were_written(kim, product, word):
    flag(product, text=f"soup, {word} they say")
    flag(product, text="another")
    assert "1 waiting" in text_of(kim.get(QUEUE, {"q": word}))


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


def meanwhile(monkeypatch, happens):
    """Let something happen while the first of many is decided."""
    accept = queue._accept

    def first_happens(feedback, **more):
        if happens:
            happens.pop()()
        return accept(feedback, **more)

    monkeypatch.setattr(queue, "_accept", first_happens)


@pytest.mark.parametrize("then", ["reject", "escalate"])
def test_what_a_colleague_decided_meanwhile_stands(kim, product, monkeypatch, then):
    first, last = (flag(product, "ann", f"soup {n}", **CORRECTED) for n in range(2))
    more = {"reason": "no"} if then == "reject" else {}
    decided = partial(getattr(review, then), last, by="ben", **more)
    meanwhile(monkeypatch, [decided])
    said = act(kim, "accept", first, last)
    assert "1 accepted. 1 left alone: decided meanwhile, or gone." in said
    assert (last.review.moderator, last.review.decision) == ("ben", then)


def test_what_is_gone_meanwhile_is_left_alone(kim, product, monkeypatch):
    first, last = (flag(product, "ann", f"soup {n}", **CORRECTED) for n in range(2))
    meanwhile(monkeypatch, [Feedback.objects.filter(pk=last.pk).delete])
    assert "1 accepted. 1 left alone: decided meanwhile, or gone." in act(
        kim, "accept", first, last
    )
    assert "1 undone." in text_of(kim.post(f"{QUEUE}undo/", follow=True))


def test_a_second_yes_to_many_keeps_the_pin(kim, lee, product):
    product.patch("tasks/mood/", {"settings": {"approvals_required": 2}})
    feedback = flag(product)
    decide(kim, feedback, "edit", corrected="neg", is_pinned="on")
    assert "1 accepted." in act(lee, "accept", feedback)
    now = review.standing(feedback)
    assert (now.decision, now.corrected, now.is_pinned) == ("accept", "neg", True)


def test_many_thumbs_down_are_accepted_as_one_label(kim, product):
    down = [flag(product, f"user-{n}") for n in range(3)]
    said = flag(product, "ben", "z", **CORRECTED)
    assert "3 left alone" in act(kim, "accept", *down, label="neutral")
    assert "4 accepted." in act(kim, "accept", *down, said, label="neg")
    assert {review.standing(row).corrected for row in down} == {"neg"}
    assert review.standing(said).corrected is None


def test_a_thumb_up_says_what_is_right(kim, product):
    up = flag(product, signal="up", comment="<b>bold</b>")
    act(kim, "accept", up, label="neg")
    now = review.standing(up)
    assert (now.decision, now.corrected) == ("accept", None)


def test_only_labels_are_given_to_many(kim, product):
    product.task(slug="letters", modality="text", labels=[])
    row = flag(product, task="letters")
    assert "1 left alone: its task has no labels." in act(kim, "accept", row, label="neg")


def test_what_cannot_be_undone_is_counted(kim, product):
    product.patch("tasks/mood/", {"settings": {"approvals_required": 2}})
    proposed, other = flag(product), flag(product, text="another")
    review.accept(proposed, by="lee", corrected="neg")
    said = act(kim, "reject", proposed, other, ground="wrong")
    assert "2 rejected. 1 of them cannot be undone." in said
    assert "1 undone." in text_of(kim.post(f"{QUEUE}undo/", follow=True))


def test_one_decision_after_the_other_is_undone(kim, product):
    first, second = flag(product), flag(product, text="another")
    for row in (first, second):
        decide(kim, row, "reject", ground="wrong")
    for row in (second, first):
        assert kim.post(f"{QUEUE}undo/").url == page_of(row)
    assert Feedback.objects.flagged().count() == 2
    assert "too late to undo" in text_of(kim.post(f"{QUEUE}undo/", follow=True))


def test_nothing_older_is_undone_after_what_cannot_be(kim, product):
    product.patch("tasks/mood/", {"settings": {"approvals_required": 2}})
    first, second = flag(product), flag(product, text="another")
    review.accept(second, by="lee", corrected="neg")
    decide(kim, first, "reject", ground="wrong")
    decide(kim, second, "reject", ground="wrong")
    assert "too late to undo" in text_of(kim.post(f"{QUEUE}undo/", follow=True))
    first.refresh_from_db()
    assert first.status == "rejected"


def test_to_undo_many_holds_them_back_for_as_long_as_it_takes(kim, product, monkeypatch):
    act(kim, "accept", flag(product, **CORRECTED))
    held = []
    monkeypatch.setattr(review, "hold_back", lambda pks, wait: held.append((len(pks), wait)))
    kim.post(f"{QUEUE}undo/")
    assert held == [(1, review.OF_MANY)]


def test_it_is_too_late_after_some_seconds(kim, product, monkeypatch):
    act(kim, "escalate", flag(product))
    monkeypatch.setattr(undoing.time, "time", lambda: 4e9)
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


def test_what_is_chosen_is_accepted_whatever_the_button(kim, product):
    feedback = flag(product)
    decide(kim, feedback, "accept", corrected="neg")
    assert review.standing(feedback).corrected == "neg"


def test_a_text_that_was_changed_is_accepted_as_it_stands(kim, product):
    product.task(slug="letters", modality="text", labels=[])
    first, other = (
        flag(product, name, task="letters", signal="correction", corrected=f"<b>Dear</b>\n{name}")
        for name in ("ann", "ben")
    )
    decide(kim, first, "accept", corrected="<b>Dear</b>\r\nann")  # as browsers send it
    decide(kim, other, "accept", corrected="Dear\r\nben")
    assert [review.standing(row).corrected for row in (first, other)] == [None, "Dear\nben"]


def test_what_is_emptied_is_not_accepted(kim, product):
    feedback = flag(product, **CORRECTED)
    said = decide(kim, feedback, "accept", corrected="")
    assert "Say what is right, or put back what stood here." in text_of(said)
    assert decide(kim, feedback, "reject", corrected="", ground="wrong").status_code == 302


def test_ends_of_lines_are_no_change(kim, product):
    product.task(slug="letters", modality="text", labels=[])
    feedback = flag(product, task="letters", output="Dear\r\nguest")
    said = decide(kim, feedback, "edit", corrected="Dear\r\nguest")
    assert "This is what the model said." in text_of(said)


def test_what_is_erased_while_it_is_decided_is_gone(kim, product, monkeypatch):
    feedback = flag(product)

    def erased(*_, **__):
        Feedback.objects.filter(pk=feedback.pk).delete()
        return False

    monkeypatch.setattr("feedback.admin.item.DecisionForm.decide", erased)
    answer = kim.post(page_of(feedback), {"decision": "escalate"}, follow=True)
    assert review.GONE in text_of(answer)


def test_to_revise_keeps_what_a_moderator_said_is_right(kim, product):
    feedback = flag(product)
    decide(kim, feedback, "edit", corrected="neg")
    Feedback.objects.update(ready_at=Now())
    process()
    page = kim.get(page_of(feedback)).content.decode()
    assert "Accept as <bdi>neg</bdi>" in page
    assert '<option value="neg" selected>' in page
    decide(kim, feedback, "accept", is_pinned="on")
    now = review.standing(feedback)
    assert (now.corrected, now.is_pinned) == ("neg", True)


def test_what_was_revised_stays_before_whoever_revised_it(kim, product):
    feedback = flag(product)
    flag(product, text="what comes next")
    decide(kim, feedback, "edit", corrected="neg")
    Feedback.objects.filter(pk=feedback.pk).update(ready_at=Now())
    process()
    assert "Home &rsaquo; All feedback &rsaquo;" in text_of(kim.get(page_of(feedback)))
    answer = decide(kim, feedback, "reject", ground="wrong")
    assert answer.url == page_of(feedback)
    assert "Rejected." in text_of(kim.get(answer.url))


def test_what_the_field_does_not_show_is_named_and_taken_out(kim, product):
    product.task(slug="letters", modality="text", labels=[])
    said = "<b>Dear</b> \u202e nice\u200b guest\u00a0x"
    feedback = flag(product, task="letters", signal="correction", corrected=said)
    page = text_of(kim.get(page_of(feedback)))
    assert "The field holds 1 \u00d7 U+202E , 1 \u00d7 U+200B , 1 \u00d7 U+00A0 :" in page
    decide(kim, feedback, "edit", corrected=said, is_cleaned="on")
    assert review.standing(feedback).corrected == "<b>Dear</b>  nice guest x"


def test_a_failed_one_is_discarded_for_a_reason(product):
    lead = staff("lea", "view_feedback", "retry_feedback")
    feedback = flag(product)
    review.accept(feedback, by="kim", corrected="neg")
    Feedback.objects.filter(pk=feedback.pk).update(status="failed", error="feedback.label_gone")
    assert "Say why it is discarded." in text_of(decide(lead, feedback, "discard"))
    decide(lead, feedback, "discard", note="its label is gone")
    feedback.refresh_from_db()
    assert feedback.status == "rejected"


def test_who_may_not_decide_is_not_asked_to(product):
    flag(product)
    text = text_of(staff("eng", "view_feedback").get(QUEUE))
    assert "1 waiting" in text
    assert "Review the next" not in text


def test_who_was_given_no_project_is_told_so(product):
    flag(product)
    nix = staff("nix", "view_feedback", "change_feedback")
    StaffProject.objects.all().delete()
    assert "No project is given to you" in text_of(nix.get(QUEUE))


def test_a_list_leaves_what_is_open_with_whoever_has_it(kim, lee, product):
    feedback = flag(product)
    kim.get(page_of(feedback))
    kim.get(QUEUE)
    assert lee.get(f"{QUEUE}next/").url == QUEUE


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
