"""The pages of staff about people: who may do what, what is asked first, what is noted."""

import io
import json
import re
import zipfile
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.db import IntegrityError, OperationalError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config.errors import Unavailable
from privacy import consent, erasure, retention, subjects
from privacy.models import (
    AccessRecord,
    DataSubject,
    ErasureRequest,
    IdempotencyKey,
    Project,
    RetentionRule,
    StaffProject,
)
from privacy.tombstones import WITHHELD
from tests.product import Product

pytestmark = pytest.mark.django_db
VIEWS = ["view_datasubject", "view_erasurerequest", "view_accessrecord", "view_retentionrule"]


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    shop.correct("ann", comment="so good")
    return shop


def staff(*permissions, name="kim"):
    """Return the client of a staff member who may look, and in all projects just this."""
    user = get_user_model().objects.create_user(name, password="x", is_staff=True)
    allowed = [*VIEWS, *permissions]
    user.user_permissions.set(Permission.objects.filter(codename__in=allowed))
    for project in Project.objects.all():
        StaffProject.objects.create(user=user, project=project)
    client = Client()
    client.force_login(user)
    return client


def page_of(row):
    return reverse(f"admin:privacy_{row._meta.model_name}_change", args=[row.pk])


def deed(name):
    person = DataSubject.objects.exclude(user_id=WITHHELD).get()
    return reverse("admin:privacy_datasubject_act", args=[person.pk, name])


def text_of(answer):
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def test_it_works(shop):
    kim = staff("change_datasubject", "delete_datasubject")
    shown = text_of(kim.get(page_of(DataSubject.objects.get())))
    assert "1 correction or rating" in shown
    for button in ("Download what is held of ann", "Anonymise ann", "Erase ann"):
        assert button in shown
    assert AccessRecord.objects.get().by == "staff kim"
    assert "Looked at what is known (staff kim)" in text_of(
        kim.get(page_of(DataSubject.objects.get()))
    )


def test_each_deed_needs_its_permission(shop):
    looker = staff(name="lee")
    shown = text_of(looker.get(page_of(DataSubject.objects.get())))
    assert "Erase ann" not in shown
    changer = staff("change_datasubject")
    for client, name, status in [
        (looker, "download", 403),
        (looker, "anonymise", 403),
        (looker, "erase", 403),
        (changer, "download", 200),
        (changer, "anonymise", 200),
        (changer, "erase", 403),
    ]:
        assert client.get(deed(name)).status_code == status
        if status == 403:
            assert client.post(deed(name)).status_code == 403
    assert changer.get(deed("praise")).status_code == 404
    assert not ErasureRequest.objects.exists()


def test_every_deed_names_whom_it_is_about_and_how_much(shop):
    kim = staff("change_datasubject", "delete_datasubject")
    of_ann = "user ann and 1 correction or rating"
    assert f"Download what is held of {of_ann}" in text_of(kim.get(deed("download")))
    assert f"Anonymise {of_ann}" in text_of(kim.get(deed("anonymise")))
    assert f"Erase {of_ann}" in text_of(kim.get(deed("erase")))


def test_the_download_is_the_whole_export(shop):
    answer = staff("change_datasubject").post(deed("download"))
    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as archive:
        document = json.loads(archive.read("export.json"))
    assert document["feedback"][0]["comment"] == "so good"
    assert AccessRecord.objects.get().action == "export"


def test_staff_may_anonymise(shop):
    kim = staff("change_datasubject")
    answer = kim.post(deed("anonymise"), follow=True)
    assert "Nothing leads to this person any more." in text_of(answer)
    assert shop.get("privacy/subjects/ann/")["feedback_count"] == 0
    assert AccessRecord.objects.order_by("pk").first().action == "anonymize"


def test_staff_may_erase_and_no_deed_follows(shop):
    kim = staff("change_datasubject", "delete_datasubject")
    answer = kim.post(deed("erase"), follow=True)
    assert "The erasure is under way" in text_of(answer)
    assert ErasureRequest.objects.get().requested_by == "staff kim"
    answer = kim.post(deed("anonymise"), follow=True)
    assert "This person is being erased already." in text_of(answer)


def test_no_deed_leaves_a_name_in_what_the_admin_keeps_of_its_users(shop, monkeypatch):
    shop.correct("ann-17", "other soup")
    DataSubject.objects.filter(user_id="ann").delete()
    kim = staff("change_datasubject", "delete_datasubject")

    def fail(*_args):
        raise Unavailable("What ann-17 sent is in use.")

    with monkeypatch.context() as patched:
        patched.setattr(subjects, "anonymise", fail)
        kim.post(deed("anonymise"))
    for name in ("download", "anonymise", "erase", "anonymise"):
        kim.get(deed(name))
        kim.post(deed(name))
    kept = [session.get_decoded() for session in Session.objects.all()]
    assert "is being erased already" in str(kept)  # nobody has read the messages yet
    assert "ann-17" not in str(kept) + str(list(LogEntry.objects.values()))


