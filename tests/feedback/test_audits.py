"""Answers that a moderator checked, though nobody complained."""

import pytest

from feedback.models import Feedback
from tests.product import Product, process
from tests.training.builders import taken

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


def audit(shop, said, *, status=201, **more):
    body = {"inference_id": said["inference_id"], "source": "audit"} | more
    return shop.post("feedback/", body, status)


def test_it_works(shop):
    answer = {"inference_id": shop.infer("cold soup")}
    audited = audit(shop, answer, signal="correction", corrected="neg")
    process()
    example = taken().get()
    assert (example.source, example.output, example.base_weight) == ("audit", "neg", 1.0)
    assert shop.get(f"feedback/{audited['id']}/")["source"] == "audit"


def test_a_capture_key_brings_none(shop):
    body = {"inference_id": shop.infer(), "source": "audit", "signal": "up", "user_id": "ann"}
    stranger = shop.capture_key()
    stranger.refused("POST", "feedback/", body, status=403, code="api.forbidden")
    assert not Feedback.objects.exists()


def test_an_audit_is_no_contradiction_but_who_contradicts_it_is(shop):
    shop.correct("ann")
    body = {"task": "mood", "input": "good soup", "output": "neg", "signal": "correction"}
    contrary = body | {"corrected": "pos"}
    assert shop.post("feedback/", contrary | {"source": "audit"}, 201)["flags"] == []
    flags = shop.post("feedback/", contrary | {"user_id": "bob"}, 201)["flags"]
    assert "feedback.contradiction" in flags


def test_a_person_and_an_audit_both_teach(shop):
    said = shop.correct("ann")
    audit(shop, said, signal="correction", corrected="neg")
    process()
    sources = taken().values_list("source", flat=True)
    assert sorted(sources) == ["audit", "feedback"]


def test_what_no_answer_can_be_is_refused_of_a_moderator_too(shop):
    answer = {"inference_id": shop.infer()}
    refused = audit(shop, answer, signal="correction", corrected="blue", status=422)
    assert refused["code"] == "feedback.rejected"
