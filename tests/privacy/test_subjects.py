"""One person by the API: what is held and preferred, the end of the link, the copy of it all."""

import io
import json
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import PIL.Image
import pytest
from django.db import connection, transaction
from django.utils import timezone

from config.errors import Unavailable
from feedback.models import Feedback, Inference
from privacy import consent, subjects
from privacy.models import AccessRecord, Consent, DataSubject, ErasureRequest, Purpose
from privacy.tombstones import WITHHELD, digest_of
from tests.privacy.tokens import Signer
from tests.product import Product, process

pytestmark = pytest.mark.django_db
ANN = "privacy/subjects/ann/"
FORBIDDEN = {"status": 403, "code": "api.forbidden"}
NOT_FOUND = {"status": 404, "code": "api.not_found"}


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


def export_of(shop, query=""):
    answer = shop.client.get(f"/api/v1/{ANN}export/{query}")
    assert answer.status_code == 200, answer.content
    return answer, b"".join(answer.streaming_content)


def send_picture(shop, user_id="ann"):
    file = io.BytesIO()
    PIL.Image.new("RGB", (2, 2)).save(file, "PNG")
    file.seek(0)
    file.name = "a.png"
    return shop.client.post("/api/v1/images/", {"file": file, "user_id": user_id})


def test_it_works(shop):
    shop.correct("ann")
    shop.correct("ann", "other soup")
    shop.correct("ben", "third soup")
    told = shop.get(ANN)
    assert told == {
        "user_id": "ann",
        "consents": [],
        "feedback_count": 2,
        "anonymized_at": None,
        "preferences": {"collection": True, "training": True, "anonymous": False},
    }


def test_the_stand_in_of_the_nameless_is_nobody(shop):
    consent.stand_in(shop.project)
    path = f"privacy/subjects/{WITHHELD}/"
    shop.refused("GET", path, status=400, code="api.malformed")
    with pytest.raises(subjects.NotFound):
        subjects.find(shop.project, WITHHELD)


# --- Consents -----------------------------------------------------------------------------------


def test_a_consent_keeps_its_proof(shop):
    body = {"granted": True, "text_version": "terms-7", "language": "de-AT", "evidence": "log 9"}
    shop.put(f"{ANN}consents/training/", body)
    kept = Consent.objects.get()
    assert (kept.text_version, kept.language, kept.evidence) == ("terms-7", "de-AT", "log 9")
    assert kept.method == "api"


def test_a_consent_by_token_says_so(shop):
    token = Signer(shop.project).token("ann")
    shop.capture_key().put(f"{ANN}consents/training/", {"granted": True, "user_token": token})
    assert Consent.objects.get().method == "token"


@pytest.mark.parametrize(
    "proof",
    [{"language": "d e"}, {"language": "x" * 36}, {"text_version": "x" * 101}, {"evidence": 7}],
)
def test_a_proof_has_a_form(shop, proof):
    path = f"{ANN}consents/training/"
    shop.refused("PUT", path, {"granted": True} | proof, status=400, code="api.malformed")


# --- Preferences --------------------------------------------------------------------------------


def prefer(shop, **wanted):
    return shop.put(f"{ANN}preferences/", wanted)["preferences"]


def test_a_preference_keeps_its_proof(shop):
    proof = {"text_version": "terms-7", "language": "de-AT", "evidence": "log 9"}
    prefer(shop, training=False, collection=True, **proof)
    columns = ["purpose", "is_granted", "method", *proof]
    assert list(Consent.objects.order_by("purpose").values_list(*columns)) == [
        ("collection", True, "api", *proof.values()),
        ("training", False, "api", *proof.values()),
    ]


def test_preferences_are_set_together_or_one_by_one(shop):
    assert prefer(shop, collection=False, training=False) == {
        "collection": False,
        "training": False,
        "anonymous": False,
    }
    assert prefer(shop, training=True) == {
        "collection": False,
        "training": True,
        "anonymous": False,
    }


