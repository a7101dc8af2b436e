"""What each purpose takes of what people did: contract 6's table."""

from itertools import islice

import pytest

from feedback import review
from feedback.models import Example
from tests.training.builders import Product, processed, shown_days_ago, texts_of
from training import exports
from training.models import Dataset
from training.purposes import PURPOSES

pytestmark = pytest.mark.django_db
TRAIN = list(islice(texts_of("train"), 9))
HELD_OUT = next(texts_of("holdout"))
LONG = "The waiter brought the soup twenty minutes late, and it was cold when it came."


def dataset_for(product, purpose, **settings):
    return Dataset.objects.create(
        project=product.project, task=product.task, purpose=purpose, name=purpose, settings=settings
    )


def told(version):
    """Return what an export says of a version's rows."""
    return list(exports.rows(version, "all"))


def built_for(product, purpose, **settings):
    return product.version(dataset_for(product, purpose, **settings))


@pytest.fixture
def product():
    """One act of each kind, each about an answer of its own."""
    product = Product(settings={"silence_weight": 0.5})
    product.add((TRAIN[0], "pos"), split="train")
    product.approve(TRAIN[1])
    product.approve(TRAIN[2], signal="accepted")
    product.correct(TRAIN[3])
    product.react(product.show(TRAIN[4]), "down")
    product.react(product.show(TRAIN[5]), "abandoned")
    shown_days_ago(product.show(TRAIN[6]))
    processed(product.correct(HELD_OUT))
    return product


def inputs(version):
    return {row["input"] for row in told(version)}


def test_it_works(product):
    taken = {purpose: inputs(built_for(product, purpose)) for purpose in PURPOSES}
    assert taken == {
        "train": {TRAIN[0], TRAIN[1], TRAIN[2], TRAIN[3], TRAIN[6], HELD_OUT},
        "eval": {TRAIN[1], TRAIN[2], TRAIN[3], HELD_OUT},
        "preference": {TRAIN[3], HELD_OUT},
        "unpaired": {TRAIN[1], TRAIN[4]},
    }


def test_eval_tells_golden_from_regression_and_what_was_wrong(product):
    rows = {row["input"]: row for row in told(built_for(product, "eval"))}
    assert (rows[TRAIN[1]]["case"], rows[TRAIN[1]]["original"]) == ("golden", None)
    assert (rows[TRAIN[3]]["case"], rows[TRAIN[3]]["original"]) == ("regression", "neg")


def test_a_case_is_seen_where_its_example_was_trained_on(product):
    before = built_for(product, "eval")
    assert not any(row["is_seen"] for row in told(before))
    product.version()
    after = product.version(before.dataset)
    seen = {row["input"] for row in told(after) if row["is_seen"]}
    assert seen == {TRAIN[1], TRAIN[2], TRAIN[3]}
    assert not any(row["is_seen"] for row in told(before))


def test_a_case_that_says_what_was_trained_on_is_seen(product):
    product.version()
    product.correct(TRAIN[3], user="ben")
    rows = {row["input"]: row for row in told(built_for(product, "eval"))}
    assert rows[TRAIN[3]]["is_seen"]


def test_a_case_that_is_like_one_of_the_holdout_is_not_seen(product):
    product.add((LONG, "neg"), split="holdout")
    product.approve(f"{LONG} ", user="ben")
    product.version()
    rows = {row["input"]: row for row in told(built_for(product, "eval"))}
    assert not rows[f"{LONG} "]["is_seen"]


def test_a_pair_prefers_the_correction(product):
    (row,) = [r for r in told(built_for(product, "preference")) if r["input"] == TRAIN[3]]
    assert (row["chosen"], row["rejected"]) == ("pos", "neg")


def test_a_thumb_is_desirable_or_not(product):
    labels = {row["input"]: row["label"] for row in told(built_for(product, "unpaired"))}
    assert labels == {TRAIN[1]: True, TRAIN[4]: False}


def test_a_down_vote_that_a_moderator_refused_says_nothing(product):
    vote = Example.objects.filter(signal="down")
    version = built_for(product, "unpaired")
    review.reject(vote.get().feedback, by="mia", reason="it was right")
    version = product.version(version.dataset)
    assert inputs(version) == {TRAIN[1]}
    assert version.counts["left_out"] == {"undecided": 1}


def test_a_down_vote_that_a_moderator_accepted_stays_undesirable(product):
    version = built_for(product, "unpaired")
    feedback = Example.objects.get(signal="down").feedback
    review.accept(feedback, by="mia")
    processed(feedback)
    assert inputs(product.version(version.dataset)) == {TRAIN[1], TRAIN[4]}
    assert TRAIN[4] not in inputs(built_for(product, "eval"))


def test_a_down_vote_that_a_moderator_corrected_is_a_pair(product):
    version = built_for(product, "unpaired")
    feedback = Example.objects.get(signal="down").feedback
    review.accept(feedback, by="mia", corrected="pos")
    processed(feedback)
    assert inputs(product.version(version.dataset)) == {TRAIN[1]}
    assert TRAIN[4] in inputs(built_for(product, "preference"))


def test_a_down_vote_that_nobody_vouched_for_is_not_taken(product):
    product.react(product.show(TRAIN[7]), "down", key=product.new_key("capture"))
    assert TRAIN[7] not in inputs(built_for(product, "unpaired"))


def test_the_last_thumb_counts(product):
    shown = product.show(TRAIN[7])
    processed(product.react(shown, "up"))
    product.react(shown, "down")
    assert {r["label"] for r in told(built_for(product, "unpaired")) if r["input"] == TRAIN[7]} == {
        False
    }


def test_what_is_nearly_what_was_rejected_is_no_pair():
    product = Product(modality="text", labels=[])
    product.correct(TRAIN[0], right=LONG + " Sorry!", wrong=LONG)
    product.correct(TRAIN[1], right=LONG + ".", wrong=LONG)
    version = built_for(product, "preference")
    assert inputs(version) == {TRAIN[0]}
    assert version.counts["left_out"] == {"near_identical": 1}


@pytest.mark.parametrize(
    ("text", "is_taken"), [("a", False), ("?!", False), ("ok", True), ("🙂🙂", True)]
)
def test_what_is_too_short_is_left_out(text, is_taken):
    product = Product(modality="text", labels=[])
    product.add((text, "A fine answer."), (TRAIN[0], "A fine answer."), split="train")
    version = product.version()
    assert inputs(version) == ({text, TRAIN[0]} if is_taken else {TRAIN[0]})
    assert version.counts["left_out"] == ({} if is_taken else {"too_short": 1})


def test_a_case_is_never_too_short():
    product = Product()
    product.approve("a")
    assert inputs(built_for(product, "eval")) == {"a"}
