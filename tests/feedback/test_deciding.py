"""Approvals of several moderators, undo, claims, and the order of the queue."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from feedback import claims, review
from feedback.contributors import follow
from feedback.errors import ReviewInvalid, TransitionRefused
from feedback.models import Approval, Feedback, Inference, Review, ReviewClaim
from feedback.review import ranking
from tests.product import Product, process
from tests.training.builders import taken

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


def flag(shop, user_id="ann", text="good soup", **more):
    body = {"inference_id": shop.infer(text, **more), "signal": "down", "user_id": user_id}
    return Feedback.objects.get(uuid=shop.post("feedback/", body, 201)["id"])


def require(shop, **settings):
    shop.patch("tasks/mood/", {"settings": settings})


def status_of(feedback):
    feedback.refresh_from_db()
    return feedback.status


def refused_in_sql(feedback):
    with pytest.raises(IntegrityError, match="approvals"), transaction.atomic():
        Feedback.objects.filter(pk=feedback.pk).update(status="pending")


def decisions(feedback):
    records = Review.history.filter(feedback_id=feedback.pk).order_by("history_id")
    return list(records.values_list("decision", "moderator"))


def test_it_works(shop):
    """Two moderators accept the same, and the feedback goes on."""
    require(shop, approvals_required=2)
    feedback = flag(shop)
    first = review.accept(feedback, by="kim", corrected="neg")
    assert (first.decision, status_of(feedback)) == ("approve", "flagged")
    refused_in_sql(feedback)
    second = review.accept(feedback, by="lee", corrected="neg")
    assert (second.decision, status_of(feedback)) == ("accept", "pending")
    process()
    assert taken().get().output == "neg"
    assert decisions(feedback) == [("approve", "kim"), ("accept", "lee")]


def test_one_moderator_counts_once(shop):
    require(shop, approvals_required=2)
    feedback = flag(shop)
    for _ in range(3):
        review.accept(feedback, by="kim", corrected="neg")
    assert status_of(feedback) == "flagged"
    refused_in_sql(feedback)


def test_two_who_accept_different_answers_do_not_agree(shop):
    require(shop, approvals_required=2)
    feedback = flag(shop)
    review.accept(feedback, by="kim", corrected="neg")
    review.accept(feedback, by="lee")
    assert status_of(feedback) == "flagged"
    refused_in_sql(feedback)
    review.accept(feedback, by="kim")
    assert status_of(feedback) == "pending"


def test_high_impact_asks_for_two_by_default(shop):
    feedback = flag(shop)
    Feedback.objects.filter(pk=feedback.pk).update(flags=["feedback.high_impact"])
    review.accept(feedback, by="kim", corrected="neg")
    assert status_of(feedback) == "flagged"
    refused_in_sql(feedback)
    review.accept(feedback, by="lee", corrected="neg")
    assert status_of(feedback) == "pending"


def test_who_escalates_takes_their_yes_back(shop):
    require(shop, approvals_required=2)
    feedback = flag(shop)
    review.accept(feedback, by="kim", corrected="neg")
    review.escalate(feedback, by="kim")
    review.accept(feedback, by="lee", corrected="neg")
    assert status_of(feedback) == "flagged"


def test_one_no_is_enough(shop):
    require(shop, approvals_required=2)
    feedback = flag(shop)
    review.accept(feedback, by="kim", corrected="neg")
    review.reject(feedback, by="lee", reason="no")
    assert status_of(feedback) == "rejected"


def test_who_overturns_a_rejection_begins_anew(shop):
    require(shop, approvals_required=2)
    feedback = flag(shop)
    review.accept(feedback, by="kim", corrected="neg")
    review.reject(feedback, by="lee", reason="no")
    review.accept(feedback, by="mia", corrected="neg")
    assert status_of(feedback) == "flagged"
    assert Approval.objects.get().moderator == "mia"


def test_the_scores_may_release_what_they_alone_had_flagged(shop):
    require(shop, approvals_required=2)
    feedback = flag(shop)
    Feedback.objects.filter(pk=feedback.pk).update(flags=["feedback.low_trust"])
    follow_as_trusted(feedback)
    assert status_of(feedback) == "pending"


def follow_as_trusted(feedback):
    feedback.task.contributors.create(user_id="ann", standing="trusted")
    follow(feedback.task)


def test_failed_feedback_takes_no_way_round(shop):
    require(shop, approvals_required=2)
    feedback = flag(shop)
    for moderator in ("kim", "lee"):
        review.accept(feedback, by=moderator, corrected="neg")
    Feedback.objects.filter(pk=feedback.pk).update(status="failed")
    with pytest.raises(TransitionRefused):
        review.accept(feedback, by="mia")
    review.retry(feedback, by="mia")
    process()
    assert taken().get().output == "neg"


# --- Undo -----------------------------------------------------------------------------------------
def test_undo_puts_it_back_as_it_was(shop):
    feedback = flag(shop)
    before = Feedback.objects.values().get(pk=feedback.pk)
    made = review.accept(feedback, by="kim", corrected="neg", wait=review.UNDO_AND_WAY)
    assert not process()
    review.undo(feedback, by="kim", record=made.record)
    after = Feedback.objects.values().get(pk=feedback.pk)
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"ready_at", "touched"}
    assert not Review.objects.exists()
    assert not Approval.objects.exists()
    assert decisions(feedback) == [("accept", "kim"), ("undone", "kim")]


def test_a_rejection_is_undone(shop):
    feedback = flag(shop)
    made = review.reject(feedback, by="kim", reason="no")
    review.undo(feedback, by="kim", record=made.record)
    assert (status_of(feedback), Review.objects.exists()) == ("flagged", False)


def test_undo_brings_an_earlier_decision_back(shop):
    feedback = flag(shop)
    review.escalate(feedback, by="kim", reason="hard")
    made = review.accept(feedback, by="lee", wait=review.UNDO_AND_WAY)
    review.undo(feedback, by="lee", record=made.record)
    standing = Review.objects.get()
    assert (standing.decision, standing.moderator, standing.reason) == ("escalate", "kim", "hard")
    assert status_of(feedback) == "flagged"


def test_only_who_decided_may_undo_and_only_the_newest(shop):
    feedback = flag(shop)
    made = review.escalate(feedback, by="kim")
    with pytest.raises(TransitionRefused):
        review.undo(feedback, by="lee", record=made.record)
    review.escalate(feedback, by="lee")
    with pytest.raises(TransitionRefused):
        review.undo(feedback, by="kim", record=made.record)


def test_what_is_due_for_processing_cannot_be_undone(shop):
    feedback = flag(shop)
    made = review.accept(feedback, by="kim", corrected="neg", wait=review.UNDO_AND_WAY)
    Feedback.objects.update(ready_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(TransitionRefused):
        review.undo(feedback, by="kim", record=made.record)
    process()
    with pytest.raises(TransitionRefused):
        review.undo(feedback, by="kim", record=made.record)
    assert status_of(feedback) == "processed"


def test_a_revised_decision_is_revised_again_not_undone(shop):
    feedback = flag(shop)
    review.accept(feedback, by="kim", corrected="neg")
    process()
    assert review.reject(feedback, by="kim", reason="no").record is None


def test_nobodys_words_come_back_under_the_name_of_somebody_else(shop):
    require(shop, approvals_required=2)
    feedback = flag(shop)
    review.accept(feedback, by="kim", corrected="neg")
    assert review.accept(feedback, by="lee", wait=review.UNDO_AND_WAY).record is None


def test_an_undone_correction_is_gone(shop):
    feedback = flag(shop)
    review.escalate(feedback, by="kim")
    made = review.accept(feedback, by="lee", corrected="neg", wait=review.UNDO_AND_WAY)
    review.undo(feedback, by="lee", record=made.record)
    now = review.standing(feedback)
    assert (now.decision, now.moderator, now.corrected) == ("escalate", "kim", None)


@pytest.mark.django_db(transaction=True)
def test_an_undone_escalation_is_seen_by_the_next_version(shop):
    feedback = flag(shop)
    made = review.escalate(feedback, by="kim")
    before = Feedback.objects.values_list("touched", flat=True).get()
    review.undo(feedback, by="kim", record=made.record)
    assert Feedback.objects.values_list("touched", flat=True).get() > before


def test_an_escalation_keeps_what_is_proposed(shop):
    require(shop, approvals_required=2)
    feedback = flag(shop)
    review.accept(feedback, by="kim", corrected="neg", is_pinned=True)
    review.escalate(feedback, by="lee")
    now = review.standing(feedback)
    assert (now.corrected, now.is_pinned) == ("neg", True)
    assert review.accept(feedback, by="mia", corrected=now.corrected).decision == "accept"


def test_an_undone_escalation_leaves_ones_own_yes(shop):
    require(shop, approvals_required=2)
    feedback = flag(shop)
    review.accept(feedback, by="kim", corrected="neg")
    made = review.escalate(feedback, by="kim")
    review.undo(feedback, by="kim", record=made.record)
    assert review.standing(feedback).corrected == "neg"
    assert review.accept(feedback, by="lee", corrected="neg").decision == "accept"


@pytest.mark.parametrize("then", ["accept", "reject", "escalate"])
def test_a_yes_from_before_others_decided_would_not_come_back(shop, then):
    require(shop, approvals_required=3)
    feedback = flag(shop)
    review.accept(feedback, by="kim")
    review.accept(feedback, by="lee")
    more = {"reason": "no"} if then == "reject" else {}
    assert getattr(review, then)(feedback, by="kim", **more).record is None


def test_what_is_gone_cannot_be_decided(shop):
    feedback = flag(shop)
    Feedback.objects.filter(pk=feedback.pk).delete()
    for verb in (review.accept, review.escalate, partial(review.reject, reason="no")):
        with pytest.raises(TransitionRefused, match="It is gone"):
            verb(feedback, by="kim")


def test_what_was_refused_stands_in_nobodys_way_again(shop):
    sent = shop.correct("ann", corrected="neutral", status=422)
    feedback = Feedback.objects.get(uuid=sent["id"])
    assert feedback.corrected_hash is None
    review.escalate(feedback, by="kim")
    made = review.reject(feedback, by="lee", reason="no")
    review.undo(feedback, by="lee", record=made.record)
    feedback.refresh_from_db()
    assert feedback.corrected_hash is None


def test_the_history_says_what_was_edited_and_what_was_undone(shop):
    feedback = flag(shop)
    made = review.accept(feedback, by="kim", corrected="neg", wait=review.UNDO_AND_WAY)
    review.undo(feedback, by="kim", record=made.record)
    review.reject(feedback, by="kim", reason="undone by hand")
    records = Review.history.order_by("history_id").values_list("is_edited", "is_undo")
    assert list(records) == [(True, False), (True, True), (False, False)]


def test_a_yes_as_it_is_comes_back_with_its_decision(shop):
    require(shop, approvals_required=2)
    feedback = flag(shop)
    review.accept(feedback, by="kim")
    made = review.escalate(feedback, by="kim")
    review.undo(feedback, by="kim", record=made.record)
    assert review.accept(feedback, by="lee").decision == "accept"


def test_a_days_old_decision_is_not_undone(shop, monkeypatch):
    feedback = flag(shop)
    made = review.reject(feedback, by="kim", reason="no")
    monkeypatch.setattr("feedback.review.deciding.OF_MANY", timedelta(0))
    with pytest.raises(TransitionRefused):
        review.undo(feedback, by="kim", record=made.record)


# --- Failed rows ----------------------------------------------------------------------------------
def test_failed_feedback_is_discarded_without_a_word_about_its_contributor(shop):
    feedback = Feedback.objects.get(uuid=shop.correct("ann")["id"])
    Feedback.objects.filter(pk=feedback.pk).update(status="failed")
    with pytest.raises(ReviewInvalid):
        review.discard(feedback, by="kim", reason=" ")
    review.discard(feedback, by="kim", reason="cannot be read")
    assert (status_of(feedback), Review.objects.exists()) == ("rejected", False)
    newest = feedback.history.first()
    assert newest.history_change_reason == "discarded by kim: cannot be read"
    with pytest.raises(TransitionRefused):
        review.discard(feedback, by="kim", reason="again")


# --- Claims ---------------------------------------------------------------------------------------
def test_an_item_is_before_one_moderator(shop):
    feedback = flag(shop)
    assert claims.take(claims.FEEDBACK, feedback.pk, by="kim").moderator == "kim"
    assert claims.take(claims.FEEDBACK, feedback.pk, by="lee").moderator == "kim"
    row = Feedback.objects.filter(pk=feedback.pk)
    assert not claims.keep(claims.FEEDBACK, row, by="lee")
    assert claims.keep(claims.FEEDBACK, row, by="kim")


def test_who_takes_another_lets_go_of_the_first(shop):
    first, second = flag(shop), flag(shop, text="b")
    for item in (first, second):
        claims.take(claims.FEEDBACK, item.pk, by="kim")
    assert claims.take(claims.FEEDBACK, first.pk, by="lee").moderator == "lee"
    assert not claims.keep(claims.FEEDBACK, Feedback.objects.filter(pk=first.pk), by="kim")


def test_an_open_page_gets_its_item_back_if_nobody_took_it(shop):
    first, second = flag(shop), flag(shop, text="b")
    for item in (first, second):
        claims.take(claims.FEEDBACK, item.pk, by="kim")
    assert claims.keep(claims.FEEDBACK, Feedback.objects.filter(pk=first.pk), by="kim")
    assert claims.of(claims.FEEDBACK, second.pk).moderator == "kim"


def test_a_claim_ends_by_itself():
    claims.take(claims.FEEDBACK, 1, by="kim")
    ReviewClaim.objects.update(ends_at=Now() - timedelta(seconds=1))
    assert claims.of(claims.FEEDBACK, 1) is None
    assert claims.take(claims.FEEDBACK, 1, by="lee").moderator == "lee"


def test_a_decision_says_how_long_it_took(shop):
    feedback = flag(shop)
    claims.take(claims.FEEDBACK, feedback.pk, by="kim")
    ReviewClaim.objects.update(taken_at=Now() - timedelta(seconds=40))
    assert 40 <= review.escalate(feedback, by="kim").seconds < 50
    assert review.escalate(feedback, by="lee").seconds is None


# --- Order ----------------------------------------------------------------------------------------
def test_a_sure_model_that_is_said_to_be_wrong_comes_first(shop):
    unsure = flag(shop, text="a", confidence=0.55)
    sure = flag(shop, text="b", confidence=0.97)
    often = flag(shop, text="c", confidence=0.55)
    for _ in range(5):
        shop.infer("c")
    assert ranking.waiting_seconds() == 0.0
    ranking.rank_queue()
    order = Feedback.objects.flagged().order_by("-worth", "number")
    assert list(order) == [sure, often, unsure]
    often.refresh_from_db()
    assert (often.exposure, ranking.waiting_seconds()) == (6, None)
    assert ranking.reason_of_place(often) == "The model was 55% sure; served 6 times"


def test_what_a_publishable_key_says_of_an_answer_counts_for_nothing(shop):
    sure = flag(shop, text="b", confidence=0.97)
    Inference.objects.update(is_verified=False)
    ranking.rank_queue()
    sure.refresh_from_db()
    assert (sure.exposure, sure.worth < 0.1) == (0, True)
    assert "not known" in ranking.reason_of_place(sure)


def test_what_is_served_more_and_more_rises(shop):
    feedback = flag(shop)
    ranking.rank_queue()
    before = Feedback.objects.get(pk=feedback.pk).worth
    for _ in range(9):
        shop.infer("good soup")
    ranking.rank_queue()
    assert Feedback.objects.get(pk=feedback.pk).worth == before
    ranking.Upkeep.objects.update(done_at=Now() - timedelta(hours=1))
    ranking.rank_queue()
    assert Feedback.objects.get(pk=feedback.pk).worth > before
