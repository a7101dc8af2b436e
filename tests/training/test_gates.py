"""What lets a model replace the one that serves, and what refuses it."""

from dataclasses import replace

import numpy as np
import pytest

from feedback import review
from tests.training.builders import Product, answering, case, processed
from training import gates, rollouts
from training.errors import CannotJudge
from training.models import Dataset, ModelAlias

RIGHT = answering({})
HOLDOUT = [case(f"text {n}") for n in range(200)]


def wrong_on(*numbers, confidence=0.9):
    return answering({f"text {n}": "neg" for n in numbers}, confidence)


def outcomes(cases, challenger, champion=None):
    return {outcome.name: outcome for outcome in gates.judge(cases, challenger, champion)}


def test_it_works():
    judged = outcomes(HOLDOUT, RIGHT, wrong_on(*range(20)))
    assert list(judged) == [
        "holdout",
        "unseen_cases",
        "seen_cases",
        "pinned",
        "calibration",
        "slices",
    ]
    holdout = judged["holdout"]
    assert holdout.passed
    assert holdout.value == pytest.approx(0.1)
    assert (holdout.details["gained"], holdout.details["lost"], holdout.details["n"]) == (
        20,
        0,
        200,
    )
    assert "+10.0 points on 200 held-out cases" in holdout.reason


def test_an_equal_model_passes():
    assert outcomes(HOLDOUT, RIGHT, RIGHT)["holdout"].passed


def test_a_worse_estimate_is_refused():
    holdout = outcomes(HOLDOUT, wrong_on(0, 1), wrong_on(2))["holdout"]
    assert not holdout.passed
    assert holdout.reason.endswith("worse than the champion.")


def test_a_better_estimate_passes_though_it_may_be_chance():
    few = [case(f"text {n}") for n in range(20)]
    holdout = outcomes(few, wrong_on(0, 1), wrong_on(2, 3, 4))["holdout"]
    assert holdout.value > 0 > gates.MARGIN > holdout.details["low"]
    assert holdout.passed


def told_apart(n):
    return case(f"text {n}", slices={"locale": "de" if n < 40 else "en"})


def test_a_slice_that_falls_is_refused_though_the_whole_is_better():
    cases = [told_apart(n) for n in range(200)]
    judged = outcomes(cases, wrong_on(*range(20)), wrong_on(*range(40, 80)))
    assert judged["holdout"].passed
    slices = judged["slices"]
    assert not slices.passed
    assert "Worst: locale de, -50.0 points on 40 cases" in slices.reason
    worst = slices.details["slices"][0]
    assert (worst["by"], worst["value"], worst["has_fallen"]) == ("locale", "de", True)
    assert slices.value == -0.5
    assert worst["high"] < gates.MARGIN


def test_a_slice_that_may_have_fallen_by_chance_passes():
    cases = [told_apart(n) for n in range(200)]
    slices = outcomes(cases, wrong_on(0, 1, 2), wrong_on(*range(100, 105)))["slices"]
    assert slices.passed
    assert slices.value == pytest.approx(-3 / 40)


def test_a_slice_of_few_cases_is_counted_only():
    cases = [told_apart(n) for n in range(30, 200)]
    slices = outcomes(cases, wrong_on(*range(30, 40)), RIGHT)["slices"]
    assert slices.passed
    assert slices.details["too_few"] == {"locale": 1}


def test_cases_on_the_train_side_are_no_slice():
    seen = [replace(told_apart(n), split="train", case="regression") for n in range(40)]
    assert outcomes([*HOLDOUT, *seen], wrong_on(*range(20)), RIGHT)["slices"].value is None


def test_without_holdout_there_is_no_judgement():
    with pytest.raises(CannotJudge, match="no holdout"):
        gates.judge([case("text 0", split="train", case="regression")], RIGHT, None)


