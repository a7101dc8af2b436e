"""Second looks: which decisions are drawn, who may judge them, what the page doesn't tell."""

import re
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from feedback import claims, review
from feedback.errors import TransitionRefused
from feedback.models import Feedback, SecondLook
from tests import roles
from tests.product import Product, process

pytestmark = pytest.mark.django_db
LIST = "/admin/feedback/secondlook/"
REASON = "made up for a test"


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    monkeypatch.setattr(review.second, "chance", lambda: 0.0)


@pytest.fixture
def lee(shop):
    return roles.staff("moderator", shop.project, name="lee")


def flag(shop, text="good soup", user_id="ann"):
    sent = shop.correct(user_id, text, signal="down", corrected=None)
    return Feedback.objects.get(uuid=sent["id"])


def accept(feedback, by="kim", **more):
    return review.accept(feedback, by=by, corrected="neg", **more)


def page_of(feedback):
    return f"{LIST}{feedback.second_look.pk}/change/"


def text_of(answer):
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def said():
    return list(SecondLook.objects.values_list("first", "is_first_yes", "second", "is_second_yes"))


def test_it_works(shop, lee):
    accept(feedback := flag(shop))
    process()
    queue = text_of(lee.get("/admin/feedback/flaggedfeedback/"))
    assert "1 second look How review is going" in queue
    assert "Judge the next N 1 decision of others" in text_of(lee.get(LIST))
    page = text_of(lee.get(f"{LIST}next/", follow=True))
    assert "Second look" in page
    answer = lee.post(page_of(feedback), {"decision": "reject"}, follow=True)
    assert "Noted: you would reject it. It stands as it was decided." in text_of(answer)
    assert "Nothing waits for your second look." in text_of(answer)
    assert said() == [("kim", True, "lee", False)]
    feedback.refresh_from_db()
    assert feedback.status == "processed"


def test_the_share_is_the_tasks(shop, monkeypatch):
    monkeypatch.setattr(review.second, "chance", iter([0.04, 0.06, 0.06, 0.0]).__next__)
    accept(flag(shop))
    accept(flag(shop, "bad soup"))
    assert SecondLook.objects.count() == 1
    for share, count in ((0.1, 2), (0, 2)):
        shop.patch("tasks/mood/", {"settings": {"second_looks": share}})
        accept(flag(shop, f"soup {share}"))
        assert SecondLook.objects.count() == count


def test_only_verdicts_from_the_queue_are_drawn(shop):
    shop.patch("tasks/mood/", {"settings": {"approvals_required": 2}})
    feedback = flag(shop)
    review.escalate(feedback, by="kim")
    accept(feedback)
    assert said() == []
    accept(feedback, by="mia")
    assert said() == [("mia", True, "", None)]


def test_what_is_revised_is_judged_by_a_third(shop):
    accept(feedback := flag(shop))
    process()
    review.reject(feedback, by="mia", reason=REASON)
    assert not SecondLook.objects.waiting_for("mia")
    review.second.judge(feedback.second_look, by="lee", is_yes=False)
    assert said() == [("kim", True, "lee", False)]


def test_what_is_in_the_queue_again_waits_no_more(shop):
    accept(feedback := flag(shop))
    process()
    review.escalate(feedback, by="mia")
    assert not SecondLook.objects.waiting_for("lee")


def test_nobody_judges_a_third_time(shop):
    accept(feedback := flag(shop))
    process()
    review.second.judge(feedback.second_look, by="lee", is_yes=True)
    review.escalate(feedback, by="mia")
    review.reject(feedback, by="mia", reason=REASON)
    assert said() == [("kim", True, "lee", True)]


def test_nobody_is_asked_while_it_can_be_undone(shop, monkeypatch):
    feedback = flag(shop)
    made = accept(feedback, wait=review.UNDO_AND_WAY)
    monkeypatch.setattr("feedback.querysets.SECOND_LOOK_AFTER", timedelta(minutes=5))
    assert not SecondLook.objects.waiting_for("lee")
    SecondLook.objects.update(drawn_at=timezone.now() - timedelta(minutes=6))
    assert SecondLook.objects.waiting_for("lee")
    SecondLook.objects.update(drawn_at=timezone.now())
    review.undo(feedback, by="kim", record=made.record)
    assert said() == []
    review.reject(feedback, by="kim", reason=REASON)
    assert said() == [("kim", False, "", None)]


def test_nobody_judges_what_they_had_a_part_in(shop):
    shop.patch("tasks/mood/", {"settings": {"approvals_required": 2}})
    feedback = flag(shop)
    accept(feedback, by="lee")
    accept(feedback, by="kim")
    for by in ("lee", "kim"):
        assert not SecondLook.objects.waiting_for(by)
        with pytest.raises(TransitionRefused):
            review.second.judge(feedback.second_look, by=by, is_yes=True)
    review.second.judge(feedback.second_look, by="mia", is_yes=True)
    with pytest.raises(TransitionRefused):
        review.second.judge(feedback.second_look, by="nell", is_yes=False)
    assert said() == [("kim", True, "mia", True)]


def test_what_is_old_waits_no_more(shop, lee):
    accept(flag(shop))
    SecondLook.objects.update(drawn_at=timezone.now() - timedelta(days=15))
    assert "Nothing waits for your second look." in text_of(lee.get(LIST))


