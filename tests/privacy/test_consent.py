"""Consent is asked before the first write, and again when a version is built."""

import pytest

from feedback.models import Feedback, Inference
from privacy import consent
from privacy.models import Consent, DataSubject, Purpose
from tests.product import Product, process
from tests.training.builders import taken

pytestmark = pytest.mark.django_db
INFERENCE = {"task": "mood", "input": "x", "output": "pos", "user_id": "ann"}


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


def decide(shop, purpose, granted, user_id="ann"):
    return shop.put(f"privacy/subjects/{user_id}/consents/{purpose}/", {"granted": granted})


def trainable():
    return taken().count()


def test_it_works(shop):
    told = decide(shop, "training", granted=True)
    assert told["user_id"] == "ann"
    assert [(c["purpose"], c["granted"]) for c in told["consents"]] == [("training", True)]
    assert shop.get("privacy/subjects/ann/") == told


def test_a_person_may_be_known_by_an_email_address(shop):
    decide(shop, "collection", granted=True, user_id="ann@example.org")
    assert shop.get("privacy/subjects/ann%40example.org/")["user_id"] == "ann@example.org"


def test_capturing_makes_a_subject_once(shop):
    shop.correct("ann")
    shop.correct("ann", "other soup")
    told = shop.get("privacy/subjects/ann/")
    assert (told["user_id"], told["consents"]) == ("ann", [])
    assert DataSubject.objects.count() == 1


def test_a_refused_body_makes_no_subject(shop):
    body = INFERENCE | {"task": "none"}
    shop.refused("POST", "inferences/", body, status=400, code="api.malformed")
    shop.refused("GET", "privacy/subjects/ann/", status=404, code="api.not_found")


def test_an_unknown_purpose_is_not_found(shop):
    path = "privacy/subjects/ann/consents/fame/"
    shop.refused("PUT", path, {"granted": True}, status=404, code="api.not_found")


@pytest.mark.parametrize("body", [{}, {"granted": 1}, {"granted": None}, {"granted": True, "a": 1}])
def test_a_consent_is_a_plain_yes_or_no(shop, body):
    path = "privacy/subjects/ann/consents/training/"
    shop.refused("PUT", path, body, status=400, code="api.malformed")
    assert not Consent.objects.exists()


def test_who_withdrew_collection_is_refused_and_nothing_is_stored(shop):
    inference = shop.infer()
    decide(shop, "collection", granted=False)
    shop.refused("POST", "inferences/", INFERENCE, status=403, code="privacy.opted_out")
    reaction = {"inference_id": inference, "signal": "up", "user_id": "ann"}
    shop.refused("POST", "feedback/", reaction, status=403, code="privacy.opted_out")
    result = shop.post("feedback/batch/", {"items": [reaction]}, 200)["results"][0]
    assert (result["status"], result["code"]) == (403, "privacy.opted_out")
    assert Inference.objects.count() == 1
    assert not Feedback.objects.exists()


def test_who_grants_again_is_heard_again(shop):
    decide(shop, "collection", granted=False)
    decide(shop, "collection", granted=True)
    shop.post("inferences/", INFERENCE, 201)


def test_a_withdrawal_in_one_project_says_nothing_of_another(shop):
    decide(shop, "collection", granted=False)
    other = Product("other")
    other.task()
    other.post("inferences/", INFERENCE, 201)


@pytest.fixture
def careful(shop):
    """A project that collects only with consent."""
    shop.project.consent_default = "withheld"
    shop.project.save()
    return shop


def test_consent_withheld_by_default_refuses_who_said_nothing(careful):
    careful.refused("POST", "inferences/", INFERENCE, status=403, code="privacy.no_consent")
    assert not DataSubject.objects.exists()
    decide(careful, "training", granted=True)
    careful.refused("POST", "inferences/", INFERENCE, status=403, code="privacy.no_consent")
    decide(careful, "collection", granted=True)
    careful.post("inferences/", INFERENCE, 201)


def test_a_publishable_key_cannot_pass_by_naming_nobody(careful):
    body = {name: INFERENCE[name] for name in ("task", "input", "output")}
    browser = careful.capture_key()
    browser.refused("POST", "inferences/", body, status=400, code="api.malformed")


def test_consent_to_training_may_be_withheld_by_default_too(careful):
    decide(careful, "collection", granted=True)
    careful.correct("ann")
    process()
    assert trainable() == 0
    decide(careful, "training", granted=True)
    assert trainable() == 1


def test_who_withdrew_training_is_kept_out_of_the_next_version(shop):
    shop.correct("ann")
    shop.correct("bob", "other soup")
    process()
    assert trainable() == 2
    decide(shop, "training", granted=False)
    assert trainable() == 1
    shop.correct("ann", "third soup")  # collected all the same
    process()
    assert trainable() == 1
    decide(shop, "training", granted=True)
    assert trainable() == 3


def test_what_is_granted_is_the_word_or_else_the_default(shop):
    subject = DataSubject.objects.create(project=shop.project, user_id="ann")
    assert consent.is_granted(shop.project, subject, Purpose.TRAINING)
    decide(shop, "training", granted=False)
    assert not consent.is_granted(shop.project, subject, Purpose.TRAINING)


def test_what_was_said_before_stays_in_history(shop):
    decide(shop, "training", granted=True)
    decide(shop, "training", granted=False)
    said = Consent.objects.get().history.order_by("history_id")
    assert list(said.values_list("is_granted", flat=True)) == [True, False]