def test_the_first_model_must_beat_the_commonest_answer():
    cases = [case(f"text {n}", "neg" if n < 3 else "pos") for n in range(10)]
    assert outcomes(cases, wrong_on(0))["holdout"].passed
    refused = outcomes(cases, RIGHT)["holdout"]
    assert not refused.passed
    assert (refused.value, refused.threshold) == (0.7, 0.7)
    assert "always the same answer: 70.0%" in refused.reason


def test_the_first_model_is_compared_with_nothing():
    cases = [*HOLDOUT, case("a", case="golden"), case("b", split="train", case="regression")]
    judged = outcomes(cases, RIGHT)
    assert judged["unseen_cases"].passed
    assert judged["seen_cases"].passed
    assert judged["unseen_cases"].value == 1.0
    assert outcomes(HOLDOUT, RIGHT)["seen_cases"].value is None


def test_fixes_make_up_for_golden_cases_that_were_lost():
    golden = [case(f"text {n}", case="golden") for n in range(60)]
    fixed = [case(f"text {n}", case="regression") for n in range(60, 100)]
    judged = outcomes([*golden, *fixed], wrong_on(*range(10)), wrong_on(*range(60, 100)))
    assert judged["unseen_cases"].passed
    assert judged["unseen_cases"].value == pytest.approx(0.3)
    assert len(judged["unseen_cases"].details["flips"]) == 10


CASES = {
    "unseen_cases": {"case": "golden"},
    "seen_cases": {"case": "regression", "split": "train"},
}


@pytest.mark.parametrize("name", CASES)
def test_cases_shown_to_be_worse_are_refused_and_listed(name):
    cases = [
        gates.Case(f"text {n}", "pos", feedback_id=f"id-{n:02}", **kind(name)) for n in range(40)
    ]
    judged = outcomes([*cases, case("held out")], wrong_on(*range(10)), RIGHT)
    refused = [other for other, outcome in judged.items() if not outcome.passed]
    assert name in refused
    assert set(refused) <= {name, "holdout", "calibration"}
    assert judged[name].details["flips"] == [f"id-{n:02}" for n in range(10)]
    assert judged[name].value == -0.25
    assert "0 of 40 became right, 10 became wrong" in judged[name].reason


def kind(name):
    return {"split": "holdout", "is_pinned": False, "source": "feedback"} | CASES[name]


def test_a_case_of_neither_side_is_an_unseen_one():
    judged = outcomes([*HOLDOUT, case("left out", split="", case="regression")], RIGHT, RIGHT)
    assert judged["unseen_cases"].details["n"] == 1
    assert judged["holdout"].details["n"] == len(HOLDOUT)


@pytest.mark.parametrize("name", CASES)
def test_one_flip_is_listed_and_not_refused(name):
    cases = [gates.Case(f"text {n}", "pos", feedback_id=f"id-{n}", **kind(name)) for n in range(40)]
    outcome = outcomes([*cases, case("held out")], wrong_on(3), RIGHT)[name]
    assert outcome.passed
    assert outcome.details["flips"] == ["id-3"]


def test_what_the_champion_had_wrong_is_no_flip():
    cases = [*HOLDOUT, case("text 0", case="golden")]
    assert outcomes(cases, wrong_on(0), wrong_on(0))["unseen_cases"].details["flips"] == []


@pytest.mark.parametrize("split", ["train", "holdout"])
def test_a_pinned_case_must_be_right(split):
    pinned = gates.Case("text 0", "pos", split, "regression", True, "feedback", "the id")
    judged = outcomes([*HOLDOUT[1:], pinned], wrong_on(0))
    assert not judged["pinned"].passed
    assert judged["pinned"].details == {"n": 1, "flips": ["the id"]}
    assert judged["pinned"].reason == "0 of 1 pinned cases are right."
    assert outcomes([*HOLDOUT[1:], pinned], RIGHT)["pinned"].passed


def test_a_pinned_case_must_be_right_though_the_champion_is_wrong():
    pinned = case("text 0", is_pinned=True)
    assert not outcomes([*HOLDOUT, pinned], wrong_on(0), wrong_on(0))["pinned"].passed


