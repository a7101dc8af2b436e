"""Export formats by their rules; test_format_readers.py has other people's readers."""

import csv
import hashlib
import io
import json

import jinja2
import pyarrow.parquet as pq
import pytest

from tests.training.exported import (
    HOSTILE,
    about,
    lines,
    of_text,
    restored,
    row,
    rows_of,
    unzipped,
    written,
)
from training.formats import COLUMNS, FORMATS, flat, suitable

MODALITIES = ("classification", "text", "layout", "image")
WORDS = ["jsonl", "parquet", "csv", "openai-chat", "trl-sft", "promptfoo", "label-studio"]
ALWAYS = ["jsonl", "parquet", "croissant"]
SUITABLE = {
    ("classification", "train"): [*WORDS, "croissant"],
    ("classification", "eval"): ["jsonl", "parquet", "csv", "promptfoo", "croissant"],
    ("classification", "preference"): [*ALWAYS, "openai-preference", "trl-dpo"],
    ("classification", "unpaired"): [*ALWAYS, "trl-kto"],
    ("text", "train"): [*WORDS, "croissant"],
    ("text", "eval"): ["jsonl", "parquet", "csv", "promptfoo", "croissant"],
    ("text", "preference"): [*ALWAYS, "openai-preference", "trl-dpo"],
    ("text", "unpaired"): [*ALWAYS, "trl-kto"],
    ("layout", "train"): [*ALWAYS, "coco", "label-studio"],
    ("layout", "eval"): ALWAYS,
    ("layout", "preference"): ALWAYS,
    ("layout", "unpaired"): ALWAYS,
    ("image", "train"): [*ALWAYS, "imagefolder"],
    ("image", "eval"): ALWAYS,
    ("image", "preference"): [*ALWAYS, "imagefolder"],
    ("image", "unpaired"): ALWAYS,
}
CASES = [(*key, name) for key, names in SUITABLE.items() for name in names]


def test_it_works():
    assert lines("jsonl", [row()]) == [row()]


@pytest.mark.parametrize(("modality", "purpose"), SUITABLE)
def test_the_formats_are_the_contracts(modality, purpose):
    assert set(suitable(modality, purpose)) == set(SUITABLE[modality, purpose])


@pytest.mark.parametrize(("modality", "purpose", "name"), CASES)
def test_the_same_rows_are_the_same_bytes(modality, purpose, name):
    told = about(modality, purpose, labels="a")
    rows = list(rows_of(modality, purpose))
    assert written(name, rows, told) == written(name, rows, told) != written(name, rows[1:], told)


@pytest.mark.parametrize(("modality", "purpose", "name"), CASES)
def test_a_file_without_rows_is_whole(modality, purpose, name):
    data = written(name, [], about(modality, purpose))
    read = {".json": json.loads, ".parquet": lambda d: pq.read_table(io.BytesIO(d))}
    read |= {".zip": unzipped, ".jsonl": lambda d: d == b"", ".csv": lambda d: d.count(b"\n") == 1}
    assert read[FORMATS[name].suffix](data) is not False


@pytest.mark.parametrize(("modality", "purpose", "name"), CASES)
def test_a_fault_among_the_rows_is_no_end(modality, purpose, name):
    def rows():
        yield from rows_of(modality, purpose)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        written(name, rows(), about(modality, purpose))


@pytest.mark.parametrize(("modality", "purpose", "name"), CASES)
def test_rows_are_sent_while_others_are_read(modality, purpose, name, monkeypatch):
    monkeypatch.setattr(flat, "MOST_ROWS", 100)
    read = []
    rows = (read.append(None) or r for r in rows_of(modality, purpose, 3_000))
    pieces = FORMATS[name].write(rows, about(modality, purpose, labels="a"))
    sent = 0
    while sent < 500:  # more than any header
        sent += len(next(pieces))
    assert 0 < len(read) < 3_000
    pieces.close()


