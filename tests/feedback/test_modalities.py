"""What every modality does, by one battery over the table; its own traits follow.

Those of layouts have a file of their own.
"""

import itertools
import random
import time
import uuid

import pytest

from config import json
from feedback.modalities import MODALITIES
from feedback.modalities.base import ExampleDraft
from feedback.signals import SIGNALS
from tests.feedback.samples import SAMPLES, A, B, faults, pointers

PAIRS = [(name, corrected) for name in MODALITIES for corrected in SAMPLES[name][3]]


@pytest.fixture(params=MODALITIES)
def kind(request):
    return MODALITIES[request.param]


def test_it_works(kind):
    labels, input_, output, corrections = SAMPLES[kind.name]
    assert kind.check_task(labels) == []
    assert kind.validate_input(input_) == []
    assert kind.validate_output(output, labels=labels, input_=input_) == []
    for corrected in corrections:
        assert kind.validate_corrected(corrected, labels=labels, input_=input_) == []
    assert isinstance(kind.text_of(input_), str)


def test_each_entry_knows_its_name_and_queue():
    queues = {name: kind.queue for name, kind in MODALITIES.items()}
    assert queues == {
        "classification": "process.text",
        "text": "process.text",
        "layout": "process.layout",
        "image": "process.image",
    }
    assert [kind.name for kind in MODALITIES.values()] == list(MODALITIES)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 7, 1.5, "", " ", [], ["x"], {}),
        *({"boxes": 1}, {"boxes": [1]}, {"boxes": [{"id": None, "label": [], "bbox": [[]] * 4}]}),
        *({"image": 1}, {"image": None, "prompt": 1, "regions": {}}, {"regions": [[]]}),
        *({"messages": {}}, {"messages": [None]}, {"page": {"width": {}, "height": []}}),
    ],
)
def test_no_shape_is_too_odd_to_be_judged(kind, value):
    labels, input_, *_ = SAMPLES[kind.name]
    kind.validate_input(value)
    kind.validate_output(value, labels=labels, input_=input_)
    kind.validate_corrected(value, labels=labels, input_=input_)


@pytest.mark.parametrize(("name", "corrected"), PAIRS)
def test_the_difference_applied_to_the_original_is_the_correction(name, corrected):
    kind, original = MODALITIES[name], SAMPLES[name][2]
    before = json.dumps(original)
    diff = kind.diff(original, corrected)
    assert diff
    assert kind.apply(original, json.loads(json.dumps(diff))) == corrected
    assert json.dumps(original) == before


@pytest.mark.parametrize(("name", "corrected"), PAIRS)
def test_the_work_of_a_correction_is_above_0_and_at_most_1(name, corrected):
    kind, original = MODALITIES[name], SAMPLES[name][2]
    is_order_alone = name == "layout" and [b["id"] for b in corrected["boxes"]] == [3, "a", "b"]
    assert 0 < kind.edit_distance(original, corrected) <= 1 or is_order_alone


def test_no_change_is_no_difference_and_no_work(kind):
    original = SAMPLES[kind.name][2]
    assert kind.diff(original, original) == []
    assert kind.apply(original, []) == original
    assert kind.edit_distance(original, original) == 0.0


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_signal_becomes_what_the_contract_says(kind, signal):
    original, corrected = SAMPLES[kind.name][2], SAMPLES[kind.name][3][0]
    is_golden = signal in {"up", "accepted", "resolved"}
    golden = [ExampleDraft(output=original, rejected_output=None, case="golden")]
    undesired = [ExampleDraft(output=original, rejected_output=None, case="")]
    fixed = [ExampleDraft(output=corrected, rejected_output=original, case="regression")]
    assert kind.to_examples(signal, original, None) == (
        golden if is_golden else undesired if signal == "down" else []
    )
    assert kind.to_examples(signal, original, corrected) == fixed


@pytest.mark.parametrize(("name", "corrected"), PAIRS)
def test_what_is_drafted_is_an_output(name, corrected):
    kind, (labels, input_, original, _) = MODALITIES[name], SAMPLES[name]
    for draft in kind.to_examples("correction", original, corrected):
        assert kind.validate_output(draft.output, labels=labels, input_=input_) == []


