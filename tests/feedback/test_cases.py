"""What tells one case from another, and one answer: layouts of a page, corrections of images."""

import re

import pytest

from feedback.imports import import_examples
from feedback.models import Example, Feedback, Image, Inference
from feedback.processing import process_queue
from tests.feedback.samples import box, boxes
from tests.product import Product, stored_text

pytestmark = pytest.mark.django_db
PAGE = {"page": {"width": 800, "height": 600}}
CONTRADICTS = ["feedback.contradiction"]


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task(slug="page", modality="layout", labels=["panel"])
    shop.task(slug="art", modality="image", labels=[])
    return shop


def layout(n):
    """Return the boxes of one page of many."""
    return boxes(box("a", bbox=(n, 20, 30, 40)), box("b", bbox=(100, n, 50, 60)))


def correct(shop, user, task, input_, output, corrected):
    """Send a correction; return its flags."""
    body = {"task": task, "input": input_, "output": output, "signal": "correction"}
    return shop.post("feedback/", body | {"corrected": corrected, "user_id": user}, 201)["flags"]


def pictures(shop, count):
    more = {"media_type": "image/png", "width": 1, "height": 1, "difference_hash": 0}
    rows = [
        Image.objects.create(project=shop.project, is_verified=True, sha256="0" * 64, **more)
        for _ in range(count)
    ]
    return [{"image": str(row.uuid)} for row in rows]


def test_it_works(shop):
    """Pages of one size are cases of their own: none contradicts another, each is learnt."""
    for n in range(40):
        flags = correct(shop, f"u{n}", "page", PAGE, layout(n), layout(n + 100))
        assert flags == []
    process_queue("process.layout")
    learnt = Example.objects.all()
    assert len({bytes(example.input_hash) for example in learnt}) == 40
    assert {example.split for example in learnt} == {"train", "holdout"}


def test_the_same_boxes_on_the_same_size_of_page_are_one_case(shop):
    assert correct(shop, "ann", "page", PAGE, layout(1), layout(2)) == []
    assert correct(shop, "bob", "page", PAGE, layout(1), layout(2)) == []
    assert correct(shop, "eve", "page", PAGE, layout(1), layout(3)) == CONTRADICTS


def test_a_page_that_says_more_of_itself_is_known_by_it(shop):
    named = PAGE | {"scene": "s-1"}
    assert correct(shop, "ann", "page", named, layout(1), layout(2)) == []
    assert correct(shop, "bob", "page", named, layout(9), layout(3)) == CONTRADICTS
    assert correct(shop, "eve", "page", PAGE | {"scene": "s-2"}, layout(1), layout(3)) == []


def test_starting_data_knows_the_same_cases(shop):
    task = shop.project.tasks.get(slug="page")
    import_examples(task, [(PAGE, layout(1)), (PAGE, layout(2))])
    correct(shop, "ann", "page", PAGE, layout(1), layout(3))
    one, other = (bytes(example.input_hash) for example in Example.objects.order_by("pk"))
    assert one != other
    assert bytes(Feedback.objects.get().input_hash) == one


IDS = [4111111111111111, "5500005555555559", "ann@example.org", "bob@example.org", 7]


def test_boxes_whose_ids_are_redacted_still_pair(shop):
    output = boxes(*[box(id_, bbox=(n + 1, 0, 9, 9)) for n, id_ in enumerate(IDS)])
    corrected = boxes(*[box(id_, bbox=(n + 1, 5, 9, 9)) for n, id_ in enumerate(IDS)][1:])
    assert correct(shop, "ann", "page", PAGE, output, corrected) == []
    row = shop.get(f"feedback/{Feedback.objects.get().uuid}/")
    assert [change["change"] for change in row["diff"]] == ["removed"] + ["moved"] * 4
    kinds = [str(box["id"]).partition(" ")[0] for box in row["original"]["boxes"]]
    assert kinds == ["[CREDIT_CARD]", "[CREDIT_CARD]", "[EMAIL]", "[EMAIL]", "7"]
    assert not [id_ for id_ in IDS[:4] if str(id_) in stored_text()]
    process_queue("process.layout")
    path = f"feedback/{row['id']}/review/"
    mended = {"boxes": row["corrected"]["boxes"][1:]}
    shop.post(path, {"decision": "accept", "moderator": "mo", "corrected": mended}, 200)
    process_queue("process.layout")
    assert Example.objects.get(superseded_at=None).output == mended


def find_scene(text):
    return [("PERSON", *match.span()) for match in re.finditer("Ursula(?: II)?", text)]