def test_who_prefers_nothing_changes_nothing(shop):
    shop.refused("PUT", f"{ANN}preferences/", {}, **NOT_FOUND)
    assert not DataSubject.objects.exists()
    shop.correct("ann")
    assert prefer(shop)["training"] is True
    assert not Consent.objects.exists()


@pytest.mark.parametrize(
    "body", [{"fame": True}, {"training": None}, {"training": 1}, {"language": "d e"}, []]
)
def test_a_preference_is_a_plain_yes_or_no(shop, body):
    shop.refused("PUT", f"{ANN}preferences/", body, status=400, code="api.malformed")


def test_what_counts_by_default_is_a_preference(shop):
    shop.project.consent_default = "withheld"
    shop.project.save()
    assert subjects.preferences(shop.project, None).training is False
    assert prefer(shop, collection=True)["training"] is False


def test_the_anonymous_are_unlinked_and_stay_so(shop):
    shop.correct("ann")
    assert prefer(shop, anonymous=True)["anonymous"] is True
    assert shop.get(ANN)["anonymized_at"] is not None
    shop.correct("ann", "later soup")
    assert set(Feedback.objects.values_list("user_id", flat=True)) == {None}
    prefer(shop, anonymous=False)
    shop.correct("ann", "last soup")
    assert list(Feedback.objects.filter(user_id="ann").values_list("original")) == [("pos",)]


@pytest.mark.django_db(transaction=True)
def test_what_is_being_stored_meanwhile_is_unlinked_too(shop):
    shop.correct("ann")
    is_stored = threading.Event()

    def capture_slowly():
        with transaction.atomic():
            shop.correct("ann", "slow soup")
            is_stored.set()
            time.sleep(0.3)
        connection.close()

    with ThreadPoolExecutor() as pool:
        capture = pool.submit(capture_slowly)
        is_stored.wait(10)
        prefer(shop, anonymous=True)
        capture.result()
    assert Feedback.objects.count() == 2
    assert not Feedback.objects.exclude(user_id=None).exists()


@pytest.mark.django_db(transaction=True)
def test_no_build_is_waited_for(shop, monkeypatch):
    monkeypatch.setattr(subjects, "SETTLE_SECONDS", 0.2)
    shop.correct("ann")
    is_over, has_begun = threading.Event(), threading.Event()

    def build():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()")
            has_begun.set()
            is_over.wait(10)
        connection.close()

    with ThreadPoolExecutor() as pool:
        pool.submit(build)
        has_begun.wait(10)
        assert prefer(shop, anonymous=True)["anonymous"] is True
        is_over.set()


def test_the_anonymous_may_refuse_training_without_a_name(shop):
    prefer(shop, anonymous=True)
    assert DataSubject.objects.filter(user_id=WITHHELD).exists()
    prefer(shop, training=False)
    shop.correct("ann")
    assert Feedback.objects.get().user_id == WITHHELD
    stand_in = DataSubject.objects.get(user_id=WITHHELD)
    assert not consent.is_granted(shop.project, stand_in, Purpose.TRAINING)


# --- Anonymise ----------------------------------------------------------------------------------


def test_anonymising_unlinks_what_is_held(shop):
    shop.correct("ann", comment="I am Ann")
    process()
    told = shop.post(f"{ANN}anonymize/", b"", 200)
    assert told["feedback_count"] == 0
    assert told["anonymized_at"] is not None
    assert not Feedback.objects.exclude(user_id=None).exists()
    assert not Inference.objects.exclude(user_id=None).exists()


def test_who_refuses_training_refuses_it_after_the_link_is_cut(shop):
    shop.correct("ann")
    prefer(shop, training=False)
    shop.post(f"{ANN}anonymize/", b"", 200)
    assert Feedback.objects.get().user_id == WITHHELD


