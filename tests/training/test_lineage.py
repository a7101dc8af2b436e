"""What became of a feedback, and what a model learned from."""

import json
from itertools import islice

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config import database
from feedback import contributors, review
from feedback.contributors import Score
from feedback.models import Contributor
from privacy import consent
from privacy.models import Purpose
from tests.training.builders import GOOD, Product, built, processed, sentences, side_of, texts_of
from training import datasets, lineage, rollouts
from training.became import WHY
from training.models import Dataset, Membership, Prediction, Reason, Run
from training.rollouts import Plan

TEXT, OTHER = islice(texts_of("train"), 2)
HELD_OUT = next(texts_of("holdout"))
EVAL = {"name": "mood-eval", "purpose": "eval"}


def texts_told(feedback):
    return [line["text"] for line in lineage.of_feedback(feedback)["became"]]


def let_train(product, is_granted, user="ann"):
    consent.decide(
        project=product.project, user_id=user, purpose=Purpose.TRAINING, is_granted=is_granted
    )


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
    (reached,) = trace["rollouts"]
    assert (reached["id"], reached["status"]) == (str(rollout.uuid), "full")
    assert (reached["decision"], reached["challenger"]) == ("it is better", 2)
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


def test_each_lineage_is_one_statement(product, monkeypatch):
    asked = []

    def fetch(statement, parameters, shape):
        asked.append(statement)
        return database.fetch(statement, parameters, shape)

    feedback, model = product.correct(TEXT), product.register()
    built(model.run.dataset_version)
    monkeypatch.setattr(lineage, "fetch", fetch)
    with CaptureQueriesContext(connection) as others:
        lineage.of_feedback(feedback)
        lineage.of_version(model.run.dataset_version)
        lineage.of_model(model)
    assert (len(asked), len(others)) == (3, 0)


# --- As it stood --------------------------------------------------------------------------------


def test_each_version_says_how_its_contributor_stood(product):
    feedback = product.correct(TEXT)
    product.version()
    ann = Contributor.objects.create(task=product.task, user_id="ann")
    contributors.hold(ann, standing="trusted", by="mia", reason="known")
    product.version()
    stood = [v["contributor"] for v in lineage.of_feedback(feedback)["dataset_versions"]]
    assert [who["standing"] for who in stood] == ["probation", "trusted"]
    assert [who["permits_training"] for who in stood] == [True, True]


def test_where_it_was_left_out_it_says_why_and_how_its_contributor_stood(product):
    feedback = product.correct(TEXT)
    product.version()
    let_train(product, False)
    product.version()
    let_train(product, True)
    product.version()
    (example,) = lineage.of_feedback(feedback)["examples"]
    assert [(v["since"], v["until"]) for v in example["versions"]] == [(1, 2), (3, None)]
    (out,) = example["left_out"]
    assert (out["since"], out["until"], out["reason"]) == (2, 3, "consent_withdrawn")
    assert out["contributor"]["permits_training"] is False
    assert example["versions"][0]["until_at"] == out["since_at"] is not None


def test_a_run_that_began_after_consent_was_withdrawn_was_not_reached(product):
    feedback = product.correct(TEXT)
    version = product.version()
    before = Run.objects.create(task=product.task, dataset=product.dataset, dataset_version=version)
    let_train(product, False)
    Run.objects.create(task=product.task, dataset=product.dataset, dataset_version=version)
    assert [run["id"] for run in lineage.of_feedback(feedback)["runs"]] == [str(before.uuid)]


def test_a_run_under_a_default_that_withholds_is_not_reached_without_a_word(product):
    feedback = product.correct(TEXT)
    version = product.version()
    product.project.consent_default = "withheld"
    product.project.save()
    Run.objects.create(task=product.task, dataset=product.dataset, dataset_version=version)
    assert lineage.of_feedback(feedback)["runs"] == []


# --- Nobody is named ----------------------------------------------------------------------------


def test_a_lineage_has_no_user_id(product):
    feedback, model = product.correct(TEXT, user="ann@shop"), product.register()
    version = built(model.run.dataset_version)
    told = lineage.of_feedback(feedback), lineage.of_version(version), lineage.of_model(model)
    assert "ann@shop" not in json.dumps(told)


def test_a_person_has_the_same_pseudonym_in_each_lineage_of_a_project(product):
    first, second = (lineage.of_feedback(product.correct(text)) for text in (TEXT, OTHER))
    elsewhere = lineage.of_feedback(Product("other").correct(TEXT))
    assert first["contributor"] == second["contributor"] != elsewhere["contributor"]


def test_who_does_not_permit_training_has_no_pseudonym(product):
    feedback = product.correct(TEXT)
    let_train(product, False)
    assert lineage.of_feedback(feedback)["contributor"] is None


def test_a_version_of_another_project_is_not_told(product):
    """Not even where somebody wrote the membership by hand."""
    feedback, other = product.correct(TEXT), Product("other")
    version = other.version()
    Membership.objects.create(
        dataset=version.dataset,
        example=feedback.examples.get(),
        row_hash=b"",
        split="train",
        since_version=1,
    )
    trace = lineage.of_feedback(feedback)
    assert trace["dataset_versions"] == trace["examples"][0]["versions"] == []


