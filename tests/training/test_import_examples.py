"""The command import_examples: tables of starting data, as a person imports them."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feedback.models import Example
from tests.commands import refused, succeed
from tests.training.builders import Product, side_of
from tests.training.exported import row, written

ROWS = [{"Text": 'the "good" soup', "Mood": "pos"}, {"Text": "bad soup", "Mood": "neg"}]
COLUMNS = ("--input", "Text", "--output", "Mood")


def jsonl(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def tsv(path, rows):
    lines = ["\t".join(rows[0])] + ["\t".join(row.values()) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")


def csv(path, rows):
    doubled = [[value.replace('"', '""') for value in row.values()] for row in rows]
    lines = [",".join(rows[0])] + [",".join(f'"{value}"' for value in row) for row in doubled]
    path.write_text("\r\n".join(lines) + "\r\n")


def parquet(path, rows):
    pq.write_table(pa.Table.from_pylist(rows), path)


FORMATS = {"jsonl": jsonl, "tsv": tsv, "csv": csv, "parquet": parquet}


@pytest.fixture
def file(tmp_path):
    """Return a maker of a file of starting data, in any format."""

    def make(ending="jsonl", rows=ROWS):
        path = tmp_path / f"rows.{ending}"
        FORMATS[ending](path, rows)
        return path

    return make


def imported_rows():
    return Example.objects.count()


def imported():
    return set(Example.objects.values_list("input", "output"))


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_is_read(product, file, ending):
    printed = succeed("import_examples", file(ending), "--task", "mood", *COLUMNS)
    assert printed == "Imported 2 examples into mood.\n"
    assert imported() == {('the "good" soup', "pos"), ("bad soup", "neg")}
    assert set(Example.objects.values_list("source", flat=True)) == {"import"}


@pytest.mark.parametrize("split", ["train", "holdout"])
def test_all_rows_go_to_the_split_that_is_named(product, file, split):
    succeed("import_examples", file(), "--task", "mood", *COLUMNS, "--split", split)
    assert set(Example.objects.values_list("split", flat=True)) == {split}


def test_without_a_split_the_input_decides(product, file):
    rows = [{"Text": f"soup {number}", "Mood": "pos"} for number in range(40)]
    succeed("import_examples", file(rows=rows), "--task", "mood", *COLUMNS)
    assert {text: side_of(text) for text in (row["Text"] for row in rows)} == dict(
        Example.objects.values_list("input", "split")
    )


@pytest.mark.parametrize("ending", FORMATS)
def test_a_missing_column_is_named(product, file, ending):
    words = ("--task", "mood", "--input", "Text", "--output", "Label")
    assert refused("import_examples", file(ending), *words).endswith("has no column 'Label'.")
    assert imported() == set()


@pytest.mark.django_db
def test_an_import_into_an_unknown_task_is_refused(file):
    sentence = refused("import_examples", file(), "--task", "mood", *COLUMNS)
    assert sentence == "There is no task mood."


def test_an_import_goes_to_the_project_that_is_named(product, file):
    other = Product("other")
    words = ("import_examples", file(), "--task", "mood", *COLUMNS)
    assert "choose one with --project" in refused(*words)
    succeed(*words, "--project", "other")
    assert set(Example.objects.values_list("task", flat=True)) == {other.task.pk}


BAD_ROWS = {
    "an unknown label": {"Text": "so so", "Mood": "so-so"},
    "no text": {"Text": " ", "Mood": "pos"},
    "no label": {"Text": "so so", "Mood": ""},
}


@pytest.mark.parametrize("row", BAD_ROWS.values(), ids=BAD_ROWS)
@pytest.mark.parametrize("ending", FORMATS)
def test_a_bad_row_imports_nothing(product, file, ending, row):
    sentence = refused("import_examples", file(ending, [*ROWS, row]), "--task", "mood", *COLUMNS)
    assert "Item 2: " in sentence
    assert sentence.endswith("Nothing was imported.")
    assert imported() == set()


UNFIT = {
    "cut.jsonl": b'{"Text": "good"',
    "list.jsonl": b'["good", "pos"]',
    "nul.jsonl": b'{"Text": "a\\u0000b", "Mood": "pos"}',
    "half.jsonl": b'{"Text": "a\\ud800b", "Mood": "pos"}',
    "latin.csv": b"Text,Mood\nna\xefve,pos\n",
    "nul.csv": b"Text,Mood\na\0b,pos\n",
    "short.csv": b"Text,Mood\ngood\n",
    "wide.tsv": b"Text\tMood\nhello\tpos\tneg\n",
    "long.csv": b"Text,Mood\n" + b"x" * 300_000 + b",pos\n",
    "nothing.parquet": b"",
    "rows.xlsx": b"",
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_file_that_cannot_be_used_ends_in_a_sentence(product, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(UNFIT[name])
    sentence = refused("import_examples", path, "--task", "mood", *COLUMNS)
    assert sentence.startswith(str(path))
    assert imported() == set()


def test_a_missing_file_ends_in_a_sentence(product, tmp_path):
    path = tmp_path / "rows.jsonl"
    assert "No such file" in refused("import_examples", path, "--task", "mood", *COLUMNS)


def test_what_was_imported_is_redacted(product, file):
    rows = [{"Text": "good soup, ann@example.org", "Mood": "pos"}]
    succeed("import_examples", file(rows=rows), "--task", "mood", *COLUMNS)
    assert "ann@example.org" not in str(imported())


def test_cells_beyond_the_header_are_told_with_their_line(product, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("input,output\ngood soup,pos\nhello, world,pos\n")
    sentence = refused("import_examples", path, "--task", "mood")
    assert sentence == (f"{path}: Line 3: More cells than the header has. Nothing was imported.")


PANEL = {"label": "panel", "points": [[1, 1], [9, 9]], "shape_type": "rectangle"}
CIRCLE = PANEL | {"shape_type": "circle"}


def labelme(folder):
    sides = {"imageWidth": 90, "imageHeight": 90}
    folder.mkdir()
    for name, shapes in {"a": [CIRCLE], "b": [PANEL]}.items():
        page = sides | {"imagePath": f"{name}.png", "shapes": shapes}
        (folder / f"{name}.json").write_text(json.dumps(page))
    return folder


def label_studio(path):
    value = {"x": 1, "y": 1, "width": 9, "height": 9, "rectanglelabels": ["panel"]}
    result = {"type": "rectanglelabels", "value": value, "id": "r"}
    result |= {"original_width": 90, "original_height": 90}
    tasks = [
        {"id": number, "data": {"image": f"{number}.png"}, "annotations": [{"result": results}]}
        for number, results in {7: [result, {"type": "brushlabels"}], 8: [result]}.items()
    ]
    path.write_text(json.dumps(tasks))
    return path


def coco(path):
    images = [{"id": id_, "width": 90, "height": 90, "file_name": f"{id_}.png"} for id_ in (7, 8)]
    annotations = [
        {"id": id_, "image_id": id_, "category_id": id_, "bbox": [1, 1, 8, 8]} for id_ in (7, 8)
    ]
    categories = [{"id": 8, "name": "panel"}]
    file = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(file))
    return path


def broken_lines(path):
    path.write_text('{"input": {"page": {"width": 9, "height": 9}}, "output": {"boxes": []}}\n{"in')
    return path


def broken_cells(path):
    cells = '"{""page"":{""width"":9,""height"":9}}",true,"{""boxes"":[]}",true'
    head = "input,input_is_json,output,output_is_json"
    path.write_text(f"{head}\n{cells},x\n{cells}\n")
    return path


PAGE = {"width": 90, "height": 90}
FAULTY = {
    "pages": (labelme, "a.json: Shape 1 is a circle"),
    "tasks.json": (label_studio, "Task 7: It has brushlabels"),
    "coco.json": (coco, "image 7: Annotation 7 is of no category"),
    "rows.jsonl": (broken_lines, "Line 2: Not JSON"),
    "rows.csv": (broken_cells, "Line 2: More cells"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_what_a_reader_refuses_is_left_out_and_listed_too(db, tmp_path, name):
    make, fault = FAULTY[name]
    Product(modality="layout", labels=["panel"])
    words = ("import_examples", make(tmp_path / name), "--task", "mood")
    assert f" {fault}" in refused(*words)
    assert imported_rows() == 0
    said = succeed(*words, "--skip-bad")
    assert said.startswith(f"Imported 1 examples into mood.\nLeft out 1 bad ones:\n  {fault}")
    assert imported_rows() == 1


def test_an_own_export_of_many_boxes_is_read_back(db, tmp_path):
    ids = ["panel of the page " * 5 + str(number) for number in range(1_200)]
    output = {"boxes": [{"id": id_, "label": "panel", "bbox": [1, 1, 8, 8]} for id_ in ids]}
    Product(modality="layout", labels=["panel"])
    path = tmp_path / "export.csv"
    path.write_bytes(written("csv", [row(input={"page": PAGE}, output=output)]))
    succeed("import_examples", path, "--task", "mood")
    assert Example.objects.get().output == output