def test_staff_are_told_to_try_again_where_what_is_needed_is_in_use(shop, monkeypatch):
    def fail(*_args):
        raise Unavailable

    monkeypatch.setattr(subjects, "anonymise", fail)
    answer = staff("change_datasubject").post(deed("anonymise"), follow=True)
    assert "Nothing was done. Try again in a minute." in text_of(answer)


def test_the_stand_in_of_the_nameless_is_in_no_list(shop):
    consent.stand_in(shop.project)
    kim = staff()
    assert WITHHELD not in text_of(kim.get("/admin/privacy/datasubject/"))
    stand_in = DataSubject.objects.get(user_id=WITHHELD)
    assert kim.get(page_of(stand_in)).status_code == 302


def test_the_access_log_is_searched_by_person_and_by_who_looked(shop):
    shop.get("privacy/subjects/ann/")
    kim = staff()
    kim.get(page_of(DataSubject.objects.get()))
    address = "/admin/privacy/accessrecord/"
    for query, number in {"ann": 2, "staff kim": 1, "ben": 0}.items():
        shown = kim.get(address, {"q": query}).content.decode()
        assert shown.count('class="action-checkbox"') == 0
        assert shown.count('class="field-what"') == number
    assert kim.get(page_of(AccessRecord.objects.first())).status_code == 200


# --- Erasures -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_an_erasure_shows_its_steps_and_hands_out_its_receipt(shop):
    kim = staff()
    asked = erasure.request(project=shop.project, user_id="ann", by="command")
    receipt = reverse("admin:privacy_erasurerequest_receipt", args=[asked.pk])
    shown = text_of(kim.get(page_of(asked)))
    assert "0%" in shown
    assert "nothing yet" in shown
    assert "ann" not in shown.replace("Manage", "")
    assert kim.get(receipt).status_code == 404
    while erasure.erase_next():
        pass
    shown = text_of(kim.get(page_of(asked)))
    assert "feedback.Feedback" in shown
    assert "Download the receipt" in shown
    assert kim.get(receipt).json()["erasure"] == str(asked.uuid)


def test_a_failed_erasure_is_retried_by_who_may(shop):
    row = erasure.request(project=shop.project, user_id="ann", by="command")
    ErasureRequest.objects.update(status="failed", error="privacy.not_erased")
    retry = reverse("admin:privacy_erasurerequest_retry", args=[row.pk])
    looker, kim = staff(name="lee"), staff("change_erasurerequest")
    assert "Try again" not in text_of(looker.get(page_of(row)))
    assert looker.post(retry).status_code == 403
    assert "Try again: all its steps once more" in text_of(kim.get(page_of(row)))
    assert kim.get(retry).status_code == 404
    assert "A worker does its steps once more." in text_of(kim.post(retry, follow=True))
    row.refresh_from_db()
    assert row.status == "running"


@pytest.mark.parametrize("status", ["running", "done"])
def test_what_has_not_failed_is_not_retried(shop, status):
    row = erasure.request(project=shop.project, user_id="ann", by="command")
    ErasureRequest.objects.update(status=status)
    kim = staff("change_erasurerequest")
    retry = reverse("admin:privacy_erasurerequest_retry", args=[row.pk])
    shown = text_of(kim.post(retry, follow=True))
    assert f"Nothing was done: this erasure is {status}, not failed." in shown
    assert "once more." not in shown
    row.refresh_from_db()
    assert row.status == status


# --- Projects -----------------------------------------------------------------------------------


def test_staff_sets_what_counts_for_who_said_nothing_and_says_why(shop):
    kim = staff("view_project", "change_project")
    page = reverse("admin:privacy_project_change", args=[shop.project.pk])
    body = {"consent_default": "withheld", "identity_mode": "observe"}
    assert "This field is required." in text_of(kim.post(page, body))
    assert shop.project.history.count() == 1
    assert kim.post(page, body | {"reason": "opt-in law"}).status_code == 302
    shop.project.refresh_from_db()
    assert shop.project.consent_default == "withheld"
    latest = shop.project.history.first()
    assert (latest.consent_default, latest.history_change_reason) == ("withheld", "opt-in law")
    assert latest.history_user.username == "kim"


# --- Retention ----------------------------------------------------------------------------------