def test_a_detector_leaves_a_case_what_it_is(shop, settings):
    settings.REDACTION_DETECTOR = f"{__name__}.find_scene"
    for n in (1, 1, 2):
        named = boxes(box("Ursula", bbox=(n, 20, 30, 40)))
        correct(shop, f"u{Inference.objects.count()}", "page", PAGE, named, layout(n))
    process_queue("process.layout")
    for rows in (Inference.objects, Feedback.objects, Example.objects):
        one, same, other = (bytes(row.input_hash) for row in rows.order_by("pk"))
        assert one == same != other


def test_boxes_that_a_detector_renames_still_pair(shop, settings):
    settings.REDACTION_DETECTOR = f"{__name__}.find_scene"
    output = boxes(box("Ursula"), box("Ursula II"))
    corrected = boxes(box("Ursula II"), box("Ursula", bbox=(1, 2, 30, 40)))
    correct(shop, "ann", "page", PAGE, output, corrected)
    process_queue("process.layout")
    row = shop.get(f"feedback/{Feedback.objects.get().uuid}/")
    assert (row["status"], len(row["example_ids"])) == ("processed", 1)
    assert [change["change"] for change in row["diff"]] == ["reordered", "moved"]


def test_who_chose_another_image_contradicts(shop):
    shown, one, other = pictures(shop, 3)
    cat = {"prompt": "a cat"}
    assert correct(shop, "ann", "art", cat, shown, one) == []
    assert correct(shop, "bob", "art", cat, shown, one | {"prompt": "a black cat"}) == []
    assert correct(shop, "eve", "art", cat, shown, other) == CONTRADICTS


@pytest.mark.parametrize("is_batch", [False, True])
def test_what_names_no_other_image_contradicts_nobody(shop, is_batch):
    shown, one = pictures(shop, 2)
    cat, region = {"prompt": "a cat"}, {"bbox": [0, 0, 10, 10], "note": "six fingers"}
    said = [{"prompt": "a black cat"}, shown | {"prompt": "a dog"}, {"regions": [region]}, one]
    body = {"task": "art", "input": cat, "output": shown, "signal": "correction"}
    items = [body | {"corrected": what, "user_id": f"u{n}"} for n, what in enumerate(said)]
    batches = [items] if is_batch else [[item] for item in items]
    for batch in batches:
        for result in shop.post("feedback/batch/", {"items": batch}, 200)["results"]:
            assert (result["status"], result["flags"]) == (201, [])
    hashes = [row.corrected_hash for row in Feedback.objects.order_by("number")]
    assert [hash_ is None for hash_ in hashes] == [True, True, True, False]


def test_a_golden_image_is_contradicted_by_another_image_alone(shop):
    shown, golden = pictures(shop, 2)
    cat = {"prompt": "a cat"}
    body = {"task": "art", "input": cat, "output": golden, "signal": "up", "user_id": "ann"}
    shop.post("feedback/", body, 201)
    process_queue("process.image")
    assert correct(shop, "bob", "art", cat, shown, golden | {"prompt": "a black cat"}) == []
    assert correct(shop, "cid", "art", cat, shown, {"prompt": "a black cat"}) == []
    assert correct(shop, "eve", "art", cat, golden, shown) == [*CONTRADICTS, "feedback.high_impact"]


def test_a_golden_case_falls_with_the_approval_that_it_came_from(shop):
    shown, golden = pictures(shop, 2)
    cat = {"prompt": "a cat"}
    body = {"task": "art", "input": cat, "output": golden, "signal": "up", "user_id": "ann"}
    approval = shop.post("feedback/", body, 201)["id"]
    process_queue("process.image")
    decision = {"decision": "reject", "moderator": "mo", "reason": "It is a dog."}
    shop.post(f"feedback/{approval}/review/", decision, 200)
    assert correct(shop, "bob", "art", cat, golden, shown) == []


def test_what_a_moderator_put_right_is_what_others_contradict(shop):
    shown, one, other = pictures(shop, 3)
    cat = {"prompt": "a cat"}
    correct(shop, "ann", "art", cat, shown, one)
    process_queue("process.image")
    decision = {"decision": "accept", "moderator": "mo", "corrected": other}
    shop.post(f"feedback/{Feedback.objects.get().uuid}/review/", decision, 200)
    assert correct(shop, "bob", "art", cat, shown, other) == []
    assert correct(shop, "eve", "art", cat, shown, one) == CONTRADICTS


def test_the_images_of_a_batch_are_looked_up_at_once(shop, django_assert_max_num_queries):
    body = {"task": "art", "input": {"prompt": "a cat"}, "signal": "correction"}
    items = [
        body | {"output": shown, "corrected": chosen, "user_id": f"u{n}"}
        for n, (shown, chosen) in enumerate([pictures(shop, 2) for _ in range(5)])
    ]
    with django_assert_max_num_queries(3):  # the key and a savepoint; capture's own do not count
        assert shop.post("feedback/batch/", {"items": items}, 200)["created"] == 5