def test_primary_keys_are_told_to_pages_alone(product):
    feedback = product.correct(TEXT)
    product.version()
    model = product.register()
    version = built(model.run.dataset_version)
    told = lineage.of_feedback(feedback), lineage.of_version(version), lineage.of_model(model)
    assert '"pk"' not in json.dumps(told)
    assert lineage.of_feedback(feedback, has_keys=True)["pk"] == feedback.pk


# --- A model ------------------------------------------------------------------------------------


def test_a_model_counts_its_feedback_and_lists_the_newest(product):
    earlier = product.correct(TEXT)
    product.version()
    later, gone = product.approve(OTHER), product.correct(HELD_OUT)
    product.version()
    review.reject(gone, by="mia", reason="wrong")
    model = product.register()
    built(model.run.dataset_version)
    told = lineage.of_model(model)["feedback"]
    assert (told["count"], told["by_signal"]) == (2, {"correction": 1, "up": 1})
    assert told["ids"] == [str(later.uuid), str(earlier.uuid)]


def test_a_model_lists_no_more_feedback_than_is_told(product, monkeypatch):
    statement = lineage._MODEL_VERSION.replace(f"least({lineage.LISTED_FEEDBACK}", "least(1")
    monkeypatch.setattr(lineage, "_MODEL_VERSION", statement)
    product.correct(TEXT), product.correct(OTHER)
    model = product.register()
    built(model.run.dataset_version)
    assert len(lineage.of_model(model)["feedback"]["ids"]) == 1


def test_a_version_lists_its_parents_the_nearest_first(product):
    for _ in range(3):
        version = product.version()
    assert [parent["version"] for parent in lineage.of_version(version)["parents"]] == [2, 1]


def test_a_model_of_a_version_that_an_erasure_touched_says_so(product):
    model = product.register()
    version = built(model.run.dataset_version)
    assert not lineage.of_model(model)["dataset_version"]["is_touched_by_erasure"]
    version.current_hash = "0" * 64
    version.save()
    assert lineage.of_model(model)["dataset_version"]["is_touched_by_erasure"]


def test_predictions_are_counted(product):
    model = product.register()
    for text in (TEXT, OTHER):
        Prediction.objects.create(inference=product.show(text), model_version=model)
    told = lineage.of_model(model)
    assert (told["predictions"], told["has_more_predictions"]) == (2, False)


# --- What became of it, to its contributor ------------------------------------------------------


def test_the_contributor_is_told_the_whole_way(product):
    feedback = product.correct(TEXT)
    model = product.register()
    built(model.run.dataset_version)
    rollouts.promote(model)
    let_train(product, False)
    product.version()
    today = lineage.of_feedback(feedback)["created_at"][:10]
    received, taken, taught, left = texts_told(feedback)
    assert received == "Received."
    assert taken == f"In version 1 of the dataset mood-train since {today}, to teach models."
    assert taught == f"Taught model 1 of mood, which serves since {today}."
    assert left.startswith(f"Left out of the dataset mood-train again since version 2 ({today}), ")
    assert left.endswith("because a person behind it does not permit training.")


def test_what_waits_says_for_whom(product):
    assert texts_told(product.react(product.show(TEXT), "down"))[-1] == "Waiting for a moderator."
    accepted = product.correct(OTHER)
    assert texts_told(accepted)[-1] == "Waiting for the next dataset version."


def test_what_was_refused_says_why(product):
    refused = product.correct(TEXT, right="neg", wrong="neg")
    assert texts_told(refused)[-1].startswith("Not used: ")
    feedback = product.react(product.show(OTHER), "down")
    review.reject(feedback, by="mia", reason="it is wrong")
    said = texts_told(feedback)[-1]
    assert said == "Not used, because a moderator decided so: it is wrong"


def test_what_no_version_took_says_why(product):
    feedback = product.correct(TEXT)
    Dataset.objects.filter(pk=product.dataset.pk).update(settings={"signals": ["up"]})
    product.version()
    said = texts_told(feedback)[-1]
    assert said.startswith("Not used in version 1 of the dataset mood-train, because this dataset")


def test_what_is_held_out_tests_models(product):
    feedback = product.correct(HELD_OUT)
    model = product.register()
    built(model.run.dataset_version)
    said = " ".join(texts_told(feedback))
    assert "to test models, not to teach them." in said
    assert "Tested model 1 of mood." in said


def test_what_an_eval_dataset_has_tests_models(product):
    feedback = product.correct(TEXT)
    product.version(Dataset.objects.create(task=product.task, project=product.project, **EVAL))
    assert texts_told(feedback)[-1].endswith(", to test models.")


def test_what_waits_again_says_so_last(product):
    feedback = product.correct(TEXT)
    product.version()
    contributors.apply(product.task, [Score("ann", 0.01, -3.0, acts=40, agreed=0, disagreed=40)])
    told = lineage.of_feedback(feedback)["became"]
    assert [line["text"].split()[0] for line in told] == ["Received.", "In", "Waiting"]
    assert told == sorted(told, key=lambda line: line["at"])


def test_a_later_decision_goes_on_with_the_same_stay(product):
    feedback = product.correct(TEXT)
    product.version()
    review.accept(feedback, by="mia", reason="fine")
    processed(feedback)
    product.version()
    assert [text.split()[0] for text in texts_told(feedback)] == ["Received.", "In"]


@pytest.mark.parametrize("reason", set(Reason.values) - {Reason.SILENT_HOLDOUT})
def test_each_reason_has_words_for_the_contributor(reason):
    assert WHY[reason]
