"""Contract 2: which bodies and queries are read, and where the others are wrong."""

import uuid

import pytest

from feedback.models import Feedback
from tests.product import Product, problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task(correction_types=["label"])
    return shop


def test_it_works(shop):
    body = {"task": "mood", "input": "x", "output": "pos", "signal": "up"}
    assert shop.get(f"feedback/?task={shop.post('feedback/', body, 201)['task']}")["results"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"", "/signal"),
        (b"{", ""),
        (b"null", ""),
        (b'"text"', ""),
        (b"[]", ""),
        (b'{"signal": NaN}', ""),
        (b'{"signal": "up", "comment": "\\u0000"}', "/comment"),
        (b'{"signal": "up", "comment": "\\ud800"}', ""),
        (b'{"signal": "up", "comment": "\xff"}', ""),
        ({"signal": "up", "comment": "x" * 65_537}, "/comment"),
        (b'{"signal": "up", "metadata": ' + b'{"a":' * 40 + b"1" + b"}" * 41, None),
        ({"signal": "up", "metadata": {"a": [0] * 20_000}}, "/metadata/a"),
        ({"signal": "up", "metadata": {"a": 2**53 + 1}}, "/metadata/a"),
        ({"signal": "cheer"}, "/signal"),
        ({"signal": 1}, "/signal"),
        ({"signal": "up", "more": 1}, "/more"),
        ({"signal": "up", "a/b~c": 1}, "/a~1b~0c"),
        ({"signal": "up"}, "/task"),
        ({"signal": "up", "task": "mood", "input": "x"}, "/output"),
        ({"signal": "up", "inference_id": "7"}, "/inference_id"),
        ({"signal": "up", "inference_id": str(uuid.uuid4())}, "/inference_id"),
        ({"signal": "up", "inference_id": str(uuid.uuid4()), "task": "mood"}, "/task"),
        ({"signal": "up", "task": "none", "input": "x", "output": "pos"}, "/task"),
        ({"signal": "up", "task": "mood", "input": 7, "output": "pos"}, "/input"),
        ({"signal": "up", "task": "mood", "input": {"a": 7}, "output": "pos"}, "/input/a"),
        ({"signal": "up", "task": "mood", "input": "x", "output": "blue"}, "/output"),
        ({"signal": "up", "task": "mood", "input": "x" * 10_001, "output": "pos"}, "/input"),
        ({"signal": "up", "user_id": "a b"}, "/user_id"),
        ({"signal": "up", "metadata": []}, "/metadata"),
        ({"signal": "up", "occurred_at": "yesterday"}, "/occurred_at"),
        ({"signal": "up", "occurred_at": "2026-01-01T00:00:00"}, "/occurred_at"),
    ],
)
def test_a_malformed_body_is_refused_with_its_place(shop, body, pointer):
    document = shop.refused("POST", "feedback/", body, status=400, code="api.malformed")
    if pointer is not None:
        assert document["errors"][0]["pointer"] == pointer
    assert not Feedback.objects.exists()


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T00:00:00Z"]
)
def test_a_time_that_cannot_be_read_back_is_refused(shop, time):
    body = {"task": "mood", "input": "x", "output": "pos", "signal": "up", "occurred_at": time}
    document = shop.refused("POST", "feedback/", body, status=400, code="api.malformed")
    assert document["errors"][0]["pointer"] == "/occurred_at"
    shop.get(f"feedback/?since={time.replace('+', '%2B')}")


def test_an_unknown_correction_type_is_named(shop):
    body = {"task": "mood", "input": "x", "output": "pos", "signal": "down", "user_id": "ann"}
    body |= {"correction_type": "panel", "corrected": "neg"}
    document = shop.refused("POST", "feedback/", body, status=400, code="api.malformed")
    assert document["errors"][0]["code"] == "feedback.unknown_correction_type"
    assert document["errors"][0]["pointer"] == "/correction_type"


@pytest.mark.parametrize(
    "query",
    [
        "since=yesterday",
        "since=%00",
        "since=2026-01-01T00:00:00",
        "status=%00",
        "task=%00",
        "task=a%20b",
        "signal=%00",
        "user_id=%00",
        "user_id=a%20b",
        "target=scene:%00",
        "target=scene",
        "more=1",
        "cursor=x",
        "cursor=cD1ub3c=",
        "cursor=cD0lMDA=",
        "cursor=bz1hJnA9eA==",
    ],
)
def test_a_malformed_query_is_refused(shop, query):
    shop.refused("GET", f"feedback/?{query}", status=400, code="api.malformed")


@pytest.mark.parametrize(
    "query", ["limit=x", "limit=0", "limit=-1", "limit=9999999999", "limit=%00"]
)
def test_an_odd_limit_is_the_usual_one(shop, query):
    assert shop.get(f"feedback/?{query}") == {"results": [], "next": None}


def test_pages_follow_each_other_without_gap_or_repeat(shop):
    sent = [shop.correct(f"u{n}")["id"] for n in range(7)]
    address, read = "feedback/?limit=3", []
    while address:
        page = shop.get(address.rpartition("/api/v1/")[2])
        read += [row["id"] for row in page["results"]]
        address = page["next"]
    assert read == sent[::-1]


@pytest.mark.parametrize("user_id", ["%00", "a%20b", "x" * 129, "%0A", "ann%0A"])
def test_a_user_id_in_an_address_has_the_contracts_form(shop, user_id):
    shop.refused("GET", f"privacy/subjects/{user_id}/", status=400, code="api.malformed")


def test_a_chunked_body_is_refused(shop):
    answer = shop.client.generic(
        "POST", "/api/v1/feedback/", headers={"Transfer-Encoding": "chunked"}
    )
    problem(answer, 411, "api.length_required")


class Untouched:
    """A body that fails the test when it is read."""

    def read(self, *_args):
        raise AssertionError("read")

    readline = read


@pytest.mark.parametrize(
    ("path", "limit"),
    [("feedback/", 256 * 1024), ("inferences/", 256 * 1024), ("feedback/batch/", 8 * 1024 * 1024)],
)
def test_a_body_too_large_is_refused_before_it_is_read(shop, path, limit):
    answer = shop.client.generic(
        "POST",
        f"/api/v1/{path}",
        b"{}",
        content_type="application/json",
        **{"CONTENT_LENGTH": limit + 1, "wsgi.input": Untouched()},
    )
    problem(answer, 413, "api.too_large")


def test_a_body_of_the_largest_size_is_read(shop):
    body = b'{"signal": "up"}'
    padded = body + b" " * (256 * 1024 - len(body))
    shop.refused("POST", "feedback/", padded, status=400, code="api.malformed")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_media_type_is_refused(shop, content_type):
    answer = shop.client.generic("POST", "/api/v1/feedback/", b"{}", content_type=content_type)
    problem(answer, 415, "api.unsupported_media_type")


def test_a_media_type_may_have_parameters(shop):
    kind = "application/JSON; charset=utf-8"
    answer = shop.client.generic("POST", "/api/v1/feedback/", b"{}", content_type=kind)
    problem(answer, 400, "api.malformed")
