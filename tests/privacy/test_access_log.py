"""Who looked at whose data: noted wherever it is shown, taken or changed, and never changed."""

import pytest
from django.db import IntegrityError, transaction

from privacy.models import AccessRecord
from privacy.tombstones import digest_of
from tests.privacy.tokens import Signer
from tests.product import Product, stored_text

pytestmark = pytest.mark.django_db
ANN = "privacy/subjects/ann/"


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    shop.correct("ann")
    return shop


def records(shop, user_id="ann"):
    found = AccessRecord.objects.filter(
        project=shop.project, subject_digest=digest_of(shop.project, user_id)
    )
    return list(found.order_by("pk").values_list("action", "by"))


def test_it_works(shop):
    shop.get(ANN)
    assert records(shop) == [("read", f"key {shop.key.prefix}")]


@pytest.mark.parametrize(
    ("method", "path", "body", "action"),
    [
        ("PUT", "consents/training/", {"granted": True}, "consent"),
        ("PUT", "preferences/", {"training": True}, "consent"),
        ("GET", "export/", b"", "export"),
        ("POST", "anonymize/", b"", "anonymize"),
    ],
)
def test_every_verb_is_noted(shop, method, path, body, action):
    assert shop.send(method, ANN + path, body).status_code == 200
    assert records(shop) == [(action, f"key {shop.key.prefix}")]


def test_a_person_who_asks_by_token_is_the_person(shop):
    token = Signer(shop.project).token("ann")
    assert shop.capture_key().send("GET", ANN, Emend_User=token).status_code == 200
    assert records(shop) == [("read", "the person")]


def test_a_look_at_nobody_is_none(shop):
    shop.get("privacy/subjects/ben/", 404)
    assert records(shop, "ben") == []


def test_it_holds_no_name(shop):
    shop.get(ANN)
    record = AccessRecord.objects.get()
    assert b"ann" not in bytes(record.subject_digest)
    assert "ann" not in f"{record.action} {record.by}"
    shop.post(f"{ANN}anonymize/", b"", 200)
    assert stored_text()


def test_a_record_is_not_rewritten(shop):
    shop.get(ANN)
    with pytest.raises(IntegrityError), transaction.atomic():
        AccessRecord.objects.update(by="nobody")
    with pytest.raises(IntegrityError), transaction.atomic():
        AccessRecord.objects.all().delete()
