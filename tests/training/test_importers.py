"""Files of other tools, and Emend's own exports, read back as starting data."""

import json
import tarfile

import pytest
from django.core.management import CommandError, call_command

from config.errors import Malformed
from feedback.imports import Item, import_examples
from feedback.models import Example
from tests.product import Product as Shop
from tests.training.builders import Product, texts_of
from training import exports, importers
from training.models import Dataset

PAGE = {"width": 800, "height": 600}
HOSTILE = [
    *("=cmd|' /C calc'!A0", "'=x", "''-1", "+1", "@a", "\t=1", '"quoted"', "'", "true", "null"),
    *('{"a":1}', "[1]", "007", "a,b\r\nc\nd\re", "a\u2028b", "é漢🙂", " spaces "),
]


def box(name, *bbox, label="panel"):
    return {"id": name, "label": label, "bbox": list(bbox)}


def layout(file, *boxes):
    return {"page": PAGE, "file_name": file}, {"boxes": list(boxes)}


MOODS = [
    Item("a good soup", "pos", weight=0.25, split="train"),
    Item("a bad soup", "neg", weight=1 / 3, case="regression", rejected="pos"),
    Item({"title": "tea", "body": "was cold"}, "neg", split="holdout", case="golden"),
]
TEXTS = [Item(f"say {n}: {text}", text) for n, text in enumerate(HOSTILE)]
TEXTS += [Item(text, "formula") for text in HOSTILE]
TEXTS += [Item({"messages": [{"role": "user", "content": "=1+1"}]}, "=2", rejected="'=2")]
PAGES = [
    Item(*layout("p1", box("a", 1 / 3, 2.5, 100.1, 33.3), box(7, 0, 0, 800, 600, label="balloon"))),
    Item(
        {"page": {"width": 799.5, "height": 600}, "scene": "s-1"}, {"boxes": [box("b", 1, 2, 3, 4)]}
    ),
    Item(*layout("p3")),
]
THUMBS = [Item("good soup", "pos", label=True), Item("bad soup", "pos", label=False)]
TASKS = {
    "classification": {"modality": "classification", "labels": ["neg", "pos"]},
    "text": {"modality": "text", "labels": []},
    "layout": {"modality": "layout", "labels": ["panel", "balloon"]},
}
TRIPS = [
    *[("classification", "train", name, MOODS) for name in ("jsonl", "parquet", "csv")],
    ("classification", "train", "label-studio", MOODS),
    *[("classification", "eval", name, MOODS) for name in ("jsonl", "parquet", "csv")],
    *[("classification", "preference", name, MOODS) for name in ("jsonl", "parquet")],
    *[("classification", "unpaired", name, THUMBS) for name in ("jsonl", "parquet")],
    *[("text", "train", name, TEXTS) for name in ("jsonl", "parquet", "csv", "label-studio")],
    *[("text", "preference", name, TEXTS) for name in ("jsonl", "parquet")],
    *[("layout", "train", name, PAGES) for name in ("jsonl", "parquet", "coco", "label-studio")],
]


def built(slug, kind, purpose, items):
    """Return a version of what a new project has after an import of these items."""
    shop = Product(slug, **TASKS[kind])
    import_examples(shop.task, items)
    settings = {"shortest": 0}
    dataset = Dataset.objects.create(
        project=shop.project, task=shop.task, name="line", purpose=purpose, settings=settings
    )
    return shop.version(dataset)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "purpose", "name", "items"), TRIPS, ids=["-".join(trip[:3]) for trip in TRIPS]
)
def test_an_export_comes_back_as_the_same_content(tmp_path, kind, purpose, name, items):
    version = built("shop", kind, purpose, items)
    file = exports.export(version, name)
    path = tmp_path / file.name
    path.write_bytes(b"".join(file.pieces))
    again = built("other", kind, purpose, importers.read(path))
    assert version.counts["total"] > 0
    assert again.content_hash == version.content_hash


def faults(path):
    return [(item.place, item.fault) for item in importers.read(path)]


# --- LabelMe ------------------------------------------------------------------------------------


