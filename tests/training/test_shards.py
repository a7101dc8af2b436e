"""Files of what versions added: derived, made again, and never believed without their checksum."""

import shutil
from itertools import islice
from pathlib import Path

import pytest
from django.utils import timezone

from config.errors import FileDamaged
from feedback.models import Example
from tests.training.builders import Product, inputs, texts_of
from training import datasets, exports
from training.datasets import shards
from training.models import Shard

TEXTS = list(islice(texts_of("train"), 6))


def file_of(settings, shard):
    return Path(settings.STORAGE_URL) / "shards" / shard.sha256[:2] / shard.sha256


@pytest.fixture
def version(product):
    product.add((TEXTS[0], "pos"), (TEXTS[1], "neg"), split="train")
    product.version()
    product.add((TEXTS[2], "pos"), split="train")
    return product.version()


def test_it_works(version):
    assert inputs(version) == TEXTS[:3]
    assert Shard.objects.count() == 2
    assert [row.row_hash for row in datasets.rows(version)] == sorted(
        row.row_hash for row in datasets.rows(version)
    )


def test_files_and_record_say_the_same(version):
    of_files = list(datasets.rows(version))
    assert of_files == list(datasets.rows(version, source=shards.of_record))


def test_files_that_are_lost_are_made_again(version, settings):
    before = list(datasets.rows(version))
    shutil.rmtree(Path(settings.STORAGE_URL) / "shards")
    assert list(datasets.rows(version)) == before


def test_a_flipped_byte_is_refused(version, settings):
    inputs(version)
    path = file_of(settings, Shard.objects.first())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(FileDamaged):
        inputs(version)


def test_files_that_were_swapped_are_refused(version, settings):
    inputs(version)
    first, second = (file_of(settings, shard) for shard in Shard.objects.order_by("version"))
    first.write_bytes(second.read_bytes())
    with pytest.raises(FileDamaged):
        inputs(version)


def test_a_version_without_rows_has_an_empty_file(product):
    assert inputs(product.version()) == []
    assert Shard.objects.count() == 1


def test_many_rows_are_several_files(product, monkeypatch):
    monkeypatch.setattr(shards, "PART_ROWS", 10)
    product.add(*((text, "pos") for text in islice(texts_of("train"), 25)), split="train")
    assert len(inputs(product.version())) == 25
    assert Shard.objects.count() == 3


def test_what_left_and_came_back_is_there_once(product):
    product.add((TEXTS[0], "pos"), split="train")
    first = product.version()
    Example.objects.update(superseded_at=timezone.now())
    second = product.version()
    Example.objects.update(superseded_at=None)
    third = product.version()
    assert [inputs(v) for v in (first, second, third)] == [TEXTS[:1], [], TEXTS[:1]]


def test_a_later_twin_that_gates_ask_more_of_speaks(product):
    product.add((TEXTS[0], "pos"), split="train")
    assert [row.case for row in datasets.rows(product.version())] == [""]
    product.correct(TEXTS[0])
    version = product.version()
    assert version.counts["total"] == 1
    assert [row.case for row in datasets.rows(version)] == ["regression"]


def test_two_projects_with_the_same_content_export_the_same_bytes(db):
    rows = [(TEXTS[0], "pos"), (TEXTS[1].upper(), "neg"), (TEXTS[1], "neg"), (TEXTS[2], "pos")]
    files = []
    for slug, order in (("shop", rows), ("rival", rows[::-1])):
        product = Product(slug)
        for row in order:
            product.add(row, split="train")
            product.version()
        files.append(b"".join(exports.export(product.version(), "jsonl").pieces))
    assert files[0] == files[1]
    assert len(files[0].splitlines()) == 3