def test_a_retention_rule_changes_with_a_reason(shop):
    kim = staff("add_retentionrule", "change_retentionrule")
    body = {"project": shop.project.pk, "kind": "rejected", "days": 7, "confirmed": "yes"}
    add = reverse("admin:privacy_retentionrule_add")
    assert "This field is required" in text_of(kim.post(add, body))
    assert kim.post(add, body | {"reason": "policy 3"}).status_code == 302
    rule = RetentionRule.objects.get()
    assert kim.post(page_of(rule), {"days": 14, "reason": "policy 4"}).status_code == 302
    said = list(rule.history.values_list("days", "history_change_reason", "history_user__username"))
    assert said == [(14, "policy 4", "kim"), (7, "policy 3", "kim")]
    shown = text_of(kim.get(page_of(rule)))
    assert "policy 4" in shown
    assert "30" in text_of(kim.get("/admin/privacy/retentionrule/"))


def hidden(page):
    """Return what a page's form sends."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return dict(found) | {"confirmed": "yes"}


def test_fewer_days_are_asked_about_with_what_they_remove(shop):
    kim = staff("add_retentionrule", "change_retentionrule")
    past = timezone.now() - timedelta(days=10)
    AccessRecord.objects.all().delete()
    IdempotencyKey.objects.create(
        project=shop.project,
        key_digest=b"a",
        fingerprint=b"b",
        status_code=201,
        body={},
        created_at=past,
    )
    add = reverse("admin:privacy_retentionrule_add")
    body = {"project": shop.project.pk, "kind": "idempotency", "days": 5, "reason": "policy 3"}
    asked = kim.post(add, body)
    shown = text_of(asked)
    assert "in shop for 5 days instead of 7. What is older goes" in shown
    assert "1 idempotency key" in shown
    assert "Keep 5 days and remove 1 row " in shown
    assert not RetentionRule.objects.exists()
    assert kim.post(add, hidden(asked.content.decode())).status_code == 302
    rule = RetentionRule.objects.get()
    assert (rule.days, rule.history.get().history_change_reason) == (5, "policy 3")
    asked = kim.post(page_of(rule), {"days": 4, "reason": "policy 4"})
    assert "for 4 days instead of 5." in text_of(asked)
    rule.refresh_from_db()
    assert rule.days == 5
    kim.post(page_of(rule), hidden(asked.content.decode()))
    rule.refresh_from_db()
    assert rule.days == 4
    assert IdempotencyKey.objects.exists()  # until the rules are applied


def test_more_days_and_what_removes_nothing_are_not_asked_about(shop):
    kim = staff("add_retentionrule", "change_retentionrule")
    add = reverse("admin:privacy_retentionrule_add")
    for kind, days in (("content", 181), ("tombstone", 7)):
        body = {"project": shop.project.pk, "kind": kind, "days": days, "reason": "policy"}
        assert kim.post(add, body).status_code == 302
    assert RetentionRule.objects.count() == 2


def test_fewer_days_can_be_saved_where_rows_are_too_many_to_count(shop, monkeypatch):
    def fail(*_args):
        raise OperationalError

    monkeypatch.setattr(retention, "would_go", fail)
    kim = staff("add_retentionrule")
    body = {"project": shop.project.pk, "kind": "content", "days": 7, "reason": "policy"}
    asked = kim.post(reverse("admin:privacy_retentionrule_add"), body)
    assert "could not be counted" in text_of(asked)
    assert "Keep 7 days Change nothing" in text_of(asked)


def test_staff_cannot_wipe_the_record_of_their_looks(shop):
    kim = staff("add_retentionrule", "change_retentionrule")
    body = {"project": shop.project.pk, "kind": "access_log", "days": 29, "reason": "mine"}
    body["confirmed"] = "yes"
    add = reverse("admin:privacy_retentionrule_add")
    assert "kept for 30 days at least" in text_of(kim.post(add, body))
    assert kim.post(add, body | {"days": 30}).status_code == 302
    rule = RetentionRule.objects.get()
    body = {"days": 1, "reason": "mine", "confirmed": "yes"}
    assert "kept for 30 days at least" in text_of(kim.post(page_of(rule), body))
    with pytest.raises(IntegrityError), transaction.atomic():
        RetentionRule.objects.update(days=29)


def test_who_may_look_changes_no_rule(shop):
    rule = RetentionRule.objects.create(project=shop.project, kind="rejected", days=7)
    lee = staff()
    assert "7" in text_of(lee.get(page_of(rule)))
    for more in ({}, {"confirmed": "yes"}):
        assert lee.post(page_of(rule), {"days": 1, "reason": "x"} | more).status_code == 403
    assert lee.get(reverse("admin:privacy_retentionrule_add")).status_code == 403