def test_any_reader_of_lines_finds_one_for_each_row():
    rows = [row(input=text, output=text) for text in HOSTILE]
    assert lines("jsonl", rows) == rows


@pytest.mark.parametrize("purpose", COLUMNS)
def test_parquet_gives_back_what_it_got(purpose):
    values = [*HOSTILE, {"title": "007"}, {"boxes": [{"id": 1, "bbox": [0.1, 10.0]}]}]
    rows = [row(purpose, **dict.fromkeys(("input", "output", "chosen"), v)) for v in values]
    table = pq.read_table(io.BytesIO(written("parquet", rows, about(purpose=purpose))))
    assert [restored(cells) for cells in table.to_pylist()] == rows


def test_a_group_of_parquet_is_small_where_rows_are_large(monkeypatch):
    monkeypatch.setattr(flat, "MOST_CHARS", 100_000)
    data = written("parquet", [row(input="x" * 65_536)] * 6)
    assert pq.ParquetFile(io.BytesIO(data)).num_row_groups == 3


@pytest.mark.parametrize("purpose", ["train", "eval"])
def test_csv_gives_back_what_it_got(purpose):
    rows = [row(purpose, input=text, output=text, original="") for text in HOSTILE]
    rows.append(row(purpose, input={"title": "=1"}, original="-"))
    text = written("csv", rows, about(purpose=purpose)).decode()
    cells = csv.DictReader(io.StringIO(text, newline=""))
    assert [restored(of_text(each)) for each in cells] == rows


def test_no_cell_of_csv_is_a_formula():
    data = written("csv", [row(input=text, output=text) for text in HOSTILE])
    cells = [cell for line in csv.reader(io.StringIO(data.decode(), newline="")) for cell in line]
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []


def test_openai_chat_ends_with_the_answer():
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    (line,) = lines("openai-chat", [row(input={"messages": said}, output="Hello")])
    assert line == {"messages": [*said, {"role": "assistant", "content": "Hello"}]}


def test_a_role_of_the_products_own_is_a_user_who_is_named():
    said = [{"role": "teller", "content": "Once."}, {"role": "Developer", "content": "Go on."}]
    (line,) = lines("trl-sft", [row(input={"messages": said})])
    assert line["prompt"] == [
        {"role": "user", "content": "teller: Once."},
        {"role": "system", "content": "Go on."},
    ]


def test_named_texts_are_read_as_a_model_reads_them():
    told = about("classification")
    (line,) = lines("trl-sft", [row(input={"title": "T", "messages": "M"})], told)
    assert line["prompt"] == [{"role": "user", "content": "M\nT"}]
    assert line["completion"] == [{"role": "assistant", "content": "pos"}]


def test_a_pair_for_openai():
    assert lines("openai-preference", [row("preference")]) == [
        {
            "input": {
                "messages": [{"role": "user", "content": "Good."}],
                "tools": [],
                "parallel_tool_calls": True,
            },
            "preferred_output": [{"role": "assistant", "content": "pos"}],
            "non_preferred_output": [{"role": "assistant", "content": "neg"}],
        }
    ]


def test_a_pair_for_trl():
    (line,) = lines("trl-dpo", [row("preference")])
    assert line == {
        "prompt": [{"role": "user", "content": "Good."}],
        "chosen": [{"role": "assistant", "content": "pos"}],
        "rejected": [{"role": "assistant", "content": "neg"}],
    }


def test_a_thumb_for_trl():
    (line,) = lines("trl-kto", [row("unpaired", label=False)])
    assert line == {
        "prompt": [{"role": "user", "content": "Good."}],
        "completion": [{"role": "assistant", "content": "pos"}],
        "label": False,
    }


