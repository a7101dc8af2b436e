"""Limits where people meet them: single feedback, batches, images, guesses of keys."""

from io import BytesIO
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from PIL import Image

from feedback.models import Feedback, Inference
from privacy import access
from privacy.models import ApiKey
from tests.product import Product, problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


def browser(shop, **limits):
    """Return a client with a capture key of these limits."""
    page = shop.capture_key()
    ApiKey.objects.filter(pk=page.key.pk).update(limits=limits)
    return page


def throttled(answer, words):
    assert int(answer.headers["Retry-After"]) >= 1
    assert words in problem(answer, 429, "api.throttled")["detail"]


def act(text, **more):
    body = {"task": "mood", "input": text, "output": "pos", "user_id": "ann"}
    return body | {"signal": "correction", "corrected": "neg"} | more


def test_it_works(shop):
    page = browser(shop, contributor={"burst": 2})
    for n in range(2):
        page.correct("ann", f"soup {n}")
    throttled(page.send("POST", "feedback/", act("soup 3")), "2 for one contributor in 10 seconds")
    page.correct("bob")
    assert Feedback.objects.count() == 3


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"path": "feedback/", "body": act("soup", user_token="x.y.z")}, 403),
        ({"path": "feedback/", "body": act("soup"), "Emend_User": "x.y.z"}, 403),
        ({"path": "feedback/", "body": b"{"}, 400),
        ({"path": "tasks/", "body": {}}, 403),
        ({"method": "GET", "path": f"feedback/{uuid4()}/"}, 404),
    ],
)
def test_what_stores_nothing_counts_too(shop, request_, status):
    page = browser(shop, key={"burst": 2})
    request_ = {"method": "POST"} | request_
    assert [page.send(**request_).status_code for _ in range(2)] == [status] * 2
    throttled(page.send(**request_), "2 for one key")
    assert not Feedback.objects.exists()


def test_what_is_refused_counts_once(shop):
    page = browser(shop, key={"burst": 2})
    unknown = act("soup", task="no")
    for _ in range(2):
        assert page.send("POST", "feedback/", unknown).status_code == 400
    throttled(page.send("POST", "feedback/", unknown), "2 for one key")


def test_sessions_and_inferences_are_limited_too(shop):
    page = browser(shop, session={"rate": 1})
    body = {"task": "mood", "input": "x", "output": "pos", "session_id": "s"}
    page.post("inferences/", body | {"user_id": "ann"}, 201)
    throttled(page.send("POST", "inferences/", body | {"user_id": "bob"}), "one session in a min")
    assert Inference.objects.count() == 1


def test_a_server_is_not_limited(shop):
    for n in range(30):
        shop.correct("ann", f"soup {n}")


def test_a_server_has_the_quota_that_is_set(shop):
    ApiKey.objects.filter(pk=shop.key.pk).update(limits={"key": {"quota": 1}})
    access._seen.clear()
    shop.correct("ann")
    throttled(shop.send("POST", "feedback/", act("more")), "1 for one key in a day (quota)")


def test_a_batch_is_refused_as_a_whole(shop):
    page = browser(shop, contributor={"burst": 3})
    three = {"items": [act(f"soup {n}") for n in range(3)]}
    throttled(page.send("POST", "feedback/batch/", {"items": [*three["items"], act("x")]}), "has 4")
    assert not Feedback.objects.exists()
    assert page.post("feedback/batch/", three, 200)["failed"] == 0
    throttled(page.send("POST", "feedback/batch/", {"items": [act("y")]}), "one contributor")


def test_what_cannot_be_read_counts_for_the_key(shop):
    page = browser(shop, key={"burst": 2})
    for _ in range(2):
        page.refused("POST", "feedback/", {"signal": "?"}, status=400, code="api.malformed")
    throttled(page.send("POST", "feedback/", act("soup")), "one key")


def test_a_repeat_counts_as_well_and_a_refused_one_may_come_again(shop):
    page = browser(shop, contributor={"burst": 1})
    page.post("feedback/", act("soup"), 201, Idempotency_Key="a")
    throttled(page.send("POST", "feedback/", act("soup"), Idempotency_Key="a"), "contributor")
    ApiKey.objects.filter(pk=page.key.pk).update(limits={})
    access._seen.clear()
    page.post("feedback/", act("soup"), 201, Idempotency_Key="a")


def test_images_are_limited(shop):
    page = browser(shop, contributor={"burst": 1})

    def upload():
        picture = BytesIO()
        Image.new("RGB", (8, 8)).save(picture, "PNG")
        picture.seek(0)
        picture.name = "a.png"
        return page.client.post("/api/v1/images/", {"file": picture, "user_id": "ann"})

    assert upload().status_code == 201
    throttled(upload(), "contributor")


def test_an_unusual_rate_is_asked_about(shop):
    page = browser(shop, contributor={"burst": 4})
    found = [page.correct("ann", f"soup {n}")["flags"] for n in range(4)]
    assert found == [[], [], ["feedback.burst"], ["feedback.burst"]]
    assert page.correct("bob", "tea")["flags"] == []


def test_a_task_says_what_is_unusual(shop):
    shop.patch("tasks/mood/", {"settings": {"thresholds": {"feedback.burst": None}}})
    page = browser(shop, contributor={"burst": 1})
    assert page.correct("ann")["flags"] == []


def guess(n, address="198.51.100.9"):
    client = Client(REMOTE_ADDR=address, headers={"Authorization": f"Bearer emd_pk_{n:043}"})
    return client.post("/api/v1/feedback/", b"{}", content_type="application/json")


def test_after_twenty_wrong_keys_an_address_is_not_looked_up(shop):
    for n in range(20):
        assert guess(n).status_code == 401
    with CaptureQueriesContext(connection) as asked:
        throttled(guess(20), "20 for one address in a minute (wrong keys)")
    assert not asked.captured_queries
    assert guess(21, "198.51.100.10").status_code == 401


def test_what_is_no_key_at_all_is_neither_looked_up_nor_counted():
    client = Client(headers={"Authorization": "Bearer emd_pk_short"})
    with CaptureQueriesContext(connection) as asked:
        for _ in range(30):
            assert client.get("/api/v1/tasks/").status_code == 401
    assert not asked.captured_queries


def test_a_known_key_goes_on_from_a_locked_address(shop):
    shop.get("tasks/")
    for n in range(25):
        guess(n, "127.0.0.1")
    shop.get("tasks/")
    shop.correct("ann")
    throttled(Product("other").send("GET", "tasks/"), "wrong keys")


def test_good_keys_are_no_guesses():
    for n in range(25):
        Product(f"shop-{n}").get("tasks/")