def shape(kind, *points, label="panel"):
    return {"label": label, "points": list(points), "shape_type": kind, "group_id": None}


def page(*shapes, picture="..\\images\\p1.png"):
    sides = {"imageWidth": 800, "imageHeight": 600}
    return {"version": "5.8.3", "imagePath": picture, "imageData": "AAAA", "shapes": shapes} | sides


SHAPES = [
    shape("rectangle", [10, 20], [110, 70]),
    shape("rectangle", [110, 70.5], [10, 20.5]),
    shape("polygon", [5, 9], [25, 3], [30, 40]),
]


def saved(path, *documents):
    for number, document in enumerate(documents):
        (path / f"{number}.json").write_text(json.dumps(document))
    return path


def test_shapes_become_boxes_whatever_their_corners(tmp_path):
    saved(tmp_path, page(*SHAPES))
    expected = layout(
        "p1.png",
        *(box("1", 10, 20, 100, 50), box("2", 10, 20.5, 100, 50), box("3", 5, 3, 25, 37)),
    )
    (item,) = importers.read(tmp_path / "0.json")
    assert (item.input, item.output, item.place) == (*expected, "0.json")


def test_a_folder_and_an_archive_of_pages_are_the_same(tmp_path):
    folder = saved(tmp_path, page(*SHAPES), page(picture="p2.png"))
    packed = tmp_path / "pages.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(folder / "0.json", "./0.json")
        archive.add(folder / "1.json", "./1.json")
    pages = [item[:2] for item in importers.read(folder)]
    assert [item[:2] for item in importers.read(packed)] == pages
    assert [input_["file_name"] for input_, _ in pages] == ["p1.png", "p2.png"]


def test_pages_of_one_name_in_two_folders_are_two(tmp_path):
    for name in ("a", "b/c"):
        (tmp_path / name).mkdir(parents=True)
        saved(tmp_path / name, page())
    names = [item.input["file_name"] for item in importers.read(tmp_path)]
    assert names == ["a/p1.png", "b/c/p1.png"]


def test_a_circle_is_no_box(tmp_path):
    saved(tmp_path, page(shape("circle", [5, 5], [9, 9])))
    fault = "Shape 1 is a circle: only rectangle and polygon."
    assert faults(tmp_path / "0.json") == [("0.json", fault)]


# --- COCO ---------------------------------------------------------------------------------------


def coco(**more):
    image = {"id": 4, "width": 800, "height": 600, "file_name": "p1.png"}
    annotation = {"id": 9, "image_id": 4, "category_id": 2, "bbox": [1, 2, 3, 4]}
    categories = [{"id": 2, "name": "panel", "supercategory": ""}]
    return {"images": [image], "annotations": [annotation], "categories": categories} | more


def test_an_image_of_coco_becomes_a_page(tmp_path):
    saved(tmp_path, coco())
    (item,) = importers.read(tmp_path / "0.json")
    assert (item.input, item.output) == layout("p1.png", box("9", 1, 2, 3, 4))


def test_what_is_no_file_of_coco_is_refused(tmp_path):
    saved(tmp_path, coco(images=3))
    with pytest.raises(ValueError, match="images"):
        list(importers.read(tmp_path / "0.json"))


CONTRADICTIONS = [
    ("categories", "Annotation 9 is of no category that the file has."),
    ("images", "It has annotations, and is not in the file."),
]


@pytest.mark.parametrize(("without", "fault"), CONTRADICTIONS)
def test_a_file_of_coco_that_contradicts_itself_says_where(tmp_path, without, fault):
    saved(tmp_path, coco(**{without: []}))
    assert faults(tmp_path / "0.json") == [("image 4", fault)]


# --- Label Studio -------------------------------------------------------------------------------


def labelled(data, *results, **more):
    return {"id": 3, "data": data, "annotations": [{"result": list(results)} | more]}


def rectangle(**value):
    value = {
        "x": 12.5,
        "y": 50,
        "width": 25,
        "height": 100 / 3,
        "rectanglelabels": ["panel"],
    } | value
    sides = {"original_width": 800, "original_height": 600}
    return {"id": "r", "type": "rectanglelabels", "value": value} | sides


