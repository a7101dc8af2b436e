"""What every modality does, by one battery over the table; its own traits follow."""

import itertools
import random
import time
import uuid

import pytest

from config import json
from feedback.modalities import MODALITIES
from feedback.modalities.base import ExampleDraft
from feedback.signals import SIGNALS

A, B = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
PAGE = {"page": {"width": 800, "height": 600.5}, "book": "Tintin"}


def box(id_, label="panel", bbox=(10, 20, 30, 40)):
    return {"id": id_, "label": label, "bbox": list(bbox)}


def boxes(*given):
    return {"boxes": list(given)}


# For each modality: labels, an input, an output, and corrections of it that change something.
SAMPLES = {
    "classification": (["neg", "pos"], {"title": "x", "body": "y"}, "neg", ["pos"]),
    "text": (
        [],
        {"messages": [{"role": "user", "content": "Translate."}]},
        "The cat sat\non the  mat.",
        ["The dog sat\non the  mat.", "", "\t", "The cat sat on the mat", "ß 中文 😀"],
    ),
    "layout": (
        ["panel", "balloon"],
        PAGE,
        boxes(box("a"), box("b", "balloon"), box(3)),
        [
            boxes(),
            boxes(box("a", bbox=(11, 20, 30, 40)), box("b", "balloon"), box(3)),
            boxes(box("a", bbox=(10, 20, 31, 40.5)), box("b", "balloon"), box(3)),
            boxes(box("a", "balloon"), box("b", "balloon"), box(3)),
            boxes(box(3), box("a"), box("b", "balloon")),
            boxes(box("new"), box("b", bbox=(0, 0, 800, 600.5)), box("a"), box("end")),
        ],
    ),
    "image": (
        [],
        {"prompt": "a cat", "seed": 7},
        {"image": A},
        [
            {"image": B},
            {"prompt": "a black cat"},
            {"regions": [{"bbox": [0, 0, 10, 10], "note": "six fingers"}]},
            {"image": A, "prompt": "a black cat"},
        ],
    ),
}
PAIRS = [(name, corrected) for name in MODALITIES for corrected in SAMPLES[name][3]]


@pytest.fixture(params=MODALITIES)
def kind(request):
    return MODALITIES[request.param]


def pointers(problems):
    return [problem.pointer for problem in problems]


def faults(name, value, labels=(), input_=None):
    """Return the places that are wrong in an output; all have the one documented code."""
    problems = MODALITIES[name].validate_output(value, labels=labels, input_=input_)
    assert {problem.code for problem in problems} <= {"feedback.schema_mismatch"}
    return pointers(problems)


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
    fixed = [ExampleDraft(output=corrected, rejected_output=original, case="regression")]
    assert kind.to_examples(signal, original, None) == (golden if is_golden else [])
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


def test_each_modality_says_how_many_labels_it_needs():
    fewest = {"classification": 2, "text": 0, "layout": 1, "image": 0}
    for name, kind in MODALITIES.items():
        needed = [n for n in range(4) if not kind.check_task([f"label {m}" for m in range(n)])]
        assert needed[0] == fewest[name]


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


# --- layout -----------------------------------------------------------------------------------

layout = MODALITIES["layout"]


@pytest.mark.parametrize(
    ("value", "places"),
    [
        (PAGE, []),
        ({"page": {"width": 1, "height": 1_000_000}, "page_number": 3}, []),
        ("page", [""]),
        ({}, ["/page"]),
        ({"page": [800, 600]}, ["/page"]),
        ({"page": {"width": 800}}, ["/page"]),
        ({"page": {"width": 800, "height": 600, "depth": 1}}, ["/page"]),
        ({"page": {"width": 0, "height": -1}}, ["/page/width", "/page/height"]),
        ({"page": {"width": True, "height": "600"}}, ["/page/width", "/page/height"]),
        ({"page": {"width": 1e308, "height": 2**53}}, ["/page/width", "/page/height"]),
    ],
)
def test_a_page_has_a_size(value, places):
    problems = layout.validate_input(value)
    assert pointers(problems) == places
    assert {problem.code for problem in problems} <= {"feedback.invalid_input"}


@pytest.mark.parametrize(
    "bbox",
    [
        (0, 0, 800, 600.5),
        (799, 600, 1, 0.5),
        (0.1, 0.2, 799.9, 600.3),  # whose sums are off in the last place
        (0, 0, 0.5, 0.5),
    ],
)
def test_a_box_may_touch_the_edges(bbox):
    assert faults("layout", boxes(box("a", bbox=bbox)), ["panel"], PAGE) == []


@pytest.mark.parametrize(
    "bbox",
    [
        (0, 0, 801, 10),
        (771, 20, 30, 40),
        (10, 561, 30, 40),
        (-1, 20, 30, 40),
        (10, -1, 30, 40),
        (10, 20, 0, 40),
        (10, 20, 30, -40),
        (10, 20, 1e-300, 40),
        (1e308, 1e308, 1e308, 1e308),
        (2**53, 0, 1, 1),
        (10, 20, 30),
        (10, 20, 30, 40, 50),
        (10, 20, 30, "40"),
        (10, 20, 30, None),
        (True, 20, 30, 40),
    ],
)
def test_a_box_lies_within_the_page(bbox):
    value = boxes(box("a"), box("b"), box("c"), box("d", bbox=bbox))
    assert faults("layout", value, ["panel"], PAGE) == ["/boxes/3/bbox"]


