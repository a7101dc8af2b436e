"""What the modality layout does: the boxes on a page."""

import random

import pytest

from config import json
from feedback.modalities import MODALITIES
from tests.feedback.samples import PAGE, box, boxes, faults, pointers

layout = MODALITIES["layout"]


def test_it_works():
    before, after = boxes(box("a")), boxes(box("a", bbox=(11, 20, 30, 40)))
    assert faults("layout", after, ["panel"], PAGE) == []
    assert layout.apply(before, layout.diff(before, after)) == after


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


def test_a_page_that_says_nothing_but_its_size_is_known_by_its_boxes_too():
    bare = {"page": PAGE["page"]}
    assert layout.identity(PAGE, boxes(box("a"))) == layout.identity(PAGE, boxes()) == PAGE
    assert layout.identity(bare, boxes(box("a"))) != layout.identity(bare, boxes())


def test_ids_that_redaction_made_the_same_stay_apart():
    sent = boxes(box(411), box("a@b.co"), box("c@d.co"), box("plain"))
    redacted = boxes(box("[CREDIT_CARD]"), box("[EMAIL]"), box("[EMAIL]"), box("plain"))
    kept = layout.spare(sent, redacted, [], str.upper)
    names = ["[CREDIT_CARD] 411", "[EMAIL] A@B.CO", "[EMAIL] C@D.CO", "plain"]
    assert kept == boxes(*map(box, names))


@pytest.mark.parametrize(
    "value",
    [
        *(None, 7, "x", [], ["x"], {}, {"boxes": 7}, {"boxes": [7, "x", {}, {"id": None}]}),
        *({"boxes": [{"id": ["a@b.co"]}]}, {"boxes": [box("a") | {"more": 1}], "more": 1}),
    ],
)
def test_what_has_no_boxes_with_ids_is_left_as_it_is(value):
    redacted = json.loads(json.dumps(value).replace(b"a@b.co", b"[EMAIL]"))
    assert layout.spare(value, redacted, [], str.upper) == redacted


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
