"""What became of a feedback, and what a model learned from."""

from itertools import islice

from feedback import review
from tests.training.builders import GOOD, processed, sentences, side_of, texts_of
from training import datasets, lineage, rollouts
from training.rollouts import Plan

TEXT, OTHER = islice(texts_of("train"), 2)


def test_it_works(product):
    product.add_corpus()
    first = product.model()
    rollouts.promote(first)
    # Known to be right already: the second model is as good as the first, and passes.
    known = next(text for text in sentences(GOOD[:5]) if side_of(text) == "train")
    feedback = product.correct(known)
    second = product.model()
    rollout = rollouts.start(second, Plan())
    rollouts.advance(rollout, why="it is better")
    trace = lineage.of_feedback(feedback)
    assert trace["status"] == "processed"
    assert [example["output"] for example in trace["examples"]] == ["pos"]
    assert [v["version"] for v in trace["dataset_versions"]] == [2]
    (model,) = trace["models"]
    assert (model["version"], model["aliases"]) == (2, ["champion"])
    assert trace["rollouts"] == [
        {"id": str(rollout.uuid), "status": "full", "decision": "it is better"}
    ]
    back = lineage.of_model(second)
    assert back["weights_hash"] == model["weights_hash"]
    assert back["dataset_version"]["feedback_source"]["added"] == [str(feedback.uuid)]
    assert back["dataset_version"]["parent"] == 1
    assert back["gates"][0]["name"] == "holdout"
    assert [p["why"] for p in back["promotions"]] == [f"rollout {rollout.uuid}: it is better"]


def test_a_feedback_reached_only_the_versions_it_is_in(product):
    feedback = product.correct(TEXT)
    product.version()
    product.version()
    review.reject(feedback, by="mia", reason="wrong")
    product.version()
    assert [v["version"] for v in lineage.of_feedback(feedback)["dataset_versions"]] == [1, 2]


def test_a_feedback_nobody_used_reached_nothing(product):
    feedback = product.react(product.show(TEXT), "down")
    trace = lineage.of_feedback(feedback)
    assert trace["examples"] == trace["dataset_versions"] == trace["models"] == []


def test_what_was_admitted_automatically_names_no_decision(product):
    (example,) = lineage.of_feedback(product.correct(TEXT))["examples"]
    assert example["decision"] is None


def test_a_version_says_where_it_came_from_and_went(product):
    product.add_corpus()
    model = product.model()
    said = lineage.of_version(model.run.dataset_version)
    assert (said["dataset"], said["version"], said["parent"]) == ("mood-train", 1, None)
    assert [m["version"] for m in said["models"]] == [1]


def test_a_review_changed_later_changes_no_earlier_version(product):
    """The trace still shows the decision that version 1 was built under, and its hash stays."""
    product.add((OTHER, "neg"))
    feedback = product.react(product.show(TEXT, "neg"), "down")
    review.accept(feedback, by="mia", reason="looks right", corrected="pos")
    processed(feedback)
    first = product.version()
    review.reject(feedback, by="noa", reason="it was wrong")
    second = product.version()
    (example,) = lineage.of_feedback(feedback)["examples"]
    assert example["decision"]["decision"] == "accept"
    assert example["decision"]["reason"] == "looks right"
    assert example["decision"]["moderator"] == "mia"
    assert datasets.rebuild(first) == first.content_hash
    assert second.content_hash != first.content_hash


def test_a_revised_correction_shows_both_decisions(product):
    product.task.labels = ["neg", "pos", "so-so"]
    product.task.save()
    feedback = product.correct(TEXT)
    review.accept(feedback, by="mia", reason="fine")
    processed(feedback)
    first = product.version()
    review.accept(feedback, by="noa", reason="in between", corrected="so-so")
    processed(feedback)
    product.version()
    documents = lineage.of_feedback(feedback)["examples"]
    told = [(d["output"], d["decision"] and d["decision"]["moderator"]) for d in documents]
    assert told == [("pos", None), ("pos", "mia"), ("so-so", "noa")]
    assert [d["is_current"] for d in documents] == [False, False, True]
    assert datasets.rebuild(first) == first.content_hash
