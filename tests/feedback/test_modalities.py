import pytest

from config.errors import Problem
from feedback.modalities import MODALITIES
from feedback.modalities.base import ExampleDraft
from feedback.signals import SIGNALS

classification = MODALITIES["classification"]


def test_it_works():
    assert classification.validate_input("Good soup") == []
    assert classification.validate_output("positive", labels=["negative", "positive"]) == []
    assert classification.to_examples("correction", "negative", "positive") == [
        ExampleDraft(output="positive", rejected_output="negative", case="regression")
    ]


@pytest.mark.parametrize("name", MODALITIES)
def test_each_entry_knows_its_name_and_queue(name):
    assert MODALITIES[name].name == name
    assert MODALITIES[name].queue in {"process.text", "process.layout", "process.image"}


@pytest.mark.parametrize(
    ("value", "pointers"),
    [
        ("x", []),
        ({"title": "x", "body": ""}, []),
        (" \n", [""]),
        ({"title": " "}, [""]),
        ({}, [""]),
        ({str(n): "x" for n in range(33)}, [""]),
        (7, [""]),
        (None, [""]),
        (["x"], [""]),
        ({"a/b": 1, "c": "x", "d": ["x"]}, ["/a~1b", "/d"]),
    ],
)
def test_an_input_is_a_text_or_named_texts(value, pointers):
    assert [problem.pointer for problem in classification.validate_input(value)] == pointers


@pytest.mark.parametrize("value", ["other", "Yes", "", None, 1, True, ["yes"], {"label": "yes"}])
def test_an_output_is_a_label_of_the_task(value):
    problems = classification.validate_output(value, labels=["yes", "no"])
    assert [problem.code for problem in problems] == ["feedback.schema_mismatch"]


@pytest.mark.parametrize(
    ("labels", "pointers"),
    [
        (["yes", "no"], []),
        ([], ["/labels"]),
        (["yes"], ["/labels"]),
        (["yes", "yes"], ["/labels"]),
        (["yes", ""], ["/labels/1"]),
        (["yes", " no", "x" * 129], ["/labels/1", "/labels/2"]),
    ],
)
def test_a_task_has_two_different_labels_or_more(labels, pointers):
    assert [problem.pointer for problem in classification.check_task(labels)] == pointers


def test_named_texts_are_read_in_the_order_of_their_names():
    assert classification.text_of({"b": "two", "a": "one"}) == "one\ntwo"
    assert classification.text_of("alone") == "alone"


def test_the_difference_is_a_json_patch_of_the_whole():
    assert classification.diff("no", "yes") == [{"op": "replace", "path": "", "value": "yes"}]
    assert classification.diff("no", "no") == []
    assert classification.edit_distance("no", "yes") == 1.0
    assert classification.edit_distance("no", "no") == 0.0


GOLDEN = ExampleDraft(output="no", rejected_output=None, case="golden")
REGRESSION = ExampleDraft(output="yes", rejected_output="no", case="regression")


@pytest.mark.parametrize(
    ("signal", "bare", "corrected"),
    [
        ("up", [GOLDEN], [REGRESSION]),
        ("accepted", [GOLDEN], [REGRESSION]),
        ("resolved", [GOLDEN], [REGRESSION]),
        ("down", [], [REGRESSION]),
        ("correction", [], [REGRESSION]),
        ("edited", [], [REGRESSION]),
        ("regenerated", [], [REGRESSION]),
        ("abandoned", [], [REGRESSION]),
    ],
)
def test_a_signal_becomes_what_the_contract_says(signal, bare, corrected):
    assert classification.to_examples(signal, "no", None) == bare
    assert classification.to_examples(signal, "no", "yes") == corrected


def test_every_signal_is_covered_by_the_contract():
    assert set(SIGNALS) == {
        *("up", "down", "correction", "edited"),
        *("regenerated", "accepted", "resolved", "abandoned"),
    }
    assert all(0 < signal.weight <= 1 for signal in SIGNALS.values())


def test_problems_are_values():
    assert classification.validate_output("x", labels=[]) == [
        Problem("", "feedback.schema_mismatch", "Not a label of the task.")
    ]
