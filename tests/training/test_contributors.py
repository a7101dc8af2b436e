"""Scores of contributors from what they said, what a model learnt, reviews and audits."""

from datetime import timedelta

import pytest
from django.utils import timezone

from feedback import review
from feedback.intervals import wilson
from feedback.models import Contributor, Feedback, Inference
from feedback.trust import Regime
from privacy import consent
from privacy.models import Purpose
from tests.training.builders import BAD, GOOD, processed, sentences, shown_days_ago
from training import contributors, datasets, runs

pytestmark = pytest.mark.django_db
PLACES = [f"corner {n}" for n in range(4)]


@pytest.fixture
def shop(product):
    product.add_corpus()
    return product


def shown():
    """Return twenty texts with what is right and what the model says, half of it wrong."""
    pairs = [(text, "pos") for text in sentences(GOOD[:5], PLACES)]
    pairs += [(text, "neg") for text in sentences(BAD[:5], PLACES)]
    return [(text, right, ("neg", "pos")[n % 2]) for n, (text, right) in enumerate(pairs[::2])]


def react(shop, user, *, is_honest, only_if_wrong=False):
    """Show answers to a user, who says what they believe of each."""
    for text, right, output in shown():
        believed = right if is_honest else {"neg": "pos", "pos": "neg"}[right]
        inference = shop.show(text, output, user)
        if believed != output:
            shop.react(inference, "correction", believed, user)
        elif not only_if_wrong:
            shop.react(inference, "up", user=user)


def standing_of(user):
    return Contributor.objects.get(user_id=user)


def test_it_works(shop):
    for user in ("ann", "bob", "cid"):
        react(shop, user, is_honest=True)
    react(shop, "eve", is_honest=False)
    assert contributors.score_task(shop.task) == 4
    assert [standing_of(user).standing for user in ("ann", "bob", "cid", "eve")] == [
        *["trusted"] * 3,
        "quarantined",
    ]
    eve = standing_of("eve")
    assert (eve.acts, eve.agreed, eve.disagreed) == (20, 0, 20)
    shop.task.refresh_from_db()
    assert shop.task.approving_ratio > 0.9
    assert shop.task.disagreeing_ratio > 0.9


def test_silence_counts_where_people_speak_to_disagree(shop):
    for user in ("ann", "bob", "cid"):
        react(shop, user, is_honest=True, only_if_wrong=True)
    react(shop, "eve", is_honest=False, only_if_wrong=True)
    Inference.objects.update(created_at=timezone.now() - timedelta(days=2))
    contributors.score_task(shop.task)
    shop.task.refresh_from_db()
    assert shop.task.approving_ratio < 0.1
    assert shop.task.disagreeing_ratio > 0.7
    assert standing_of("ann").acts == 20
    assert standing_of("eve").standing == "quarantined"


def test_a_moderators_decision_counts_where_no_model_is(product):
    """Texts have no trainer: what was accepted speaks for a person, what was rejected against."""
    product.task.modality, product.task.labels = "text", []
    product.task.save()
    for n in range(40):
        user = ("ann", "eve")[n % 2]
        row = product.react(product.show(f"q {n}", f"answer {n}", user), "edited", f"my {n}", user)
        processed(row)
        if user == "ann":
            review.accept(row, by="mia")
        else:
            review.reject(row, by="mia", reason="Nonsense.")
    assert contributors.score_task(product.task) == 2
    assert standing_of("ann").standing == "trusted"
    assert standing_of("eve").standing == "quarantined"
    product.task.refresh_from_db()
    assert product.task.approving_ratio is None  # nobody knows who was silent about what is right


def test_nobody_is_scored_where_nobody_spoke(shop):
    shop.show("good soup")
    assert contributors.score_task(shop.task) == 0


def test_a_refused_answer_of_any_shape_stops_no_scoring(shop):
    react(shop, "ann", is_honest=True)
    row = shop.react(shop.show("good soup", "pos", "bob"), "correction", {"a": 1}, "bob")
    assert row.status == "rejected"
    review.reject(row, by="mia", reason="Nonsense.")
    assert contributors.score_task(shop.task) == 2


def test_who_withdrew_is_not_scored(shop):
    react(shop, "ann", is_honest=True)
    react(shop, "bob", is_honest=True)
    consent.decide(project=shop.project, user_id="bob", purpose=Purpose.TRAINING, is_granted=False)
    assert contributors.score_task(shop.task) == 1


