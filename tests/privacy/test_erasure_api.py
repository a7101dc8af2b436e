"""Erasure by the API: asked for, watched, proved; and what answers when the person is gone."""

import uuid

import pytest

from config.errors import Unavailable
from privacy import erasure, receipts
from privacy.models import AccessRecord, ErasureRequest
from tests.privacy.tokens import Signer
from tests.product import Product

ASK = {"user_id": "ann"}
FORBIDDEN = {"status": 403, "code": "api.forbidden"}
NOT_FOUND = {"status": 404, "code": "api.not_found"}
ERASED = {"status": 403, "code": "privacy.erased"}
pytestmark = pytest.mark.django_db


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    shop.correct("ann")
    return shop


def ask(shop, **body):
    return shop.post("privacy/erasures/", ASK | body, 202)


@pytest.mark.django_db(transaction=True)
def test_it_works(shop):
    asked = ask(shop)
    assert (asked["status"], asked["receipt"]) == ("running", None)
    assert asked["progress"] == 0
    assert asked["doing"]
    path = f"privacy/erasures/{asked['id']}/"
    assert shop.get(path) == asked
    while erasure.erase_next():
        pass
    done = shop.get(path)
    assert (done["status"], done["progress"], done["doing"]) == ("done", 1, "")
    proved = receipts.verify(done["receipt"])
    assert proved["erasure"] == asked["id"]
    assert "ann" not in str(proved)


def test_from_the_request_on_the_person_is_not_found(shop):
    ask(shop)
    shop.refused("GET", "privacy/subjects/ann/", **NOT_FOUND)
    shop.refused("GET", "privacy/subjects/ann/export/", **NOT_FOUND)
    shop.refused("POST", "privacy/subjects/ann/anonymize/", **NOT_FOUND)
    shop.refused("PUT", "privacy/subjects/ann/preferences/", {"training": True}, **ERASED)
    shop.refused("PUT", "privacy/subjects/ann/consents/training/", {"granted": True}, **ERASED)


def test_asked_again_it_is_the_same(shop):
    assert ask(shop)["id"] == ask(shop)["id"]
    assert ErasureRequest.objects.count() == 1


def test_who_is_not_known_may_be_erased_too(shop):
    shop.post("privacy/erasures/", {"user_id": "ben"}, 202)
    reaction = {"task": "mood", "input": "x", "output": "pos", "signal": "up", "user_id": "ben"}
    shop.refused("POST", "feedback/", reaction, **ERASED)


@pytest.mark.parametrize("body", [{}, {"user_id": "a b"}, {"user_id": "ann", "why": "x"}, []])
def test_a_request_names_one_person(shop, body):
    shop.refused("POST", "privacy/erasures/", body, status=400, code="api.malformed")
    assert not ErasureRequest.objects.exists()


def test_a_capture_key_needs_the_token_of_that_person(shop):
    browser, signer = shop.capture_key(), Signer(shop.project)
    browser.refused("POST", "privacy/erasures/", ASK, **FORBIDDEN)
    other = {"user_token": signer.token("ben")}
    browser.refused("POST", "privacy/erasures/", ASK | other, **FORBIDDEN)
    asked = ask(browser, user_token=signer.token("ann"))
    browser.refused("GET", f"privacy/erasures/{asked['id']}/", **FORBIDDEN)
    browser.refused("GET", "privacy/erasures/", **FORBIDDEN)
    assert ErasureRequest.objects.get().requested_by == "the person"


def test_no_other_project_sees_it(shop):
    asked, stranger = ask(shop), Product("stranger")
    stranger.refused("GET", f"privacy/erasures/{asked['id']}/", **NOT_FOUND)
    stranger.refused("GET", f"privacy/erasures/{uuid.uuid4()}/", **NOT_FOUND)
    assert stranger.get("privacy/erasures/")["results"] == []


def test_the_list_goes_on_by_cursor(shop):
    asked = [shop.post("privacy/erasures/", {"user_id": f"u-{n}"}, 202)["id"] for n in range(3)]
    first = shop.get("privacy/erasures/?limit=2")
    rest = shop.get(first["next"].rpartition("/api/v1/")[2])
    listed = [row["id"] for row in first["results"] + rest["results"]]
    assert listed == asked[::-1]
    assert rest["next"] is None
    shop.refused("GET", "privacy/erasures/?page=2", status=400, code="api.malformed")


def test_without_its_log_no_erasure_begins(shop, monkeypatch):
    def fail(*_args, **_options):
        raise Unavailable

    monkeypatch.setattr("config.storage.put", fail)
    shop.refused("POST", "privacy/erasures/", ASK, status=503, code="api.unavailable")
    assert not ErasureRequest.objects.exists()
    assert AccessRecord.objects.get().action == "erasure"


@pytest.mark.parametrize("scope", ["manage", "capture"])
def test_any_key_reads_what_receipts_are_verified_with(shop, scope):
    told = Product("shop", scope=scope).get("privacy/receipt-key/")
    assert told == {"algorithm": "Ed25519", "public_key": receipts.public_key()}
