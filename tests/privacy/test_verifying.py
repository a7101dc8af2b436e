"""Who asks whether anything is left is told all that is, where, and nothing that is lawful."""

import json
from datetime import timedelta

import kombu
import pytest
import redis
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.utils import timezone

from config import embedded, storage
from config.errors import Unavailable
from feedback import review
from feedback.models import Contributor, Example, Feedback, Inference, Review
from privacy import erasure, receipts, verifying
from privacy.models import DataSubject, ErasureRequest
from tests.commands import refused, run
from tests.product import Product, process
from tests.training.builders import Product as TrainingProduct
from training.models import Prediction

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own(settings, tmp_path):
    settings.ERASURE_LOG_URL = str(tmp_path / "log")
    settings.STORAGE_URL = str(tmp_path / "storage")


@pytest.fixture
def shop():
    product = Product()
    product.task()
    return product


def erased(product, user_id="ann"):
    """Erase to the end; return the receipt."""
    asked = erasure.request(project=product.project, user_id=user_id, by="a test")
    while erasure.erase_next():
        pass
    asked.refresh_from_db()
    assert asked.status == "done", asked.error
    return asked.receipt


@pytest.fixture
def verify(tmp_path):
    """Return what runs the command on a receipt."""

    def with_command(receipt, *words):
        place = tmp_path / "receipt.json"
        place.write_text(json.dumps(receipt))
        return run("verify_erasure", place, *words)

    return with_command


def test_it_works(shop, verify):
    shop.correct("ann")
    status, printed, _ = verify(erased(shop))
    assert status == 0
    assert "Nothing is left" in printed


SPELLINGS = [
    ("Große Straße", "Straße"),
    ("Große Straße", "STRASSE"),
    ("GROSSE STRASSE", "straße"),
    ("GROßE ÄÖÜ", "äöü"),
    ("İstanbul", "İstanbul"),
    ("ΟΔΟΣ 7", "οδος"),
    ('she said "ÄH"', '"äh"'),
]


@pytest.mark.parametrize(("said", "text"), SPELLINGS)
def test_a_text_is_found_in_any_case_of_its_letters(shop, said, text):
    shop.correct("bob", said)
    storage.put(said.encode())
    found = verifying.search(text)
    assert (found["feedback_inference"], found["storage/artifacts"]) == (1, 1)


@pytest.mark.parametrize(("said", "text"), [("Große Straße", "straße"), ("so ÄRGERLICH", "ärger")])
def test_a_text_is_found_in_json_that_escapes_its_letters(said, text):
    storage.put(json.dumps(said).encode())
    assert verifying.search(text) == {"storage/artifacts": 1}


def test_a_damaged_file_is_named_and_fails(shop, verify, tmp_path):
    shop.correct("ann")
    receipt = erased(shop)
    digest = storage.put(b"weights")
    next((tmp_path / "storage").rglob(digest)).write_bytes(b"other weights")
    status, printed, told = verify(receipt, "--contains", "quixotic")
    assert status == 1
    assert f"storage/artifacts damaged: {digest} cannot be read" in printed
    assert "above" in told


def test_a_file_that_goes_while_it_is_looked_for_is_no_damage(monkeypatch):
    digest = storage.put(b"weights")
    names = list(storage.digests())
    storage.delete(digest)
    monkeypatch.setattr(storage, "digests", lambda *_: iter(names))
    assert verifying.search("quixotic") == {}


def test_a_storage_that_is_away_fails_with_a_sentence(shop, verify, monkeypatch):
    def away():
        raise Unavailable("The storage does not answer.")

    receipt = erased(shop)
    monkeypatch.setattr(storage, "folders", away)
    assert verify(receipt, "--contains", "quixotic")[::2] == (1, "The storage does not answer.")


def test_what_is_no_receipt_is_said(shop, tmp_path):
    place = tmp_path / "receipt.json"
    assert f"Cannot read {place}" in refused("verify_erasure", place)
    place.write_text("erased")
    assert refused("verify_erasure", place) == "The receipt is not JSON."


def test_a_text_is_found_in_a_session():
    session = SessionStore()
    session["_messages"] = json.dumps([["", 0, 25, 'Quixotic said "grüß"', "a" * 2_000]])
    session.save()
    for text in ("quixotic", 'said "grüß"'):
        assert verifying.search(text) == {"django_session": 1}


def test_a_text_is_found_in_redis(settings):
    url = embedded.for_redis(settings.REDIS_URL)
    with redis.Redis.from_url(url) as client, kombu.Connection(settings.REDIS_URL) as broker:
        try:
            assert verifying.search("quixotic") == {}
            client.hset("of-a-test", "key", "a quixotic soup")
            assert verifying.search("quixotic") == {"redis": 1}
            broker.SimpleQueue("queue-of-a-test").put({"said": "QUIXOTIC grüß"})
            assert verifying.search("quixotic") == {"redis": 2}
            assert verifying.search("grüß") == {"redis": 1}
            client.set("of-a-test", '{"body": "quixotics"}')  # not in base64
            assert verifying.search("quixotic") == {"redis": 2}
        finally:
            client.delete("of-a-test", "queue-of-a-test", "_kombu.binding.queue-of-a-test")


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "redis+socket:///nowhere/redis.sock"])
def test_a_redis_that_is_away_fails_with_a_sentence(shop, verify, settings, url, monkeypatch):
    receipt = erased(shop)
    settings.REDIS_URL = url
    assert verify(receipt, "--contains", "quixotic")[::2] == (1, "Redis does not answer.")
    monkeypatch.setattr(embedded, "redis_url", lambda: url)  # ours keeps nothing on disk
    assert verify(receipt, "--contains", "quixotic")[0] == 0