def test_an_audit_that_only_says_wrong_makes_no_answer_right(shop):
    react(shop, "ann", is_honest=True)
    row = shop.react(shop.show("good soup at corner 0", "neg", "bob"), "down", user="mia")
    Feedback.objects.filter(pk=row.pk).update(source="audit")
    assert contributors._audited(shop.task) == []


def audited(shop, number, *, user="ann", days=2, right=True):
    """Show answers, and let a moderator audit them so many days later."""
    for n in range(number):
        inference = shop.show(f"soup {right} {n}", "pos", user)
        shown_days_ago(inference, days)
        row = shop.react(inference, *(["up"] if right else ["correction", "neg"]), user=None)
        Feedback.objects.filter(pk=row.pk).update(source="audit")


def test_audits_of_silent_answers_tell_what_silence_weighs(shop):
    only_disagreeing = Regime(0.0, 1.0)
    audited(shop, 26)
    audited(shop, 3, right=False)
    assert contributors.silence_estimate(shop.task, only_disagreeing) is None
    audited(shop, 1, right=False)
    low = wilson(26, 30).low
    estimate = contributors.silence_estimate(shop.task, only_disagreeing)
    assert estimate == pytest.approx((low - 0.5) / 0.5)
    assert contributors.silence_estimate(shop.task, Regime(0.5, 0.5)) == 0.0


@pytest.mark.parametrize("others", [{"user": None}, {"days": 0}])
def test_audits_of_what_nobody_was_silent_about_tell_nothing(shop, others):
    audited(shop, 30, **others)
    assert contributors.silence_estimate(shop.task, Regime(0.0, 1.0)) is None


def test_an_answer_that_somebody_reacted_to_was_no_silence(shop):
    audited(shop, 30)
    shop.react(Inference.objects.first(), "up")
    assert contributors.silence_estimate(shop.task, Regime(0.0, 1.0)) is None


def test_acts_that_are_not_verified_are_not_scored(shop):
    for text, _, output in shown():
        inference = shop.show(text, output, "ann", shop.new_key("capture"))
        shop.react(inference, "up", user="ann", key=shop.new_key("capture"))
    assert contributors.score_task(shop.task) == 0


def test_a_task_is_due_after_its_first_acts_and_not_before_an_hour(shop):
    assert contributors.waiting_seconds() is None
    react(shop, "ann", is_honest=True)
    assert contributors.waiting_seconds() == 0.0
    contributors.score_due()
    assert contributors.waiting_seconds() is None
    react(shop, "bob", is_honest=True)
    assert contributors.waiting_seconds() is None
    shop.task.refresh_from_db()
    shop.task.scored_at -= timedelta(minutes=61)
    shop.task.save()
    assert contributors.waiting_seconds() == 0.0


def test_a_task_without_trust_is_not_scored(shop):
    shop.task.settings = {"trust": False}
    shop.task.save()
    react(shop, "ann", is_honest=True)
    assert contributors.waiting_seconds() is None


def test_distrust_weighs_in_the_next_run_and_not_in_the_last(shop):
    for user in ("ann", "bob", "cid"):
        react(shop, user, is_honest=True)
    react(shop, "eve", is_honest=False)
    for row in Feedback.objects.all():
        processed(row)
    before = shop.train()
    contributors.score_task(shop.task)
    after = shop.train()
    assert before.weighing["as_of"] == 0
    assert after.weighing["as_of"] > 0
    # Three say the same of each text, and one speaks for them.
    assert (before.weighing["contributors"], after.weighing["contributors"]) == (2, 1)
    for run in (before, after):
        assert runs.rebuild(run.model_version) == run.model_version.weights_hash


def test_all_who_are_nameless_are_one_contributor_and_audits_are_nobodys(shop):
    for n, user in enumerate([None, None, "ann"]):
        shop.approve(f"good soup number {n}", user=user)
    audited = shop.react(shop.show("good soup number 3", "pos", None), "up", user="mia")
    Feedback.objects.filter(pk=audited.pk).update(source="audit")
    processed(audited)
    behind = datasets.people_behind(shop.version()).values()
    assert set(map(frozenset, behind)) <= {frozenset({""}), frozenset({"ann"})}
    assert {""} in behind
