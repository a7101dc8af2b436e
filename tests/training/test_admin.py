"""Pages of the admin about dataset versions."""

import pytest

from feedback.models import Feedback
from tests.training.builders import texts_of

TRAIN = next(texts_of("train"))
SENTENCE = "the waiter forgot our soup twice, and the bread was cold"


@pytest.fixture
def version(product):
    product.add((SENTENCE, "neg"), split="holdout")
    product.add((TRAIN, "pos"), (f"{SENTENCE}!", "neg"), split="train")
    product.correct(f"{SENTENCE} already", right="neg", wrong="pos")
    return product.version()


def test_it_works(admin_client, version):
    page = admin_client.get(f"/admin/training/datasetversion/{version.pk}/change/").content.decode()
    assert "<div>left out: near_holdout 2</div>" in page
    assert "<div>splits: holdout 1, train 1</div>" in page


def test_what_was_left_out_is_listed_with_its_feedback(admin_client, version):
    page = admin_client.get("/admin/training/leftout/?reason__exact=near_holdout").content.decode()
    assert str(Feedback.objects.get().uuid) in page
    assert page.count('<td class="field-what">') == 2
    assert "2 left out" in page
    other = admin_client.get("/admin/training/leftout/?reason__exact=unverified").content.decode()
    assert "0 left out" in other
