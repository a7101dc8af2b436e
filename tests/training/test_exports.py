"""A version as a file, over HTTP."""

import json
from itertools import islice

import pytest

from tests.training.builders import Product, texts_of
from training import exports
from training.errors import FormatUnsuitable
from training.formats import FORMATS, suitable
from training.models import Dataset
from training.purposes import PURPOSES

TEXTS = list(islice(texts_of("train"), 3))
HELD_OUT = next(texts_of("holdout"))


@pytest.fixture
def version(product):
    product.add((TEXTS[0], "pos"), (TEXTS[1], "neg"), (HELD_OUT, "neg"))
    return product.version()


def lines(version, name, split=None):
    file = b"".join(exports.export(version, name, split=split).pieces)
    return [json.loads(line) for line in file.splitlines()]


def test_it_works(version):
    file = exports.export(version, "jsonl")
    assert (file.name, file.content_type) == ("mood-train-v1.jsonl", "application/x-ndjson")
    rows = [json.loads(line) for line in b"".join(file.pieces).splitlines()]
    assert {row["input"] for row in rows} == {*TEXTS[:2], HELD_OUT}


def test_rows_that_do_not_say_their_side_are_for_training_alone(version):
    assert len(lines(version, "openai-chat")) == 2
    assert len(lines(version, "openai-chat", "all")) == 3
    assert [row["input"] for row in lines(version, "jsonl", "holdout")] == [HELD_OUT]


@pytest.mark.django_db
@pytest.mark.parametrize("modality", ["classification", "text", "layout", "image"])
def test_each_format_suits_or_says_that_it_does_not(modality):
    product = Product(modality=modality, labels=["neg", "pos"])
    for purpose in PURPOSES:
        dataset = Dataset.objects.create(
            project=product.project, task=product.task, purpose=purpose, name=purpose
        )
        version = product.version(dataset)
        for name in FORMATS:
            if name in suitable(modality, purpose):
                list(exports.export(version, name).pieces)
            else:
                with pytest.raises(FormatUnsuitable, match="jsonl"):
                    exports.export(version, name)