def test_every_signal_is_covered_by_the_contract():
    assert set(SIGNALS) == {
        *("up", "down", "correction", "edited"),
        *("regenerated", "accepted", "resolved", "abandoned"),
    }
    assert all(0 < signal.weight <= 1 for signal in SIGNALS.values())


@pytest.mark.parametrize(
    ("labels", "places"),
    [
        (["yes", "no"], []),
        (["yes", "yes"], ["/labels"]),
        (["yes", ""], ["/labels/1"]),
        (["yes", " no", "x" * 129], ["/labels/1", "/labels/2"]),
    ],
)
def test_labels_differ_and_are_short_words(kind, labels, places):
    assert pointers(kind.check_task(labels)) == places


def test_a_case_is_known_by_its_input(kind):
    _, input_, output, _ = SAMPLES[kind.name]
    assert kind.identity(input_, output) == input_


def test_redaction_that_changed_no_name_is_all_there_is(kind):
    output = SAMPLES[kind.name][2]
    assert kind.spare(output, output, [], str.upper) == output


@pytest.mark.parametrize(("name", "corrected"), PAIRS)
def test_an_answer_is_what_would_be_learnt(name, corrected):
    kind, original = MODALITIES[name], SAMPLES[name][2]
    drafts = kind.to_examples("correction", original, corrected)
    assert [draft.output for draft in drafts] == [
        answer for answer in [kind.answer_of(original, corrected)] if answer is not None
    ]


def test_each_modality_says_how_many_labels_it_needs():
    fewest = {"classification": 2, "text": 0, "layout": 1, "image": 0}
    for name, kind in MODALITIES.items():
        needed = [n for n in range(4) if not kind.check_task([f"label {m}" for m in range(n)])]
        assert needed[0] == fewest[name]


@pytest.mark.parametrize("name", ["classification", "text", "image"])
def test_elsewhere_the_text_decides(name):
    _, input_, output, _ = SAMPLES[name]
    assert MODALITIES[name].near_key(input_, output) is None


# --- classification ---------------------------------------------------------------------------

classification = MODALITIES["classification"]