@pytest.mark.parametrize(
    ("value", "places"),
    [
        ([], [""]),
        ({}, [""]),
        ({"boxes": []}, []),
        ({"boxes": {}}, [""]),
        ({"boxes": [], "more": 1}, [""]),
        (boxes(box("a"), 7), ["/boxes/1"]),
        (boxes(box("a") | {"score": 1}), ["/boxes/0"]),
        (boxes({"id": "a", "label": "panel"}), ["/boxes/0"]),
        (boxes(box("a", "page")), ["/boxes/0/label"]),
        (boxes(box("a", None)), ["/boxes/0/label"]),
        (boxes(box("a", ["panel"])), ["/boxes/0/label"]),
        (boxes(box("a"), box("a")), ["/boxes/1/id"]),
        (boxes(box("1"), box(1)), ["/boxes/1/id"]),
        (boxes(box("")), ["/boxes/0/id"]),
        (boxes(box("x" * 129)), ["/boxes/0/id"]),
        (boxes(box(None), box(True), box(1.5), box({})), [f"/boxes/{n}/id" for n in range(4)]),
        (boxes(box("a", "x", [1])), ["/boxes/0/label", "/boxes/0/bbox"]),
    ],
)
def test_boxes_have_ids_of_their_own_and_labels_of_the_task(value, places):
    assert faults("layout", value, ["panel"], PAGE) == places


def test_a_thousand_wrong_boxes_are_not_told_one_by_one():
    assert len(faults("layout", boxes(*[7] * 1_000), ["panel"], PAGE)) == 20


def test_a_layout_input_is_read_as_its_texts():
    named = PAGE | {"scene": {"who": ["Tintin", 7], "said": "Snowy!"}, "id": 3}
    assert layout.text_of(named).split("\n") == ["Tintin", "Tintin", "Snowy!"]


def test_a_difference_tells_what_became_of_each_box():
    before = boxes(box("gone"), box("moved"), box("sized"), box("named"), box("same"))
    after = boxes(
        box("same"),
        box("new"),
        box("moved", bbox=(11, 20, 30, 40)),
        box("sized", bbox=(10, 20, 31, 40)),
        box("named", "balloon"),
    )
    assert layout.diff(before, after) == [
        {"change": "removed", "box": box("gone")},
        {"change": "reordered", "ids": ["same", "moved", "sized", "named"]},
        {"change": "added", "box": box("new"), "index": 1},
        {"change": "moved", "id": "moved", "from": [10, 20], "to": [11, 20]},
        {"change": "resized", "id": "sized", "from": [30, 40], "to": [31, 40]},
        {"change": "relabelled", "id": "named", "from": "panel", "to": "balloon"},
    ]


def test_any_layout_becomes_any_other():
    dice = random.Random(3)

    def some():
        ids = dice.sample(range(8), dice.randrange(8))
        sizes = [dice.choices(range(1, 4), k=4) for _ in ids]
        return boxes(*[box(*it) for it in zip(ids, dice.choices("ab", k=8), sizes, strict=False)])

    for _ in range(1_000):
        one, other = some(), some()
        assert layout.apply(one, layout.diff(one, other)) == other


@pytest.mark.parametrize(
    ("corrected", "distance"),
    [
        ([box("a"), box("b")], 0.0),
        ([box("b"), box("a")], 0.0),
        ([box("a")], 0.5),
        ([box("a"), box("b"), box("c"), box("d")], 0.5),
        ([box("a"), box("b", "balloon")], 0.5),
        ([box("a"), box("b", bbox=(10, 20, 15, 40))], 0.25),
        ([box("a"), box("b", bbox=(25, 20, 30, 40))], 1 - (1 + 1 / 3) / 2),
        ([box("a"), box("b", bbox=(100, 20, 30, 40))], 0.5),
        ([], 1.0),
    ],
)
def test_the_distance_of_layouts_is_counted_by_hand(corrected, distance):
    before, after = boxes(box("a"), box("b")), boxes(*corrected)
    assert layout.edit_distance(before, after) == pytest.approx(distance)
    assert layout.edit_distance(after, before) == pytest.approx(distance)


def test_layouts_that_differ_in_rounding_order_or_ids_share_a_key():
    page = {"page": {"width": 1_000, "height": 1_000}}
    twice = {"page": {"width": 2_000, "height": 2_000}}
    one = boxes(box("a", bbox=(100, 200, 300, 400)), box("b", bbox=(0, 0, 50, 50)))
    key = layout.near_key(page, one)
    same = boxes(box("y", bbox=(1, 2, 52, 48)), box("x", bbox=(103, 197, 304, 404)))
    larger = boxes(box("a", bbox=(200, 400, 600, 800)), box("b", bbox=(0, 0, 100, 100)))
    assert key == layout.near_key(page, same) == layout.near_key(twice, larger)
    moved = boxes(box("a", bbox=(107, 200, 300, 400)), box("b", bbox=(0, 0, 50, 50)))
    named = boxes(box("a", "x", bbox=(100, 200, 300, 400)), box("b", bbox=(0, 0, 50, 50)))
    fewer = boxes(box("a", bbox=(100, 200, 300, 400)))
    assert key not in {layout.near_key(page, other) for other in (moved, named, fewer)}


@pytest.mark.parametrize("name", ["classification", "text", "image"])
def test_elsewhere_the_text_decides(name):
    _, input_, output, _ = SAMPLES[name]
    assert MODALITIES[name].near_key(input_, output) is None


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


@pytest.mark.parametrize(
    "corrected", [{"prompt": "x"}, {"regions": [REGION]}, {"image": A, "prompt": "x"}]
)
def test_without_another_image_nothing_is_learnt(corrected):
    assert image.to_examples("correction", {"image": A}, corrected) == []


def test_a_chosen_image_is_learnt_without_what_was_said_of_it():
    drafts = image.to_examples("edited", {"image": A}, {"image": B, "regions": [REGION]})
    assert drafts == [ExampleDraft({"image": B}, {"image": A}, "regression")]