def writers_of(table, where):
    """Return the transactions that wrote these rows."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT xmin::text::bigint FROM {table} WHERE {where}")  # noqa: S608
        return {number for (number,) in cursor.fetchall()}


@pytest.mark.django_db(transaction=True)
def test_no_transaction_and_no_moment_leads_from_a_person_to_what_was_theirs(shop):
    shop.correct("ann")
    shop.correct("ben", "other soup")
    theirs = Feedback.objects.get(user_id="ann")
    shop.post(f"{ANN}anonymize/", b"", 200)
    ann = DataSubject.objects.get(user_id="ann")
    unlinked = writers_of("feedback", f"number = {theirs.pk}")
    assert unlinked.isdisjoint(writers_of("privacy_datasubject", f"id = {ann.pk}"))
    noted = AccessRecord.objects.get(action="anonymize")
    assert unlinked.isdisjoint(writers_of("privacy_accessrecord", f"id = {noted.pk}"))
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    assert (ann.anonymized_at, ann.created_at) == (today, today)
    assert shop.get(ANN)["anonymized_at"] == today.strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def held(*statements, until):
    """Hold locks in another transaction, as a build does."""
    has_begun, results = threading.Event(), []

    def build():
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statements[0])
                has_begun.set()
                until.wait(10)
                for statement in statements[1:]:
                    cursor.execute(statement)
            results.append("built")
        finally:
            connection.close()

    with ThreadPoolExecutor() as pool:
        work = pool.submit(build)
        has_begun.wait(10)
        try:
            yield results
        finally:
            until.set()
            work.result()


@pytest.mark.django_db(transaction=True)
def test_what_a_build_holds_is_not_waited_for_long(shop, monkeypatch):
    monkeypatch.setattr(subjects, "LOCK_SECONDS", 1)
    shop.correct("ann")
    with held("LOCK TABLE feedback_task", until=threading.Event()):
        began = time.monotonic()
        with pytest.raises(Unavailable):
            subjects.anonymise(shop.project, "ann")
        assert time.monotonic() - began < 5
    told = shop.get(ANN)
    assert (told["feedback_count"], told["anonymized_at"]) == (1, None)
    assert shop.post(f"{ANN}anonymize/", b"", 200)["feedback_count"] == 0


@pytest.mark.django_db(transaction=True)
def test_what_is_in_use_is_answered_with_when_to_try_again(shop, monkeypatch):
    monkeypatch.setattr(subjects, "LOCK_SECONDS", 1)
    shop.correct("ann")
    with held("LOCK TABLE feedback", until=threading.Event()):
        answer = shop.client.post(f"/api/v1/{ANN}anonymize/")
    assert (answer.status_code, answer.json()["code"]) == (503, "api.unavailable")
    assert "in use right now" in answer.json()["detail"]
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.django_db(transaction=True)
def test_anonymising_and_a_build_do_not_wait_for_each_other(shop):
    """A build has the datasets when it asks for the consents, as this has when it asks for acts."""
    shop.correct("ann")
    consent.decide(project=shop.project, user_id="ann", purpose=Purpose.TRAINING, is_granted=False)
    until, consents = threading.Event(), "LOCK TABLE privacy_consent IN SHARE MODE"
    with held("SELECT FROM feedback_task FOR UPDATE", consents, until=until) as results:
        threading.Timer(0.5, until.set).start()
        subjects.anonymise(shop.project, "ann")
    assert results == ["built"]
    assert Feedback.objects.get().user_id == WITHHELD


@pytest.mark.django_db(transaction=True)
def test_where_the_link_cannot_be_cut_yet_the_answer_says_what_was_stored(shop, monkeypatch):
    monkeypatch.setattr(subjects, "LOCK_SECONDS", 1)
    shop.correct("ann")
    wanted = {"anonymous": True, "training": False}
    with held("LOCK TABLE feedback_task", until=threading.Event()):
        refused = {"status": 503, "code": "api.unavailable"}
        answer = shop.refused("PUT", f"{ANN}preferences/", wanted, **refused)
    assert "Your choices are stored" in answer["detail"]
    told = shop.get(ANN)
    assert told["preferences"] == wanted | {"collection": True}
    assert (told["feedback_count"], told["anonymized_at"]) == (1, None)
    assert shop.put(f"{ANN}preferences/", wanted)["feedback_count"] == 0


@pytest.mark.parametrize("hours", [-1, 1])
def test_who_came_back_after_an_erasure_is_told_from_who_was_restored(shop, hours):
    noon = timezone.now().replace(hour=12, minute=0) - timedelta(days=1)
    gone = ErasureRequest.objects.create(
        project=shop.project,
        subject_digest=digest_of(shop.project, "ann"),
        status="done",
        tombstone_until=noon + timedelta(hours=hours),
    )
    shop.correct("ann")
    DataSubject.objects.filter(user_id="ann").update(created_at=noon)
    shop.post(f"{ANN}anonymize/", b"", 200)
    came = DataSubject.objects.get(user_id="ann").created_at
    assert came < noon  # the moment of the first act is not told
    assert (came > gone.tombstone_until) == (noon > gone.tombstone_until)


def test_others_are_left_alone(shop):
    shop.correct("ann")
    shop.correct("ben", "other soup")
    shop.post(f"{ANN}anonymize/", b"", 200)
    assert Feedback.objects.filter(user_id="ben").count() == 1
    assert shop.get("privacy/subjects/ben/")["anonymized_at"] is None


def test_who_is_not_known_cannot_be_anonymised_or_exported(shop):
    shop.refused("POST", f"{ANN}anonymize/", **NOT_FOUND)
    shop.refused("GET", f"{ANN}export/", **NOT_FOUND)


# --- Export -------------------------------------------------------------------------------------


def test_the_export_is_one_document_of_all_that_is_held(shop):
    shop.correct("ann", comment="so good")
    shop.correct("ben", "the soup of ben")
    prefer(shop, training=False)
    prefer(shop, training=True)
    answer, body = export_of(shop)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="shop-')
    document = json.loads(body)
    assert document["project"] == "shop"
    assert document["subject"]["preferences"]["training"] is True
    assert [row["granted"] for row in document["consents"]] == [True, False]
    assert [row["action"] for row in document["accesses"]] == ["export", "consent", "consent"]
    (sent,) = document["feedback"]
    assert sent["comment"] == "so good"
    assert "ben" not in body.decode()


def test_the_export_of_who_said_little_is_a_document_too(shop):
    prefer(shop, training=True)
    document = json.loads(export_of(shop)[1])
    assert document["feedback"] == []


def test_the_export_has_pictures_beside_it_in_a_zip(shop):
    assert send_picture(shop).status_code == 201
    answer, body = export_of(shop, "?format=zip")
    assert answer.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        (picture,) = json.loads(archive.read("export.json"))["images"]
        name = f"pictures/{picture['sha256']}.png"
        assert archive.namelist() == ["export.json", name]
        assert PIL.Image.open(io.BytesIO(archive.read(name))).size == (2, 2)


def test_a_picture_that_is_lost_does_not_stop_the_export(shop, monkeypatch):
    send_picture(shop)
    monkeypatch.setattr("privacy.exporting.PICTURES", "images")
    monkeypatch.setattr("config.storage._path", lambda name, _folder: f"nowhere/00/{name}")
    with zipfile.ZipFile(io.BytesIO(export_of(shop, "?format=zip")[1])) as archive:
        (_, lost) = archive.namelist()
        assert lost.endswith(".txt")


def test_an_unknown_format_is_refused(shop):
    shop.correct("ann")
    shop.refused("GET", f"{ANN}export/?format=xml", status=400, code="api.malformed")


# --- Who may ask --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", b""),
        ("PUT", "preferences/", {"training": True}),
        ("POST", "anonymize/", b""),
        ("GET", "export/", b""),
    ],
)
def test_a_capture_key_speaks_for_the_person_whose_token_it_brings(shop, method, path, body):
    shop.correct("ann")
    signer, browser = Signer(shop.project), shop.capture_key()
    browser.refused(method, ANN + path, body, **FORBIDDEN)
    of_ben = signer.token("ben")
    browser.refused(method, ANN + path, body, **FORBIDDEN, Emend_User=of_ben)
    answer = browser.send(method, ANN + path, body, Emend_User=signer.token("ann"))
    assert answer.status_code == 200
