"""What training and the apps below it hold of a person is in the copy that the person takes."""

import json
from itertools import islice

import pytest

from privacy import exporting, holders
from tests.training.builders import GOOD, Product, texts_of
from tests.training.test_serving import ask, serve
from training import crediting

# In which section of the copy stands what is deleted of each.
SECTIONS = {
    "feedback.Contributor": "contributors",
    "feedback.DeadLetter": "dead_letters",
    "feedback.Feedback": "feedback",
    "feedback.HistoricalContributor": "contributor_history",
    "feedback.HistoricalFeedback": "feedback_history",
    "feedback.HistoricalReview": "review_history",
    "feedback.Image": "images",
    "feedback.Inference": "inferences",
    "feedback.Review": "reviews",
    "privacy.Consent": "consents",
    "privacy.DataSubject": "subject",
    "privacy.HistoricalConsent": "consents",
    "training.AnswerToCheck": "checks",
    "training.LeftOut": "lineage",
    "training.Membership": "lineage",
    "training.ModelCredit": "credit",
    "training.Prediction": "predictions",
}
NOT_COPIED = {
    "feedback.Approval": "who of several moderators accepted what `reviews` tells",
    "feedback.Example": "what lineage lists, or an answer of `inferences` that nobody reacted to",
    "feedback.SecondLook": "what another moderator would have decided, which changed nothing",
    "training.Archive": "names of files that hold the same once more, with what others said",
    "training.Shard": "names of files that hold the same once more, with what others said",
}


def copy_of(product, user):
    pieces = exporting.export(product.project, user).pieces
    return json.loads(b"".join(pieces))


@pytest.mark.django_db
def test_all_that_is_deleted_is_in_the_copy_first():
    product = Product()
    product.correct("a text", user="eve")
    deleted = {
        holder.label
        for holder in holders.holders()
        if holder.holds and holder.on_erasure.startswith("deleted")
    }
    assert deleted == SECTIONS.keys() | NOT_COPIED.keys()
    assert set(SECTIONS.values()) <= copy_of(product, "eve").keys()


@pytest.mark.django_db
def test_the_copy_tells_which_model_answered_and_what_each_act_did():
    product, said = Product(), set()
    for n, text in enumerate(islice(texts_of("train"), 6)):
        user = "eve" if n % 2 else "ann"
        act = product.correct(f"{text} {GOOD[n]}", user=user)
        said |= {str(act.uuid)} if user == "eve" else set()
    serve(product)
    assert crediting.credit_next().status == "ready"
    ask(product, user_id="ann")
    served = ask(product, user_id="eve")
    copy = copy_of(product, "eve")
    assert copy["predictions"] == [
        {
            "inference_id": str(served.inference.uuid),
            "task": "mood",
            "model_version": 1,
            "arm": "champion",
        }
    ]
    whole, *parts = copy["credit"]
    assert (whole["task"], whole["model_version"], whole["feedback_id"]) == ("mood", 1, None)
    assert whole["rows"] == sum(part["rows"] for part in parts) == 3
    assert {part["feedback_id"] for part in parts} == said


def test_names_of_slices_are_declared():
    declared = {holder.label: holder for holder in holders.holders()}
    for label in ("training.GateResult", "training.Run"):
        assert "metadata" in declared[label].holds
        assert "numbered" in declared[label].on_erasure