def read_tasks(path, *tasks, **more):
    return [item[:2] for item in importers.read(saved(path, list(tasks)) / "0.json", **more)]


CHOICE = {"type": "choices", "value": {"choices": ["pos"]}}
ANSWER = {"type": "textarea", "value": {"text": ["so it is"]}}


def test_choices_and_answers_are_read(tmp_path):
    tasks = [labelled({"text": "good"}, CHOICE), labelled({"text": "fine"}, ANSWER)]
    assert read_tasks(tmp_path, *tasks) == [("good", "pos"), ("fine", "so it is")]


def test_percent_become_pixels(tmp_path):
    task = labelled({"image": "p1.png"}, rectangle())
    expected = {"page": PAGE, "image": "p1.png"}, {"boxes": [box("r", 100, 300, 200, 200)]}
    assert read_tasks(tmp_path, task) == [expected]


def test_a_rotated_box_is_refused(tmp_path):
    saved(tmp_path, [labelled({"image": "p1.png"}, rectangle(rotation=3))])
    fault = "The box r is rotated, and boxes here are not."
    assert faults(tmp_path / "0.json") == [("Task 3", fault)]


def boxes_of(path, *results, **data):
    ((_, output),) = read_tasks(path, labelled({"image": "p1.png"} | data, *results))
    return output["boxes"]


def test_a_box_that_nobody_moved_keeps_its_pixels(tmp_path):
    kept = [100.0004, 300, 200, 199.9996]
    result = rectangle() | {"meta": {"id": 7, "bbox": kept}}
    assert boxes_of(tmp_path, result) == [box(7, *kept)]


@pytest.mark.parametrize("kept", [[90, 300, 200, 200], [100, 300, 200, 200.002], [100, 300]])
def test_a_box_that_was_moved_is_where_it_was_put(tmp_path, kept):
    result = rectangle() | {"meta": {"id": 7, "bbox": kept}}
    assert boxes_of(tmp_path, result) == [box(7, 100, 300, 200, 200)]


def test_percent_are_of_the_page_whatever_picture_was_shown(tmp_path):
    input_ = {"page": {"width": 400, "height": 300}}
    assert boxes_of(tmp_path, rectangle(), input=input_) == [box("r", 50, 150, 100, 100)]


def region(kind):
    return {"id": "s", "type": kind, "value": {}}


@pytest.mark.parametrize("kind", ["polygonlabels", "brushlabels", "labels", "polygon", "rectangle"])
@pytest.mark.parametrize("others", [[], [rectangle()], [CHOICE | {"id": "s"}]], ids=len)
def test_a_region_that_is_not_read_is_told(tmp_path, kind, others):
    saved(tmp_path, [labelled({"image": "p1.png", "text": "good"}, *others, region(kind))])
    fault = f"It has {kind}, and of regions only rectanglelabels are read."
    assert faults(tmp_path / "0.json") == [("Task 3", fault)]


def test_what_is_said_beside_boxes_is_no_region(tmp_path):
    results = [rectangle(), CHOICE | {"id": "c"}, ANSWER | {"id": "r"}, {"type": "relation"}]
    assert boxes_of(tmp_path, *results) == [box("r", 100, 300, 200, 200)]


def test_a_choice_of_the_whole_text_is_read_beside_spans(tmp_path):
    task = labelled({"text": "good"}, region("labels"), CHOICE | {"id": "c"})
    assert read_tasks(tmp_path, task) == [("good", "pos")]


def test_what_nobody_said_is_no_item(tmp_path):
    cancelled = labelled({"text": "good"}, CHOICE, was_cancelled=True)
    assert read_tasks(tmp_path, cancelled, labelled({"text": "good"})) == []


def test_the_data_of_a_task_may_have_another_name(tmp_path):
    columns = importers.Columns(input="review")
    task = labelled({"review": "good"}, CHOICE)
    assert read_tasks(tmp_path, task, columns=columns) == [("good", "pos")]


# --- what rows may say --------------------------------------------------------------------------


