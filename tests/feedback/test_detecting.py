"""An optional detector takes out names before a row teaches anything."""

import re

import pytest

from feedback.models import Example, Feedback, Inference, Task
from feedback.processing import add_silent_examples
from tests.product import Product, process, stored_text

pytestmark = pytest.mark.django_db
NAME = "Ursula Quandt"


def find_names(text):
    return [("PERSON", *match.span()) for match in re.finditer(NAME, text)]


def find_nothing(text):
    return []


@pytest.fixture
def shop(settings):
    settings.REDACTION_DETECTOR = f"{__name__}.find_names"
    shop = Product("shop")
    shop.post("tasks/", {"slug": "reply", "modality": "text"}, 201)
    return shop


def send(shop):
    body = {
        "task": "reply",
        "signal": "correction",
        "input": f"Who served us, {NAME}?",
        "output": f"It was {NAME}, I think.",
        "corrected": f"It was {NAME} at noon, write to ann@example.org.",
        "comment": f"Ask {NAME}",
        "metadata": {"waiter": NAME},
        "user_id": "ann",
    }
    return shop.post("feedback/", body, 201)["id"]


def test_it_works(shop):
    row_id = send(shop)
    assert NAME in stored_text()
    assert process() == 1
    assert NAME not in stored_text()
    example, row = Example.objects.get(), shop.get(f"feedback/{row_id}/")
    assert example.input == row["input"] == "Who served us, [PERSON]?"
    assert example.output == row["corrected"] == "It was [PERSON] at noon, write to [EMAIL]."
    assert row["original"] == "It was [PERSON], I think."
    assert (row["comment"], row["metadata"]) == ("Ask [PERSON]", {"waiter": "[PERSON]"})
    assert row["redactions"] == {"EMAIL": 1, "PERSON": 3}
    assert Inference.objects.get().redactions == {"PERSON": 2}


def test_the_split_goes_by_what_is_stored(shop):
    send(shop)
    process()
    assert bytes(Example.objects.get().input_hash) == bytes(Feedback.objects.get().input_hash)


def test_a_moderators_own_correction_is_looked_at_too(shop):
    row_id = send(shop)
    process()
    decision = {"decision": "accept", "moderator": "mo", "corrected": f"{NAME} did."}
    shop.post(f"feedback/{row_id}/review/", decision, 200)
    process()
    assert Example.objects.get(superseded_at=None).output == "[PERSON] did."
    assert NAME not in stored_text()


def test_what_holds_no_name_stays_as_it_was(shop, settings):
    settings.REDACTION_DETECTOR = f"{__name__}.find_nothing"
    row_id = send(shop)
    process()
    row = shop.get(f"feedback/{row_id}/")
    assert row["comment"] == f"Ask {NAME}"
    assert row["redactions"] == {"EMAIL": 1}


def test_without_a_detector_nothing_is_looked_at(shop, settings):
    settings.REDACTION_DETECTOR = ""
    send(shop)
    process()
    assert NAME in stored_text()


def test_what_nobody_reacted_to_is_looked_at_before_it_teaches(shop):
    shop.patch("tasks/reply/", {"settings": {"silence_weight": 0.5}})
    body = {
        "task": "reply",
        "input": f"Is {NAME} in?",
        "output": f"{NAME} is.",
        "metadata": {"to": NAME},
    }
    shop.post("inferences/", body, 201)
    Inference.objects.update(created_at="2020-01-01T00:00:00Z")
    add_silent_examples(Task.objects.get())
    assert Example.objects.get().input == "Is [PERSON] in?"
    assert NAME not in stored_text()