@pytest.mark.parametrize(
    ("value", "places"),
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
def test_an_input_is_a_text_or_named_texts(value, places):
    assert pointers(classification.validate_input(value)) == places


@pytest.mark.parametrize("value", ["other", "Yes", "", None, 1, True, ["yes"], {"label": "yes"}])
def test_an_output_is_a_label_of_the_task(value):
    assert faults("classification", value, ["yes", "no"]) == [""]


def test_named_texts_are_read_in_the_order_of_their_names():
    assert classification.text_of({"b": "two", "a": "one"}) == "one\ntwo"
    assert classification.text_of("alone") == "alone"


def test_another_label_is_a_json_patch_of_the_whole():
    assert classification.diff("no", "yes") == [{"op": "replace", "path": "", "value": "yes"}]
    assert classification.edit_distance("no", "yes") == 1.0


# --- text -------------------------------------------------------------------------------------

text = MODALITIES["text"]
HELLO = {"role": "user", "content": "Hello"}


@pytest.mark.parametrize(
    ("value", "places"),
    [
        ("x", []),
        ({"messages": [HELLO, {"role": "assistant", "content": ""}]}, []),
        (" \n", [""]),
        (7, [""]),
        ([HELLO], [""]),
        ({"messages": [HELLO], "more": 1}, [""]),
        ({"messages": []}, ["/messages"]),
        ({"messages": "x"}, ["/messages"]),
        ({"messages": [HELLO] * 1_001}, ["/messages"]),
        ({"messages": [HELLO, "x"]}, ["/messages/1"]),
        ({"messages": [HELLO | {"name": "x"}]}, ["/messages/0"]),
        ({"messages": [HELLO | {"role": " "}]}, ["/messages/0/role"]),
        ({"messages": [HELLO | {"role": "x" * 51}]}, ["/messages/0/role"]),
        ({"messages": [HELLO | {"content": None}]}, ["/messages/0/content"]),
        ({"messages": [HELLO | {"content": " "}]}, [""]),
    ],
)
def test_a_text_input_is_a_string_or_messages(value, places):
    problems = text.validate_input(value)
    assert pointers(problems) == places
    assert {problem.code for problem in problems} <= {"feedback.invalid_input"}


@pytest.mark.parametrize("value", [None, 7, ["x"], {"text": "x"}])
def test_a_text_output_is_a_string(value):
    assert faults("text", value) == [""]


def test_messages_are_read_with_their_roles():
    chat = {"messages": [HELLO, {"role": "assistant", "content": "Hi"}]}
    assert text.text_of(chat) == "user: Hello\nassistant: Hi"


@pytest.mark.parametrize(
    ("original", "corrected", "spans"),
    [
        ("the cat sat", "the dog sat", [(4, "cat", "dog")]),
        ("cat", "the cat", [(0, "", "the ")]),
        ("the cat", "cat", [(0, "the ", "")]),
        ("one two", "one  two", [(3, " ", "  ")]),
        ("Hi.", "Hi!", [(2, ".", "!")]),
        ("", "x", [(0, "", "x")]),
        ("a b c", "x b y z", [(0, "a", "x"), (4, "c", "y z")]),
        ("😀 a", "😀 b", [(2, "a", "b")]),
    ],
)
def test_a_difference_is_counted_by_hand(original, corrected, spans):
    found = [tuple(span.values()) for span in text.diff(original, corrected)]
    assert found == spans


def test_spans_are_apart_and_in_order_whatever_the_texts():
    dice = random.Random(5)
    for _ in range(2_000):
        one, other = ("".join(dice.choices("aB1 \n\t.é😀中_\u200b", k=8)) for _ in range(2))
        spans = text.diff(one, other)
        assert text.apply(one, spans) == other
        for span in spans:
            assert one[span["start"] :].startswith(span["removed"])
        for span, following in itertools.pairwise(spans):
            assert span["start"] + len(span["removed"]) < following["start"]


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [("kitten", "sitting", 3 / 7), ("", "abc", 1.0), ("", "", 0.0), ("é", "e", 1.0)],
)
def test_the_distance_of_texts_is_levenshteins(one, other, distance):
    assert text.edit_distance(one, other) == text.edit_distance(other, one) == distance


@pytest.fixture(scope="module")
def hostile():
    """Texts of 64 Ki characters that have little in common but their letters."""
    dice = random.Random(1)
    return ["".join(dice.choices(letters, k=65_536)) for letters in ("ab ", "ba.", "!?", "?!,")]


@pytest.mark.parametrize("compare", [text.edit_distance, text.diff])
def test_hostile_texts_are_compared_in_a_bounded_time(hostile, compare):
    """A full table for texts eight times as long would take some fifty times as long."""

    def seconds(size):
        started_at = time.perf_counter()
        for one, other in itertools.product(hostile, hostile):
            compare(one[:size], other[:size])
        return time.perf_counter() - started_at

    assert seconds(65_536) < 25 * seconds(8_192)


def test_long_texts_that_have_little_in_common_are_new_from_end_to_end(hostile):
    one, other, *_ = hostile
    assert text.edit_distance(one, other) == 1.0
    assert text.diff(one, other) == [{"start": 0, "removed": one, "inserted": other}]
    assert text.edit_distance(one, one[:-9]) == 9 / len(one)


# --- image ------------------------------------------------------------------------------------

image = MODALITIES["image"]
REGION = {"bbox": [0, 0, 10, 10], "note": "six fingers"}


@pytest.mark.parametrize(
    ("value", "places"),
    [
        ({"prompt": "a cat"}, []),
        ({"prompt": "a cat", "steps": 30}, []),
        ("a cat", [""]),
        ({}, ["/prompt"]),
        ({"prompt": " "}, ["/prompt"]),
        ({"prompt": ["a cat"]}, ["/prompt"]),
    ],
)
def test_an_image_is_asked_for_with_a_prompt(value, places):
    problems = image.validate_input(value)
    assert pointers(problems) == places
    assert {problem.code for problem in problems} <= {"feedback.invalid_input"}


