"""Exports read back by readers that other people wrote."""

import io
import json
from dataclasses import replace

import datasets
import duckdb
import mlcroissant
import pytest
from PIL import Image
from pycocotools.coco import COCO

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
from training.formats import COLUMNS, FORMATS

OBJECTS = [{"title": "007"}, {"boxes": [{"id": 1, "bbox": [0.1, 10.0]}]}]
ASKED = ("input", "output", "chosen")
EMPTY = {"train": {}, "eval": {"original": ""}}  # CSV has no null
COLOURS = {"good": (0, 128, 0), "bad": (128, 0, 0)}


def file_of(folder, name, rows, told):
    path = folder / f"export{FORMATS[name].suffix}"
    path.write_bytes(written(name, rows, told))
    return str(path)


def folder_of(folder, name, rows, told):
    for entry, data in unzipped(written(name, rows, told)).items():
        (folder / entry).parent.mkdir(exist_ok=True)
        (folder / entry).write_bytes(data)
    return folder


def hostile_rows(purpose, *more):
    return [row(purpose, **dict.fromkeys(ASKED, value)) for value in (*HOSTILE, *more)]


def plain(cells):
    """Return what mlcroissant read by the names of columns, bytes as text."""
    return {
        name.removeprefix("examples/"): cell.decode() if isinstance(cell, bytes) else cell
        for name, cell in cells.items()
    }


def queried(statement):
    result = duckdb.sql(statement)
    return [dict(zip(result.columns, cells, strict=True)) for cells in result.fetchall()]


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Return `datasets.load_dataset`, kept off the network and in a folder of its own."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()

    def load(kind, **options):
        return datasets.load_dataset(kind, cache_dir=str(tmp_path / "cache"), **options)

    return load


@pytest.mark.parametrize("purpose", COLUMNS)
def test_duckdb_reads_parquet(purpose, tmp_path):
    rows = hostile_rows(purpose, *OBJECTS)
    path = file_of(tmp_path, "parquet", rows, about(purpose=purpose))
    cells = queried(f"SELECT * FROM read_parquet('{path}')")  # noqa: S608
    assert [restored(each) for each in cells] == rows


@pytest.mark.parametrize("purpose", COLUMNS)
def test_duckdb_reads_lines(purpose, tmp_path):
    rows = hostile_rows(purpose, *OBJECTS)
    path = file_of(tmp_path, "jsonl", rows, about(purpose=purpose))
    cells = queried(f"SELECT json FROM read_ndjson_objects('{path}')")  # noqa: S608
    assert [json.loads(each["json"]) for each in cells] == rows


@pytest.mark.parametrize("purpose", ["train", "eval"])
def test_duckdb_reads_csv(purpose, tmp_path):
    rows = [each | EMPTY[purpose] for each in hostile_rows(purpose, *OBJECTS)]
    path = file_of(tmp_path, "csv", rows, about(purpose=purpose))
    options = (
        "delim = ',', quote = '\"', escape = '\"', all_varchar = true, allow_quoted_nulls = false"
    )
    cells = queried(f"SELECT * FROM read_csv('{path}', header = true, {options})")  # noqa: S608
    assert [restored(of_text(each)) for each in cells] == rows


@pytest.mark.parametrize("purpose", COLUMNS)
@pytest.mark.parametrize(("name", "kind"), [("jsonl", "json"), ("parquet", "parquet")])
def test_datasets_reads_tables(purpose, name, kind, tmp_path, load):
    rows = hostile_rows(purpose)
    path = file_of(tmp_path, name, rows, about(purpose=purpose))
    read = load(kind, data_files=path, split="train").to_list()
    assert (read if name == "jsonl" else [restored(cells) for cells in read]) == rows


@pytest.mark.parametrize(
    ("name", "purpose"),
    [
        *(("openai-chat", "train"), ("trl-sft", "train"), ("trl-kto", "unpaired")),
        *(("openai-preference", "preference"), ("trl-dpo", "preference")),
    ],
)
def test_datasets_reads_conversations(name, purpose, tmp_path, load):
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    rows = [*hostile_rows(purpose), row(purpose, input={"messages": said})]
    path = file_of(tmp_path, name, rows, about(purpose=purpose))
    assert load("json", data_files=path, split="train").to_list() == lines(name, rows)


@pytest.mark.parametrize("purpose", ["train", "preference"])
def test_datasets_shows_pictures(purpose, tmp_path, load):
    def painted(image):
        with io.BytesIO() as file:
            Image.new("RGB", (4, 3), COLOURS[image]).save(file, "PNG")
            return file.getvalue(), "image/png"

    good, bad = {"image": "good"}, {"image": "bad"}
    rows = [
        row(purpose, input={"prompt": text}, split=split, output=good, chosen=good, rejected=bad)
        for text, split in (("one", "train"), ("two", "holdout"), ("three", "train"))
    ]
    told = replace(about("image", purpose), picture=painted)
    read = load("imagefolder", data_dir=str(folder_of(tmp_path, "imagefolder", rows, told)))
    assert [each["text"] for each in read["train"]] == ["one", "three"]
    (examined,) = read["test"]
    assert examined["text"] == "two"
    assert examined["image"].getpixel((0, 0)) == COLOURS["good"]
    if purpose == "preference":
        assert examined["rejected"].getpixel((0, 0)) == COLOURS["bad"]


@pytest.mark.filterwarnings("ignore")  # of its own, about what it calls
@pytest.mark.parametrize("purpose", COLUMNS)
def test_mlcroissant_reads_records(purpose, tmp_path):
    rows = hostile_rows(purpose, *OBJECTS)
    folder = folder_of(tmp_path, "croissant", rows, about(purpose=purpose))
    read = mlcroissant.Dataset(str(folder / "croissant.json")).records("examples")
    assert [restored(plain(cells)) for cells in read] == rows


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_pycocotools_reads_boxes(tmp_path):
    rows = list(rows_of("layout", "train", 50))
    coco = COCO(file_of(tmp_path, "coco", rows, about("layout", labels=["b"])))
    for image, said in zip(coco.loadImgs(coco.getImgIds()), rows, strict=True):
        boxes = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        read = [
            {
                "id": box["box_id"],
                "label": coco.cats[box["category_id"]]["name"],
                "bbox": box["bbox"],
            }
            for box in boxes
        ]
        assert read == said["output"]["boxes"]
        assert [coco.annToMask(box).sum() for box in boxes] == [30 * 4]