def lines(path, *rows):
    path = path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def row(text="good soup", output="pos", **more):
    return {"input": text, "output": output} | more


def run(*words):
    call_command("import_examples", *map(str, words), "--task", "mood")


@pytest.mark.parametrize("split", ["train", "holdout"])
def test_a_row_says_its_side_before_the_command_and_the_hash(product, tmp_path, split):
    other = "train" if split == "holdout" else "holdout"
    text = next(texts_of(other))
    run(lines(tmp_path, row(text, split=split), row("another")), "--split", other)
    assert Example.objects.get(input=text).split == split
    assert Example.objects.get(input="another").split == other


def test_no_row_moves_what_is_known_to_the_other_side(product, tmp_path):
    product.add(("good soup", "pos"), split="holdout")
    run(lines(tmp_path, row(split="train")))
    assert set(Example.objects.values_list("split", flat=True)) == {"holdout"}


def test_one_input_is_on_one_side_whatever_its_rows_say(product, tmp_path):
    run(lines(tmp_path, row(), row("Good  SOUP", split="train"), row("good soup", split="holdout")))
    assert list(Example.objects.values_list("split", flat=True)) == ["train"] * 3


BAD = [
    *[{"weight": weight} for weight in (-0.1, 1.1, "heavy", True)],
    *[{"split": "test"}, {"case": "hopeless"}],
    *[{"label": label} for label in ("maybe", 0, 1, 1.0)],
    *[{"label": False, "case": case} for case in ("golden", "regression")],
    *[{"rejected": "so-so"}, {"rejected": 3}],
]


@pytest.mark.parametrize("more", BAD, ids=str)
def test_what_a_row_cannot_say_is_refused_with_its_place(product, tmp_path, more):
    path = lines(tmp_path, row(), row("bad soup", **more))
    with pytest.raises(CommandError, match=r"Item 1: .*Nothing was imported"):
        run(path)
    assert not Example.objects.exists()


def test_bad_rows_are_left_out_and_listed_where_that_is_asked(product, tmp_path, capsys):
    run(lines(tmp_path, row(), row("x", "so-so"), row("bad soup", "neg")), "--skip-bad")
    assert set(Example.objects.values_list("input", flat=True)) == {"good soup", "bad soup"}
    said = "Imported 2 examples into mood.\nLeft out 1 bad ones:\n  Item 1: Not a label"
    assert capsys.readouterr().out.startswith(said)


def test_an_undesirable_case_is_told_at_its_label(product):
    with pytest.raises(Malformed, match="no golden case") as caught:
        product.add(Item("good soup", "pos", case="golden", label=False))
    assert [problem.pointer for problem in caught.value.errors] == ["/items/0/label"]


def test_a_rejected_output_is_redacted_too(db, tmp_path):
    shop = Product("shop", **TASKS["text"])
    import_examples(shop.task, [Item("hello", "hi", rejected="hi, ann@example.org")])
    assert Example.objects.get().rejected_output == "hi, [EMAIL]"


def test_what_is_not_desirable_teaches_no_answer(product):
    product.add(*THUMBS)
    assert product.version().counts["total"] == 1


def test_the_api_takes_what_a_file_may_say(db):
    shop = Shop("shop")
    shop.task(slug="mood", modality="classification", labels=["neg", "pos"])
    said = {"split": "holdout", "weight": 0.5, "case": "regression", "rejected": "neg"}
    body = {"task": "mood", "items": [row(**said), row("bad soup", label=False)], "split": "train"}
    assert shop.post("examples/batch/", body, 201) == {"created": 2}
    columns = ("split", "base_weight", "case", "rejected_output", "signal")
    rows = Example.objects.order_by("pk").values_list(*columns)
    assert list(rows) == [
        ("holdout", 0.5, "regression", "neg", ""),
        ("train", 1.0, "", None, "down"),
    ]


def test_the_format_may_be_named(product, tmp_path):
    path = lines(tmp_path, row()).rename(tmp_path / "rows.txt")
    run(path, "--format", "jsonl")
    assert Example.objects.get().input == "good soup"