@pytest.mark.parametrize(
    ("value", "places"),
    [
        (A, [""]),
        ({}, [""]),
        ({"image": A, "prompt": "x"}, [""]),
        ({"image": "1"}, ["/image"]),
        ({"image": A.replace("-", "")}, ["/image"]),
        ({"image": str(uuid.UUID(int=2**128 - 1)).upper()}, ["/image"]),
        ({"image": A + "\n"}, ["/image"]),
        ({"image": f"https://example.org/{A}"}, ["/image"]),
    ],
)
def test_an_image_output_names_an_image(value, places):
    assert faults("image", value) == places


@pytest.mark.parametrize(
    ("value", "places"),
    [
        ({"image": B, "prompt": "x", "regions": [REGION]}, []),
        ({}, [""]),
        (B, [""]),
        ({"image": B, "more": 1}, [""]),
        ({"image": None}, ["/image"]),
        ({"image": "x", "prompt": " "}, ["/image", "/prompt"]),
        ({"regions": []}, ["/regions"]),
        ({"regions": [REGION] * 101}, ["/regions"]),
        ({"regions": [REGION, {"bbox": [0, 0, 1, 1]}]}, ["/regions/1"]),
        ({"regions": [REGION | {"note": ""}]}, ["/regions/0/note"]),
        ({"regions": [REGION | {"bbox": [0, 0, 0, 1]}]}, ["/regions/0/bbox"]),
        ({"regions": [REGION | {"bbox": [-1, 0, 1, 1]}]}, ["/regions/0/bbox"]),
        ({"regions": [REGION | {"bbox": [0, 0, 1e308, 1]}]}, ["/regions/0/bbox"]),
    ],
)
def test_a_correction_of_an_image_has_one_or_more_parts(value, places):
    problems = image.validate_corrected(value, labels=[], input_={"prompt": "x"})
    assert pointers(problems) == places
    assert {problem.code for problem in problems} <= {"feedback.schema_mismatch"}


def test_only_images_name_stored_images():
    assert image.image_ids({"image": A}) == [A]
    assert image.image_ids({"image": A, "prompt": "x"}) == [A]
    assert image.image_ids({"prompt": "x"}) == []
    for name in ("classification", "text", "layout"):
        assert MODALITIES[name].image_ids(SAMPLES[name][2]) == []


def test_a_difference_of_images_names_the_pair():
    corrected = {"regions": [REGION], "image": B, "prompt": "x"}
    assert image.diff({"image": A}, corrected) == [
        {"part": "image", "to": B, "from": A},
        {"part": "prompt", "to": "x"},
        {"part": "regions", "to": [REGION]},
    ]
    assert image.edit_distance({"image": A}, corrected) == 1.0
    assert image.edit_distance({"image": A}, {"image": A, "prompt": "x"}) == 1 / 3


def test_a_correction_of_an_image_that_says_nothing_new_is_none():
    said = {"prompt": "a cat"}, {"image": A}
    for corrected in ({"image": A}, {"prompt": "a cat"}, {"image": A, "prompt": "a cat"}):
        assert image.is_same(*said, corrected)
    for corrected in ({"image": B}, {"prompt": "a dog"}, {"image": A, "regions": [REGION]}):
        assert not image.is_same(*said, corrected)


@pytest.mark.parametrize("value", [None, 7, [], {"regions": 7}, {"regions": [7, {}]}])
def test_what_was_written_is_asked_of_any_shape(value):
    assert [kind.written(value) for kind in MODALITIES.values()] == [[]] * 4


def test_a_prompt_and_notes_are_written():
    noted = {"image": A, "prompt": "x", "regions": [REGION]}
    assert image.written(noted) == ["x", REGION["note"]]


@pytest.mark.parametrize(
    "corrected", [{"prompt": "x"}, {"regions": [REGION]}, {"image": A, "prompt": "x"}]
)
def test_without_another_image_nothing_is_learnt(corrected):
    assert image.to_examples("correction", {"image": A}, corrected) == []


def test_a_chosen_image_is_learnt_without_what_was_said_of_it():
    drafts = image.to_examples("edited", {"image": A}, {"image": B, "regions": [REGION]})
    assert drafts == [ExampleDraft({"image": B}, {"image": A}, "regression")]