def test_the_page_does_not_tell_how_it_was_decided(shop, lee):
    """The same page, whatever was decided: but for what names the act."""
    first, other = flag(shop), flag(shop, user_id="ben")
    review.accept(first, by="kim", corrected="neg", reason=REASON, is_pinned=True)
    review.reject(other, by="kim", reason=REASON)
    process()
    pages = []
    for feedback in (first, other):
        page = text_of(lee.get(page_of(feedback)))
        for name in (str(feedback.uuid), str(feedback.uuid)[:8], "ann", "ben"):
            page = page.replace(name, "it")
        pages.append(page)
    assert pages[0] == pages[1]
    assert "kim" not in pages[0]
    assert REASON not in pages[0]


def test_what_one_said_can_be_undone(shop, lee):
    accept(feedback := flag(shop))
    lee.post(page_of(feedback), {"decision": "accept"})
    page = text_of(lee.get(LIST))
    assert "Noted: you would accept it." in page
    assert "kim" not in page
    answer = lee.post(f"{LIST}undo/")
    assert answer["Location"] == page_of(feedback)
    assert said() == [("kim", True, "", None)]
    with pytest.raises(TransitionRefused):
        review.second.undo(feedback.second_look, by="lee")


def test_two_never_have_the_same_before_them(shop, lee):
    mia = roles.staff("moderator", shop.project, name="mia")
    rows = [flag(shop), flag(shop, "bad soup")]
    for feedback in rows:
        accept(feedback)
    pages = [client.get(f"{LIST}next/")["Location"] for client in (lee, mia)]
    assert pages == [page_of(feedback) for feedback in rows]
    assert "lee has this open" in text_of(mia.get(pages[0]))
    answer = mia.post(pages[0], {"decision": "reject"}, follow=True)
    assert "Lee has taken this up since" in text_of(answer)
    assert mia.post(f"{LIST}claim/{rows[0].second_look.pk}/").status_code == 409
    assert lee.post(f"{LIST}claim/{rows[0].second_look.pk}/").status_code == 204
    assert Counter(said()) == {("kim", True, "", None): 2}


def test_a_page_that_came_too_late_leads_to_the_feedback(shop, lee):
    accept(feedback := flag(shop))
    page = page_of(feedback)
    review.second.judge(feedback.second_look, by="mia", is_yes=True)
    target = f"/admin/feedback/feedback/{feedback.pk}/change/"
    assert lee.get(page)["Location"] == target
    answer = lee.post(page, {"decision": "accept"}, follow=True)
    assert "This waits for no second look of yours any more." in text_of(answer)
    assert "Would accept it by mia" in text_of(lee.get(target))


def test_who_differed_is_found(shop, lee):
    same, other = flag(shop), flag(shop, "bad soup")
    accept(same)
    accept(other)
    review.second.judge(same.second_look, by="mia", is_yes=True)
    review.second.judge(other.second_look, by="mia", is_yes=False)
    differing = lee.get(f"{LIST}?judged=differ")
    assert "kim: accept, mia: reject" in text_of(differing)
    assert f"/admin/feedback/feedback/{other.pk}/change/" in differing.content.decode()
    assert "kim: accept, mia: accept" in text_of(lee.get(f"{LIST}?judged=same"))
    assert "None so far." in text_of(lee.get(f"{LIST}?judged=x"))


def test_nobody_filters_by_what_is_hidden(shop, lee):
    accept(flag(shop))
    for asked in ("first=kim", "is_first_yes__exact=1", "feedback__status=pending"):
        assert lee.get(f"{LIST}?{asked}").status_code == 400


def test_a_decision_that_is_none_is_asked_again(shop, lee):
    accept(feedback := flag(shop))
    answer = lee.post(page_of(feedback), {"decision": "maybe"})
    assert answer["Location"] == page_of(feedback)
    assert said() == [("kim", True, "", None)]


def test_an_engineer_may_look_but_not_judge(shop):
    accept(feedback := flag(shop))
    engineer = roles.staff("engineer", shop.project)
    assert "You may look at this, but not judge it." in text_of(engineer.get(page_of(feedback)))
    assert engineer.post(page_of(feedback), {"decision": "accept"}).status_code == 403
    assert engineer.post(f"{LIST}undo/").status_code == 403
    assert engineer.get(f"{LIST}next/").status_code == 403


def test_nobody_sees_those_of_another_project(shop):
    accept(feedback := flag(shop))
    stranger = roles.staff("moderator", Product("other").project, name="nell")
    assert "Nothing waits" in text_of(stranger.get(LIST))
    assert stranger.post(page_of(feedback), {"decision": "accept"}).status_code in (302, 403)
    assert "second look" not in text_of(stranger.get("/admin/feedback/flaggedfeedback/"))
    assert stranger.post(f"{LIST}claim/{feedback.second_look.pk}/").status_code == 409
    assert said() == [("kim", True, "", None)]


def test_claims_of_lists_are_not_mixed_up(shop, lee):
    accept(feedback := flag(shop))
    claims.take(claims.FEEDBACK, feedback.second_look.pk, by="mia")
    assert "has this open" not in text_of(lee.get(page_of(feedback)))
