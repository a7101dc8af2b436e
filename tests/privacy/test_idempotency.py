"""However often a request arrives, it has one effect and one answer."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from django.db import connections

from config.celery import lock_key
from feedback.models import Feedback, Inference
from privacy.idempotency import fingerprint, forget
from privacy.models import IdempotencyKey
from tests.product import Product, stored_text

pytestmark = pytest.mark.django_db
CONCURRENT = 50
INFERENCE = {"task": "mood", "input": "x", "output": "pos", "user_id": "ann"}


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


def up(inference, **more):
    return {"inference_id": inference, "signal": "up", "user_id": "ann"} | more


def all_at_once(shop, body, **headers):
    """Post the same body from many threads; return the answers."""

    def post(_number):
        try:
            return shop.send("POST", "inferences/", body, **headers)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(CONCURRENT) as pool:
        return list(pool.map(post, range(CONCURRENT)))


def test_it_works(shop):
    first = shop.send("POST", "inferences/", INFERENCE, Idempotency_Key="k")
    again = shop.send("POST", "inferences/", INFERENCE, Idempotency_Key="k")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert Inference.objects.count() == 1


def test_a_print_confirms_nobody_to_who_lacks_the_key(shop):
    prints = set()
    for key in ("k", "l"):
        shop.post("inferences/", INFERENCE, 201, Idempotency_Key=key)
        prints.add(bytes(IdempotencyKey.objects.latest("pk").fingerprint))
    assert len(prints) == 2


def test_a_key_may_be_quoted_or_bare(shop):
    shop.post("inferences/", INFERENCE, 201, Idempotency_Key="k")
    shop.post("inferences/", INFERENCE, 201, Idempotency_Key='"k"')
    assert Inference.objects.count() == 1


@pytest.mark.parametrize(("quoted", "bare"), [(r'"a\"b\\"', 'a"b\\'), ('"a b"', "a b")])
def test_a_quoted_key_is_its_content(shop, quoted, bare):
    shop.post("inferences/", INFERENCE, 201, Idempotency_Key=quoted)
    shop.post("inferences/", INFERENCE, 201, Idempotency_Key=bare)
    assert Inference.objects.count() == 1


def test_quotes_that_are_no_pair_are_part_of_the_key(shop):
    keys = ["k", 'k"', '"k', '""k""', r'"k\"', r'"\k"']
    for key in keys:
        shop.post("inferences/", INFERENCE, 201, Idempotency_Key=key)
    assert Inference.objects.count() == len(keys)


@pytest.mark.parametrize("key", ["", '""'])
def test_an_empty_key_is_refused(shop, key):
    code = "api.malformed"
    shop.refused("POST", "inferences/", INFERENCE, status=400, code=code, Idempotency_Key=key)
    assert not Inference.objects.exists()


def test_another_key_is_another_request(shop):
    shop.post("inferences/", INFERENCE, 201, Idempotency_Key="k")
    shop.post("inferences/", INFERENCE, 201, Idempotency_Key="l")
    assert Inference.objects.count() == 2


def test_a_key_belongs_to_its_project(shop):
    other = Product("other")
    other.task()
    shop.post("inferences/", INFERENCE, 201, Idempotency_Key="k")
    other.post("inferences/", INFERENCE | {"input": "y"}, 201, Idempotency_Key="k")
    assert Inference.objects.count() == 2


def test_a_key_names_one_content_for_ever(shop):
    shop.post("inferences/", INFERENCE, 201, Idempotency_Key="k")
    body = INFERENCE | {"input": "y"}
    code = "api.idempotency_mismatch"
    shop.refused("POST", "inferences/", body, status=422, code=code, Idempotency_Key="k")
    assert Inference.objects.count() == 1


def test_a_key_names_one_endpoint_for_ever(shop):
    body = INFERENCE | {"signal": "up"}
    shop.post("feedback/", body, 201, Idempotency_Key="k")
    code = "api.idempotency_mismatch"
    shop.refused("POST", "inferences/", body, status=422, code=code, Idempotency_Key="k")
    assert Inference.objects.count() == 1


def test_the_order_of_members_makes_no_difference(shop):
    backwards = dict(reversed(INFERENCE.items()))
    shop.post("inferences/", INFERENCE, 201, Idempotency_Key="k")
    shop.post("inferences/", backwards, 201, Idempotency_Key="k")


def test_a_token_that_changes_makes_no_difference(shop):
    assert fingerprint(shop.project, {"a": 1, "user_token": "x"}) == fingerprint(
        shop.project, {"a": 1, "user_token": "y"}
    )


def test_a_refusal_by_validation_stays_that_refusal(shop):
    wrong = up(shop.infer(), signal="correction", corrected="pos")
    first = shop.send("POST", "feedback/", wrong, Idempotency_Key="k")
    again = shop.send("POST", "feedback/", wrong, Idempotency_Key="k")
    assert (first.status_code, again.status_code) == (422, 422)
    assert again.headers["Content-Type"] == "application/problem+json"
    assert again.json() == first.json()
    assert Feedback.objects.get().status == "rejected"


def test_a_malformed_request_uses_no_key_up(shop):
    body = INFERENCE | {"output": "blue"}
    for _ in range(2):
        shop.refused(
            "POST", "inferences/", body, status=400, code="api.malformed", Idempotency_Key="k"
        )
    shop.post("inferences/", INFERENCE, 201, Idempotency_Key="k")


def test_a_batch_is_answered_once_too(shop):
    body = {"items": [up(shop.infer()), {"signal": "no"}]}
    first = shop.post("feedback/batch/", body, 200, Idempotency_Key="k")
    assert shop.post("feedback/batch/", body, 200, Idempotency_Key="k") == first
    assert Feedback.objects.count() == 1


def test_the_items_of_a_batch_may_be_written_in_another_order(shop):
    item = {"inference_id": shop.infer(), "signal": "up", "user_id": "ann"}
    first = {"items": [item, {"oops": 1}]}
    again = {"items": [dict(reversed(item.items())), {"oops": 1}]}
    answers = [
        shop.post("feedback/batch/", sent, 200, Idempotency_Key="k") for sent in (first, again)
    ]
    assert answers[0] == answers[1]
    assert answers[0]["created"] == 1


def test_a_stored_answer_quotes_nobody(shop):
    canary = "ann.canary@example.org"
    items = [{"signal": canary}, {canary: 1, "signal": "up"}, up(shop.infer(), task=canary)]
    items += [{"task": canary, "input": "x", "output": "pos", "signal": "up"}]
    answer = shop.post("feedback/batch/", {"items": items}, 200, Idempotency_Key="k")
    assert [result["status"] for result in answer["results"]] == [400] * 4
    assert canary not in stored_text()


def test_a_repeated_id_is_answered_with_the_stored_row(shop):
    body = INFERENCE | {"id": str(uuid.uuid4())}
    first = shop.post("inferences/", body, 201)
    assert shop.post("inferences/", body, 200) == first
    reaction = up(first["id"], id=str(uuid.uuid4()))
    stored = shop.post("feedback/", reaction, 201)
    assert shop.post("feedback/", reaction, 200) == stored
    result = shop.post("feedback/batch/", {"items": [reaction]}, 200)["results"][0]
    assert (result["status"], result["id"]) == (200, stored["id"])
    assert Feedback.objects.count() == 1


def test_a_repeated_id_of_a_refused_row_stays_refused(shop):
    wrong = up(shop.infer(), signal="correction", corrected="pos", id=str(uuid.uuid4()))
    for _ in range(2):
        document = shop.refused("POST", "feedback/", wrong, status=422, code="feedback.rejected")
        assert document["id"] == wrong["id"]


def test_an_id_names_one_content(shop):
    body = INFERENCE | {"id": str(uuid.uuid4())}
    shop.post("inferences/", body, 201)
    other = body | {"input": "y"}
    shop.refused("POST", "inferences/", other, status=409, code="api.id_conflict")
    reaction = up(body["id"], id=str(uuid.uuid4()))
    shop.post("feedback/", reaction, 201)
    other = reaction | {"signal": "accepted"}
    shop.refused("POST", "feedback/", other, status=409, code="api.id_conflict")
    assert [Inference.objects.count(), Feedback.objects.count()] == [1, 1]


@pytest.mark.django_db(transaction=True)
def test_a_key_still_running_is_a_conflict(shop):
    shop.post("inferences/", INFERENCE, 201, Idempotency_Key="k")
    digest = bytes(IdempotencyKey.objects.get().key_digest).hex()
    name = f"idempotency {shop.project.pk} {digest}"
    with closing(connections["default"].copy()) as first, first.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [lock_key(name)])
        code = "api.id_conflict"
        shop.refused("POST", "inferences/", INFERENCE, status=409, code=code, Idempotency_Key="k")
        # The end of its session would let go too, but some time later.
        cursor.execute("SELECT pg_advisory_unlock(%s)", [lock_key(name)])
    shop.post("inferences/", INFERENCE, 201, Idempotency_Key="k")


@pytest.mark.django_db(transaction=True)
def test_many_at_once_with_one_key_have_one_effect(shop):
    answers = all_at_once(shop, INFERENCE, Idempotency_Key="k")
    assert {answer.status_code for answer in answers} <= {201, 409}
    done = [answer for answer in answers if answer.status_code == 201]
    assert len([answer for answer in done if "Idempotency-Replayed" not in answer.headers]) == 1
    assert len({answer.json()["id"] for answer in done}) == 1
    assert Inference.objects.count() == IdempotencyKey.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_many_at_once_with_one_id_have_one_effect(shop):
    answers = all_at_once(shop, INFERENCE | {"id": str(uuid.uuid4())})
    codes = [answer.status_code for answer in answers]
    assert sorted(codes) == [200] * (CONCURRENT - 1) + [201]
    assert Inference.objects.count() == 1


def answers_of(shop, *bodies):
    """Store these answers; return a function that tells what is kept, in that order."""
    for number, body in enumerate(bodies):
        IdempotencyKey.objects.create(
            project=shop.project,
            key_digest=bytes([number] * 32),
            fingerprint=b"0" * 32,
            status_code=200,
            body=body,
        )
    kept = IdempotencyKey.objects.filter(project=shop.project).order_by("key_digest")
    return lambda: {bytes(row.key_digest)[0]: row.body for row in kept.all()}


def test_forgetting_takes_out_what_was_said_of_these_rows(shop):
    other = {"status": 201, "id": "c"}
    gone = {"status": 403, "code": "privacy.erased"}
    kept = answers_of(
        shop,
        {"id": "a"},
        {"id": "c"},
        {"results": [{"status": 201, "id": "b", "task": "mood"}, other]},
        {"results": [other]},
        {"results": [{"status": 400, "code": "api.malformed", "detail": "ann said"}, other]},
        {"results": [{"status": 400, "code": "api.malformed"}]},
        {"results": []},
        {},
    )
    before = kept()
    answers_of(Product("bakery"), {"id": "a"})
    assert forget(shop.project, {"a", "b"}) == 3
    changed = {
        2: {"results": [gone, other]},
        4: {"results": [{"status": 400, "code": "api.malformed"}, other]},
    }
    assert kept() == {n: body for n, body in (before | changed).items() if n != 0}
    assert IdempotencyKey.objects.exclude(project=shop.project).count() == 1
    assert forget(shop.project, {"a", "b"}) == 0


def test_forgetting_nobody_strips_what_names_nobody(shop):
    kept = answers_of(shop, {"id": "a"}, {"results": [{"status": 400, "detail": "ann said"}]})
    assert forget(shop.project, []) == 1
    assert kept() == {0: {"id": "a"}, 1: {"results": [{"status": 400}]}}


def test_forgetting_reads_only_the_answers_that_change(shop, django_assert_num_queries):
    answers_of(shop, *({"id": str(n)} for n in range(50)), {"results": [{"id": "x"}]})
    with django_assert_num_queries(3):
        assert forget(shop.project, {str(n) for n in range(40)} | {"x"}) == 41