@pytest.fixture
def shell(shop):
    """Let bob correct what ann was shown, a moderator agree, and ann leave; return what was."""
    shown = shop.infer("ann wrote this", user_id="ann")
    body = {"inference_id": shown, "signal": "correction", "corrected": "neg", "user_id": "bob"}
    shop.post("feedback/", body, 201)
    process()
    review.accept(Feedback.objects.get(), by="lee")
    process()
    before = {model: model.objects.values().last() for model in (Example, Review)}
    before["receipt"] = erased(shop)
    assert (Feedback.objects.get().status, bytes(Inference.objects.get().input_hash)) == (
        "erased",
        b"",
    )
    assert verifying.left(before["receipt"]) == {}
    return before


@pytest.mark.parametrize(
    "change",
    [
        "feedback SET original = '\"ann wrote this\"'",
        "feedback SET corrected = '\"neg\"'",
        "feedback SET comment = 'ann wrote this'",
        "feedback SET metadata = '{\"page\": 1}'",
        "feedback SET rejections = '[1]'",
        "feedback SET input_hash = '\\x01'",
        "feedback_inference SET input = '\"ann wrote this\"'",
        "feedback_inference SET output = '\"pos\"'",
        "feedback_inference SET metadata = '{\"page\": 1}'",
        "feedback_inference SET session_id = 'of ann'",
        "feedback_inference SET target_id = 'of ann'",
        "feedback_inference SET probabilities = '{\"pos\": 1}'",
    ],
)
def test_content_that_came_back_into_what_was_emptied_is_left(shell, change, verify):
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {change}")
    model = "Inference" if "inference" in change else "Feedback"
    assert verifying.left(shell["receipt"]) == {f"feedback.{model} emptied": 1}
    status, printed, _ = verify(shell["receipt"])
    assert status == 1
    assert f"feedback.{model} emptied" in printed


@pytest.mark.parametrize("model", [Example, Review])
def test_what_came_back_of_what_was_emptied_is_left(shell, model):
    model.objects.create(**shell[model])
    left = verifying.left(shell["receipt"])
    assert left["feedback.Feedback emptied"] == 1


def test_an_example_or_a_prediction_of_an_emptied_answer_is_left(shell):
    stub = Inference.objects.get()
    row = shell[Example] | {"feedback_id": None, "inference_id": stub.pk}
    example = Example.objects.create(**row)
    assert verifying.left(shell["receipt"]) == {"feedback.Inference emptied": 1}
    example.delete()
    Prediction.objects.create(inference=stub, model_version=TrainingProduct("other").register())
    assert verifying.left(shell["receipt"]) == {"feedback.Inference emptied": 1}


def test_other_projects_are_not_asked(shell):
    other = Product("bakery")
    other.task()
    other.correct("cy")
    Inference.objects.filter(user_id="cy").update(input_hash=b"")
    assert verifying.left(shell["receipt"]) == {}


def past(receipt):
    """Return the receipt of an erasure whose tombstone has ended."""
    ends = timezone.now()
    ErasureRequest.objects.update(tombstone_until=ends)
    said = {name: value for name, value in receipt.items() if name != "signature"}
    return receipts.sign(said | {"tombstone_until": ends.isoformat()})


def test_who_came_anew_after_the_tombstone_is_lawfully_there(shop, verify):
    shop.correct("ann")
    receipt = past(erased(shop))
    shop.correct("ann", "another soup")
    assert verifying.left(receipt) == {}
    status, printed, _ = verify(receipt)
    assert (status, "came anew after the tombstone's end" in printed) == (0, True)
    assert "from before" in printed


def test_who_was_restored_is_left_whenever_it_is_asked(shop, verify):
    receipt = past(erased(shop))
    before = timezone.now() - timedelta(days=1)
    DataSubject.objects.create(project=shop.project, user_id="ann", created_at=before)
    assert verifying.left(receipt) == {"privacy.DataSubject": 1}
    assert verify(receipt)[0] == 1


def test_a_row_from_before_is_left_beside_who_came_anew(shop, verify):
    shop.correct("ann")
    old = Feedback.objects.values("created_at").get()
    receipt = past(erased(shop))
    shop.correct("ann", "another soup")
    assert verifying.left(receipt) == {}
    Feedback.objects.update(**old)
    assert verifying.left(receipt) == {"feedback.Feedback": 1}
    Inference.objects.update(**old)
    Contributor.objects.create(task=Feedback.objects.get().task, user_id="ann", **old)
    of_feedback = {f"feedback.{name}": 1 for name in ("Contributor", "Feedback", "Inference")}
    assert verifying.left(receipt) == of_feedback
    assert verify(receipt)[0] == 1


def test_a_row_of_another_project_is_not_this_ones(shop):
    other = Product("bakery")
    other.task()
    other.correct("ann")
    receipt = past(erased(shop))
    shop.correct("ann", "another soup")
    assert verifying.left(receipt) == {}


def test_others_who_come_do_not_excuse_whom_a_restore_brought_back(shop):
    receipt = past(erased(shop))
    shop.correct("bob")
    Feedback.objects.update(user_id="ann")
    assert verifying.left(receipt) == {"feedback.Feedback": 1}


def test_what_came_before_the_tombstones_end_is_left(shop):
    receipt = erased(shop)
    DataSubject.objects.create(project=shop.project, user_id="ann")
    assert verifying.left(receipt) == {"privacy.DataSubject": 1}
