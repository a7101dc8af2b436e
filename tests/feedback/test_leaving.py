"""Who leaves, or wants no link, while something of theirs comes in."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from feedback import capture
from feedback.models import Feedback, Image, Inference
from privacy import tombstones
from privacy.idempotency import fingerprint
from privacy.models import ErasureRequest
from tests.product import Product

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


def leaves(shop, user_id="ann"):
    """Set a person's tombstone, as a request for erasure does."""
    ErasureRequest.objects.create(
        project=shop.project,
        subject_digest=tombstones.digest_of(shop.project, user_id),
        user_id=user_id,
        requested_by="test",
        tombstone_until=timezone.now() + timedelta(days=1),
    )


def leaves_meanwhile(shop, monkeypatch):
    """Set the tombstone between the look at what is there and the statement that stores."""
    store = capture.store

    def late(*rows, **more):
        if not ErasureRequest.objects.exists():
            leaves(shop)
        return store(*rows, **more)

    monkeypatch.setattr(capture, "store", late)


def reacted(shop, *inferences):
    """Let bob react to answers in one batch; return each item's status and what is wrong."""
    items = [{"inference_id": i, "signal": "up", "user_id": "bob"} for i in inferences]
    results = shop.post("feedback/batch/", {"items": items}, 200)["results"]
    return [
        (result["status"], [problem["code"] for problem in result.get("errors", [])])
        for result in results
    ]


UNKNOWN = (400, ["feedback.unknown_inference"])


def test_what_a_leaving_person_was_shown_is_unknown(shop):
    shown, other = shop.infer(user_id="ann"), shop.infer("cold tea", user_id="bob")
    leaves(shop)
    assert reacted(shop, shown, other) == [UNKNOWN, (201, [])]
    shop.post("feedback/", {"inference_id": shown, "signal": "up", "user_id": "bob"}, 400)
    assert Feedback.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_who_leaves_meanwhile_holds_up_no_other(shop, monkeypatch):
    shown, other = shop.infer(user_id="ann"), shop.infer("cold tea", user_id="bob")
    leaves_meanwhile(shop, monkeypatch)
    assert reacted(shop, shown, other) == [UNKNOWN, (201, [])]


def test_whoever_left_hides_nothing_of_others(shop):
    shown = shop.infer("cold tea", user_id="bob")
    leaves(shop)
    ErasureRequest.objects.update(user_id=None, status="done")
    leaves(Product("bakery"), "bob")
    assert reacted(shop, shown) == [(201, [])]


@pytest.fixture
def picture(shop):
    shop.task(slug="pictures", modality="image", labels=[])
    return Image.objects.create(
        project=shop.project,
        user_id="ann",
        is_verified=False,
        sha256="0" * 64,
        media_type="image/png",
        width=1,
        height=1,
        difference_hash=0,
    )


def showing(picture, **more):
    output = {"image": str(picture.uuid)}
    return {"task": "pictures", "input": {"prompt": "a cat"}, "output": output} | more


def test_a_picture_of_a_leaving_person_is_unknown(shop, picture):
    shown = shop.post("inferences/", showing(picture, user_id="bob"), 201)["id"]
    shop.post("feedback/", showing(picture, signal="up", user_id="bob"), 201)
    leaves(shop)
    shop.post("inferences/", showing(picture, user_id="bob"), 400)
    shop.post("feedback/", showing(picture, signal="up", user_id="bob"), 400)
    assert reacted(shop, shown) == [UNKNOWN]
    assert (Inference.objects.count(), Feedback.objects.count()) == (2, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["inferences/", "feedback/"])
def test_a_picture_of_who_leaves_meanwhile_is_not_stored(shop, picture, monkeypatch, path):
    leaves_meanwhile(shop, monkeypatch)
    signal = {"signal": "up"} if path == "feedback/" else {}
    shop.post(path, showing(picture, user_id="bob", **signal), 400)
    assert not Inference.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_answer_with_a_picture_of_who_leaves_meanwhile_is_unknown(shop, picture, monkeypatch):
    shown = shop.post("inferences/", showing(picture, user_id="bob"), 201)["id"]
    leaves_meanwhile(shop, monkeypatch)
    assert reacted(shop, shown) == [UNKNOWN]


def test_what_tells_a_repeated_body_names_nobody_anonymous(shop):
    shop.put("privacy/subjects/ann/preferences/", {"anonymous": True})
    body = {"id": str(uuid4()), "inference_id": shop.infer(user_id="bob"), "signal": "up"}
    for status in (201, 200):
        shop.post("feedback/", body | {"user_id": "ann"}, status)
    assert bytes(Feedback.objects.get().fingerprint) == fingerprint(shop.project, body)
