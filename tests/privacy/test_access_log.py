"""Who looked at whose data: noted wherever it is shown, taken or changed, and never changed."""

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from feedback.models import Contributor, Feedback, Inference, Task
from privacy import consent, erasure
from privacy.models import AccessRecord
from privacy.tombstones import digest_of
from tests.privacy.tokens import Signer
from tests.product import Product

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


def test_who_reads_acts_is_noted(shop):
    (row,) = shop.get("feedback/?user_id=ann")["results"]
    shop.get(f"feedback/{row['id']}/")
    assert records(shop) == [("acts", f"key {shop.key.prefix}")] * 2
    assert records(shop) == list(AccessRecord.objects.values_list("action", "by"))


def test_a_look_at_nobodys_acts_is_none(shop):
    nameless = shop.correct(None, "other soup")["id"]
    withheld = shop.correct("ben", "third soup")["id"]
    consent.stand_in(shop.project)
    Feedback.objects.filter(user_id="ben").update(user_id="~withheld")
    for path in (nameless, withheld, "", "?task=mood", "?user_id=zoe", "?user_id=ann&task=other"):
        shop.get(f"feedback/{path}{'' if '?' in path or not path else '/'}")
    assert not AccessRecord.objects.exists()


def test_a_capture_key_that_asks_how_its_act_stands_is_not_noted(shop):
    browser = shop.capture_key()
    browser.get(f"feedback/{browser.correct('ann', 'her soup')['id']}/")
    assert not AccessRecord.objects.exists()


@pytest.fixture
def kim():
    get_user_model().objects.create_superuser("kim", password="x")
    client = Client()
    client.login(username="kim", password="x")
    return client


def test_staff_who_open_a_page_of_acts_are_noted(shop, kim):
    Contributor.objects.create(task=Task.objects.get(), user_id="ann")
    for model in (Feedback, Inference, Contributor):
        name = f"admin:feedback_{model._meta.model_name}_change"
        assert kim.get(reverse(name, args=[model.objects.get().pk])).status_code == 200
    assert records(shop) == [("acts", "staff kim")] * 3


def test_staff_who_look_at_lists_at_the_nameless_or_may_not_are_not_noted(shop, kim):
    own = reverse("admin:feedback_feedback_change", args=[Feedback.objects.get().pk])
    shop.correct(None, "other soup")
    nameless = Feedback.objects.get(user_id=None)
    kim.get(reverse("admin:feedback_feedback_change", args=[nameless.pk]))
    kim.get(reverse("admin:feedback_feedback_changelist"))
    lee = Client()
    lee.force_login(get_user_model().objects.create_user("lee", password="x", is_staff=True))
    assert lee.get(own).status_code == 403
    asked = erasure.request(project=shop.project, user_id="zoe", by="command")
    kim.get(reverse("admin:privacy_erasurerequest_change", args=[asked.pk]))
    assert not AccessRecord.objects.exists()


def test_it_holds_no_name(shop):
    shop.get(ANN)
    shop.post(f"{ANN}anonymize/", b"", 200)
    assert [action for action, _ in records(shop)] == ["read", "anonymize"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT r::text FROM privacy_accessrecord AS r")
        rows = [row for (row,) in cursor.fetchall()]
    digest = digest_of(shop.project, "ann").hex()
    assert [(digest in row, "ann" in row, b"ann".hex() in row) for row in rows] == [
        (True, False, False)
    ] * 2


def test_a_record_is_not_rewritten(shop):
    shop.get(ANN)
    with pytest.raises(IntegrityError), transaction.atomic():
        AccessRecord.objects.update(by="nobody")
    with pytest.raises(IntegrityError), transaction.atomic():
        AccessRecord.objects.all().delete()