def test_confidence_less_honest_than_chance_is_refused():
    judged = outcomes(
        HOLDOUT, wrong_on(*range(60), confidence=0.99), wrong_on(*range(60), confidence=0.7)
    )
    calibration = judged["calibration"]
    assert not calibration.passed
    assert calibration.value == pytest.approx(0.29)
    assert calibration.threshold < 0.1
    assert calibration.reason.startswith("Calibration error 0.290; by chance")


def test_a_champion_no_more_honest_excuses_the_challenger():
    overconfident = wrong_on(*range(60), confidence=0.99)
    assert outcomes(HOLDOUT, overconfident, overconfident)["calibration"].passed


def test_the_first_models_confidence_is_only_reported():
    calibration = outcomes(HOLDOUT, wrong_on(*range(60), confidence=0.99))["calibration"]
    assert calibration.passed
    assert "only reported" in calibration.reason


def test_answers_without_confidence_are_judged_by_the_other_gates():
    def silent(texts):
        return ["pos"] * len(texts), None

    judged = outcomes(HOLDOUT, silent, RIGHT)
    assert all(outcome.passed for outcome in judged.values())


def test_every_number_of_an_outcome_is_plain():
    for outcome in gates.judge(HOLDOUT, RIGHT, wrong_on(1)):
        assert type(outcome.passed) is bool
        assert not isinstance(outcome.value, np.generic)


@pytest.fixture
def shop(product):
    product.add_corpus()
    return product


def test_a_run_keeps_what_the_gates_said_and_names_the_challenger(shop):
    run = shop.train()
    names = list(run.gate_results.order_by("pk").values_list("name", flat=True))
    assert names[0] == "holdout"
    assert len(names) == 6
    alias = ModelAlias.objects.get()
    assert (alias.name, alias.model_version) == ("challenger", run.model_version)


def test_a_pinned_correction_that_the_model_gets_wrong_refuses_the_run(shop):
    text = "the soup was good"
    feedback = shop.correct(text, right="neg", wrong="pos")
    review.accept(feedback, by="mia", is_pinned=True)
    processed(feedback)
    run = shop.train()
    assert run.status == "refused"
    assert run.gate_results.get(name="pinned").details["flips"] == [str(feedback.uuid)]
    assert run.model_version.version == 1
    assert not ModelAlias.objects.exists()


def test_a_model_trained_on_corrections_alone_is_refused(shop):
    rollouts.promote(shop.model())
    # People correct what is wrong, and the model is mostly wrong about what is bad.
    rooms = ["cellar", "kitchen", "garden", "terrace", "hall", "bar", "parlour", "yard"]
    for number, room in enumerate(rooms):
        text = f"the {room} was odd {'very ' * number}indeed"
        shop.correct(text, right="neg", wrong="pos", user=f"u{number}")
    shop.correct("the attic was odd", right="pos", wrong="neg")
    corrections = Dataset.objects.create(
        project=shop.project,
        task=shop.task,
        name="corrections",
        settings={"sources": ["feedback"], "signals": ["correction"]},
    )
    run = shop.train(dataset=corrections)
    assert run.status == "refused", run.error
    holdout = run.gate_results.get(name="holdout")
    assert not holdout.passed
    assert holdout.value < 0


def test_a_refused_model_cannot_be_promoted(product):
    product.add(("good soup", "pos"), ("bad tea", "neg"), split="train")
    product.add(("good soup today", "neg"), ("bad tea today", "pos"), split="holdout")
    run = product.train()
    assert run.status == "refused"
    with pytest.raises(rollouts.NotPassed):
        rollouts.promote(run.model_version)


def test_another_tasks_champion_is_no_rival(shop):
    rival = Product("rival")
    rival.add_corpus()
    rollouts.promote(rival.model())
    run = shop.train()
    assert "always the same answer" in run.gate_results.get(name="holdout").reason