def test_a_case_for_promptfoo():
    (line,) = lines("promptfoo", [row("eval")])
    assert line == {
        "description": "golden",
        "vars": {"input": "Good."},
        "assert": [{"type": "equals", "value": "pos"}],
        "metadata": {
            "case": "golden",
            "is_seen": True,
            "is_pinned": False,
            "weight": 0.1 + 0.2,
            "split": "train",
        },
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_acts_in_promptfoo(text):
    """Jinja reads what is used of templates here as promptfoo's engine does."""
    (line,) = lines("promptfoo", [row(input=text, output=text)])
    value = line["vars"]["input"]
    assert not value.startswith(("file:", "package:"))
    engine = jinja2.Environment(keep_trailing_newline=True, autoescape=False)  # noqa: S701
    plain = text.replace("\r\n", "\n").replace("\r", "\n")  # Jinja knows one line end
    assert engine.from_string(value).render() == plain
    assert line["assert"][0]["value"] == value


def test_messages_are_one_variable_of_promptfoo():
    said = {"messages": [{"role": "user", "content": "Hi"}, {"role": "user", "content": "{{x}}"}]}
    (line,) = lines("promptfoo", [row(input=said)])
    assert json.loads(jinja2.Template(line["vars"]["input"]).render()) == said


def test_a_label_for_label_studio():
    told = about("classification")
    (task,) = json.loads(written("label-studio", [row(input={"title": "T"})], told))
    (result,) = task["annotations"][0].pop("result")
    assert task == {
        "data": {"text": "T", "input": {"title": "T"}},
        "annotations": [{}],
        "meta": {
            "weight": 0.1 + 0.2,
            "split": "train",
            "case": "golden",
            "source": "feedback",
            "signal": "up",
        },
    }
    assert (result["type"], result["from_name"], result["to_name"], result["value"]) == (
        *("choices", "label", "text"),
        {"choices": ["pos"]},
    )


def test_a_text_for_label_studio():
    (task,) = json.loads(written("label-studio", [row(output="better")]))
    (result,) = task["annotations"][0]["result"]
    assert (result["type"], result["from_name"], result["to_name"], result["value"]) == (
        *("textarea", "answer", "text"),
        {"text": ["better"]},
    )


def test_boxes_for_label_studio_are_percent_and_keep_their_pixels():
    page = {"page": {"width": 300, "height": 200}, "image": "a.png"}
    boxes = {"boxes": [{"id": 7, "label": "panel", "bbox": [30, 50, 100, 20]}]}
    data = written("label-studio", [row(input=page, output=boxes)], about("layout"))
    (task,) = json.loads(data)
    assert task["data"] == {"image": "a.png", "input": page}
    assert task["annotations"][0]["result"] == [
        {
            "id": "7",
            "type": "rectanglelabels",
            "from_name": "label",
            "to_name": "image",
            "original_width": 300,
            "original_height": 200,
            "image_rotation": 0,
            "value": {
                "x": 10,
                "y": 25,
                "width": 100 / 3,
                "height": 10,
                "rotation": 0,
                "rectanglelabels": ["panel"],
            },
            "meta": {"id": 7, "bbox": [30, 50, 100, 20]},
        }
    ]


def test_coco_gives_back_what_it_got():
    rows = list(rows_of("layout", "train", 500))
    rows.append(row(input={"page": {"width": 9, "height": 9}}, output={"boxes": []}))
    coco = json.loads(written("coco", rows, about("layout", labels=["b"])))
    names = {category["id"]: category["name"] for category in coco["categories"]}
    boxes = {image["id"]: [] for image in coco["images"]}
    for one in coco["annotations"]:
        box = {"id": one["box_id"], "label": names[one["category_id"]], "bbox": one["bbox"]}
        boxes[one["image_id"]].append(box)
    back = [image | {"output": {"boxes": boxes[image["id"]]}} for image in coco["images"]]
    assert [{name: image[name] for name in rows[0]} for image in back] == rows
    assert len({one["id"] for one in coco["annotations"]}) == 500


def test_coco_has_the_fields_that_its_readers_need():
    page = {"page": {"width": 10.2, "height": 50}, "file_name": "a.png"}
    boxes = {"boxes": [{"id": "x", "label": "gone", "bbox": [1, 2, 3, 4]}]}
    data = written("coco", [row(input=page, output=boxes)], about("layout", labels=["panel"]))
    coco = json.loads(data)
    assert coco["categories"] == [
        {"id": 1, "name": "panel", "supercategory": ""},
        {"id": 2, "name": "gone", "supercategory": ""},
    ]
    (image,), (one,) = coco["images"], coco["annotations"]
    assert (image["width"], image["height"], image["file_name"]) == (11, 50, "a.png")
    assert one == {
        "id": 1,
        "image_id": 1,
        "category_id": 2,
        "bbox": [1, 2, 3, 4],
        "box_id": "x",
        "area": 12,
        "iscrowd": 0,
        "segmentation": [[1, 2, 4, 2, 4, 6, 1, 6]],
    }
    assert coco["info"]["year"] == 2026


@pytest.mark.parametrize("name", ["file_name", "image"])
def test_a_picture_is_shown_whichever_importer_named_it(name):
    rows = [row(input={"page": {"width": 9, "height": 9}, name: "a.png"}, output={"boxes": []})]
    (task,) = json.loads(written("label-studio", rows, about("layout")))
    (image,) = json.loads(written("coco", rows, about("layout")))["images"]
    assert (task["data"]["image"], image["file_name"]) == ("a.png", "a.png")
    assert task["data"]["input"] == image["input"] == rows[0]["input"]


@pytest.mark.parametrize("purpose", COLUMNS)
def test_croissant_tells_the_data_that_lie_beside_it(purpose):
    rows = [row(purpose, input="007")]
    files = unzipped(written("croissant", rows, about(purpose=purpose)))
    assert list(files) == ["data.parquet", "croissant.json"]
    table = pq.read_table(io.BytesIO(files["data.parquet"]))
    assert [restored(cells) for cells in table.to_pylist()] == rows
    metadata = json.loads(files["croissant.json"])
    (file,) = metadata["distribution"]
    assert file["sha256"] == hashlib.sha256(files["data.parquet"]).hexdigest()
    assert file["contentSize"] == f"{len(files['data.parquet'])} B"
    fields = metadata["recordSet"][0]["field"]
    assert [field["source"]["extract"]["column"] for field in fields] == table.column_names


def test_imagefolder_has_a_folder_for_each_split():
    files = unzipped(written("imagefolder", rows_of("image", "train", 2), about("image")))
    first, second = (f"{hashlib.sha256(data).hexdigest()}.png" for data in (b"good0", b"good1"))
    assert (files[f"train/{first}"], files[f"test/{second}"]) == (b"good0", b"good1")
    assert json.loads(files["test/metadata.jsonl"]) == {
        "file_name": second,
        "text": "t 1",
        "input": '{"prompt":"t 1","size":1}',
        "weight": 0.1 + 0.2,
        "case": "golden",
        "source": "feedback",
        "signal": "up",
    }
    assert len(files) == 4


def test_imagefolder_holds_each_picture_once():
    rows = [row(input={"prompt": str(n)}, output={"image": f"good-{n}"}) for n in range(9)]
    files = unzipped(written("imagefolder", rows, about("image")))
    assert len(files) == 2
    assert files["train/metadata.jsonl"].count(b"\n") == 9


def test_imagefolder_names_the_chosen_picture_first():
    """The loader gives the first of these columns the picture of `file_name`."""
    rows = rows_of("image", "preference", 1)
    files = unzipped(written("imagefolder", rows, about("image", "preference")))
    line = json.loads(files["train/metadata.jsonl"])
    assert list(line)[:2] == ["file_name", "rejected_file_name"]
    assert [files[f"train/{name}"] for name in list(line.values())[:2]] == [b"good0", b"bad0"]
