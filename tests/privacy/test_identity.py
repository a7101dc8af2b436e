"""Who acts: user tokens, what they open, and what is refused without a good one."""

import base64
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connections
from django.test import Client
from django.urls import reverse

from feedback.models import Feedback, Inference
from privacy import access
from privacy.identity import LEEWAY_SECONDS, MAX_LIFE_SECONDS, create_secret
from privacy.models import Consent, DataSubject, IdentitySecret, Project, StaffProject
from tests.privacy.tokens import DAY, Signer
from tests.processes import wait_until
from tests.product import Product, answered, stored_text

pytestmark = pytest.mark.django_db
INFERENCE = {"task": "mood", "input": "x", "output": "pos"}
UP = INFERENCE | {"signal": "up"}
SUBJECT = "privacy/subjects/ann/"
CONSENT = SUBJECT + "consents/training/"
FORBIDDEN = {"status": 403, "code": "api.forbidden"}


@pytest.fixture(autouse=True)
def _nothing_is_remembered(monkeypatch):
    monkeypatch.setattr(access, "SEEN_SECONDS", 0.0)


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


@pytest.fixture
def signer(shop):
    return Signer(shop.project)


@pytest.fixture
def browser(shop):
    return shop.capture_key()


def enforce(shop):
    Project.objects.filter(pk=shop.project.pk).update(identity_mode="enforce")


def part(content):
    """Write a part of a token by hand, as its forger does."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def claims(**more):
    return {"sub": "ann", "aud": "shop", "exp": int(time.time()) + 600} | more


def test_it_works(browser, signer):
    browser.post("feedback/", UP | {"user_token": signer.token()}, 201)
    assert Feedback.objects.values_list("user_id", "is_verified").get() == ("ann", True)


@pytest.mark.parametrize("mode", [None, enforce])
@pytest.mark.parametrize("scope", ["capture", "manage"])
def test_a_token_in_the_header_counts_as_one_in_the_body(shop, signer, mode, scope):
    (mode or str)(shop)
    sender = Product("shop", scope=scope)
    sender.post("inferences/", INFERENCE, 201, Emend_User=signer.token())
    assert Inference.objects.values_list("user_id", "is_verified").get() == ("ann", True)


def test_a_token_beside_its_own_user_id_is_good(browser, signer):
    browser.post("inferences/", INFERENCE | {"user_id": "ann", "user_token": signer.token()}, 201)
    assert Inference.objects.get().is_verified


def test_a_token_is_kept_nowhere(browser, signer):
    token = signer.token()
    browser.post("feedback/", UP | {"user_token": token}, 201, Idempotency_Key="k")
    kept = stored_text()
    assert signer.secret not in kept
    assert [word for word in token.split(".") if word in kept] == []


def test_the_secret_does_not_follow_from_the_database_alone(signer, settings):
    nonce = bytes(IdentitySecret.objects.get().nonce)
    assert nonce.hex() not in signer.secret
    first = access.user_in(signer.token(), audience="shop", nonces=[nonce])
    settings.SECRET_KEY = "another" * 10
    assert first == "ann"
    with pytest.raises(access.Forbidden):
        access.user_in(signer.token(), audience="shop", nonces=[nonce])


# --- Tokens that are not good ---

BAD = {
    "expired": (lambda s: s.token(life_seconds=-LEEWAY_SECONDS - 5), "has expired"),
    "too far": (
        lambda s: s.token(life_seconds=MAX_LIFE_SECONDS + LEEWAY_SECONDS + 60),
        "is too long-lived",
    ),
    "for ever": (lambda s: s.token(exp=10**400), "is too long-lived"),
    "endless": (lambda s: s.token(exp=float("inf")), "is no JWT"),
    "without exp": (lambda s: s.token(exp=None), "is no JWT"),
    "without sub": (lambda s: s.token(sub=None), "is no JWT"),
    "without aud": (lambda s: s.token(aud=None), "is no JWT"),
    "not yet": (lambda s: s.token(nbf=int(time.time()) + 600), "is no JWT"),
    "other audience": (lambda s: s.token(aud="other"), "is for another audience"),
    "odd sub": (lambda s: s.token(sub="a b"), "has a sub that is no user_id"),
    "long sub": (lambda s: s.token(sub="x" * 129), "has a sub that is no user_id"),
    "number as sub": (lambda s: s.token(sub=5), "is no JWT"),
    "foreign secret": (
        lambda s: Signer(Product("other").project).token(aud="shop"),
        "is not signed with a live identity secret",
    ),
    "other content": (
        lambda s: ".".join([s.token().split(".")[0], part(claims()), s.token().split(".")[2]]),
        "is not signed with a live identity secret",
    ),
    "algorithm none": (
        lambda s: f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims())}.",
        "is not HS256",
    ),
    "algorithm None": (lambda s: f"{part({'alg': 'None'})}.{part(claims())}.", "is not HS256"),
    "other algorithm": (
        lambda s: s.token().replace(s.token().split(".")[0], part({"alg": "RS256"})),
        "is not HS256",
    ),
    "nested": (lambda s: f"{part({'alg': 'HS256'})}.{'[' * 9_000}.x", "is no JWT"),
    "nested header": (
        lambda s: base64.urlsafe_b64encode(b"[" * 9_000).decode() + ".e30.x",
        "is no JWT",
    ),
    "rubbish": (lambda s: "ann", "is no JWT"),
    "empty": (lambda s: "", "is no JWT"),
}


@pytest.mark.parametrize("mode", [None, enforce])
@pytest.mark.parametrize("scope", ["capture", "manage"])
@pytest.mark.parametrize(("make", "why"), BAD.values(), ids=BAD)
def test_a_token_that_is_not_good_is_refused(shop, signer, mode, scope, make, why):
    (mode or str)(shop)
    sender, token = Product("shop", scope=scope), make(signer)
    body = UP | {"user_id": "ann"}
    for sent, headers in [(body | {"user_token": token}, {}), (body, {"Emend_User": token})]:
        document = sender.refused("POST", "feedback/", sent, **FORBIDDEN, **headers)
        assert document["detail"].startswith(f"The user token {why}")
        assert "ann" not in document["detail"]
    assert not Feedback.objects.exists()


def test_a_project_without_a_secret_takes_no_token(browser):
    token = Signer(Product("other").project).token(aud="shop")
    browser.refused("POST", "feedback/", UP | {"user_token": token}, **FORBIDDEN)


def test_a_public_key_is_no_secret(browser, signer):
    """Of the confusion of RS256 with HS256: what everybody knows must not sign."""
    for known in (browser.secret, bytes(IdentitySecret.objects.get().nonce).hex(), "shop"):
        signer.secret = known.ljust(32, "=")
        browser.refused("POST", "feedback/", UP | {"user_token": signer.token()}, **FORBIDDEN)


def test_clocks_may_differ_by_half_a_minute(browser, signer):
    for life in (5 - LEEWAY_SECONDS, MAX_LIFE_SECONDS + LEEWAY_SECONDS - 5):
        browser.post("feedback/", UP | {"user_token": signer.token(life_seconds=life)}, 201)


@pytest.mark.parametrize("scope", ["capture", "manage"])
def test_a_token_of_another_person_than_the_body_names_is_refused(shop, signer, scope):
    body = UP | {"user_id": "bob", "user_token": signer.token("ann")}
    document = Product("shop", scope=scope).refused("POST", "feedback/", body, **FORBIDDEN)
    assert document["errors"][0]["pointer"] == "/user_token"


def test_tokens_of_two_people_are_refused(browser, signer):
    body = UP | {"user_token": signer.token("ann")}
    browser.refused("POST", "feedback/", body, **FORBIDDEN, Emend_User=signer.token("bob"))
    browser.post("feedback/", body, 201, Emend_User=signer.token("ann"))


# --- Without a token ---


def test_who_observes_stores_what_comes_without_a_token_as_not_verified(browser, signer):
    browser.post("feedback/", UP | {"user_id": "ann"}, 201)
    assert not Feedback.objects.get().is_verified


def test_who_enforces_refuses_what_comes_without_a_token(shop, browser, signer):
    enforce(shop)
    browser.refused("POST", "feedback/", UP | {"user_id": "ann"}, **FORBIDDEN)
    browser.refused("POST", "inferences/", INFERENCE, **FORBIDDEN)
    assert not Inference.objects.exists()


def test_a_manage_key_needs_no_token_where_a_project_enforces(shop, signer):
    enforce(shop)
    shop.post("feedback/", UP | {"user_id": "ann"}, 201)
    assert Feedback.objects.get().is_verified


# --- Batches ---


def test_each_item_of_a_batch_has_its_own_token(shop, browser, signer):
    enforce(shop)
    items = [
        UP | {"user_token": signer.token("ann")},
        UP | {"user_id": "bob"},
        UP | {"user_token": signer.token("cid", life_seconds=-60)},
        UP | {"user_id": "dan", "user_token": signer.token("eve")},
        UP | {"user_id": "eve", "user_token": signer.token("eve")},
    ]
    told = browser.post("feedback/batch/", {"items": items}, 200)
    assert [result["status"] for result in told["results"]] == [201, 403, 403, 403, 201]
    assert (told["created"], told["failed"]) == (2, 3)
    assert {result.get("code") for result in told["results"]} == {None, "api.forbidden"}
    known = Feedback.objects.order_by("number").values_list("user_id", "is_verified")
    assert list(known) == [("ann", True), ("eve", True)]


def test_a_header_speaks_for_all_items_of_a_batch(browser, signer):
    items = [UP, UP | {"user_id": "bob"}, UP | {"user_token": signer.token("bob")}]
    told = browser.post("feedback/batch/", {"items": items}, 200, Emend_User=signer.token("ann"))
    assert [result["status"] for result in told["results"]] == [201, 403, 403]
    assert Feedback.objects.get().user_id == "ann"


def test_a_bad_header_refuses_the_whole_batch(browser, signer):
    browser.refused("POST", "feedback/batch/", {"items": [UP]}, **FORBIDDEN, Emend_User="x")


# --- Sameness ---


def test_the_same_body_of_two_people_is_two_acts(browser, signer):
    body = UP | {"id": str(uuid.uuid4())}
    browser.post("feedback/", body | {"user_token": signer.token("ann")}, 201)
    theirs = body | {"user_token": signer.token("bob")}
    browser.refused("POST", "feedback/", theirs, status=409, code="api.id_conflict")
    assert Feedback.objects.get().user_id == "ann"


def test_an_idempotency_key_gives_nobody_the_answer_of_another(browser, signer):
    browser.post("feedback/", UP, 201, Idempotency_Key="k", Emend_User=signer.token("ann"))
    refused = {"status": 422, "code": "api.idempotency_mismatch", "Idempotency_Key": "k"}
    browser.refused("POST", "feedback/", UP, **refused, Emend_User=signer.token("bob"))
    items = {"items": [UP]}
    browser.post("feedback/batch/", items, 200, Idempotency_Key="b", Emend_User=signer.token("ann"))
    refused["Idempotency_Key"] = "b"
    browser.refused("POST", "feedback/batch/", items, **refused, Emend_User=signer.token("bob"))


def test_a_repeat_with_a_fresh_token_is_a_repeat(browser, signer):
    body = UP | {"id": str(uuid.uuid4())}
    browser.post("feedback/", body | {"user_token": signer.token(life_seconds=60)}, 201)
    browser.post("feedback/", body | {"user_token": signer.token(life_seconds=90)}, 200)
    answers = [
        browser.post(
            "feedback/batch/",
            {"items": [UP | {"user_token": signer.token(life_seconds=life)}]},
            200,
            Idempotency_Key="k",
        )
        for life in (60, 90)
    ]
    assert answers[0] == answers[1]
    assert Feedback.objects.count() == 2


def test_a_refused_item_stays_refused_in_a_repeat(browser, signer):
    answers = [
        browser.post(
            "feedback/batch/",
            {"items": [UP | {"user_id": "ann", "user_token": signer.token(life_seconds=life)}]},
            200,
            Idempotency_Key="k",
        )
        for life in (-90, 90)
    ]
    assert answers[0] == answers[1]
    assert answers[0]["results"][0]["status"] == 403


def test_a_repeat_needs_a_good_token_too(shop, browser, signer):
    enforce(shop)
    browser.post("feedback/", UP, 201, Idempotency_Key="k", Emend_User=signer.token())
    browser.refused("POST", "feedback/", UP, **FORBIDDEN, Idempotency_Key="k")


@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_with_the_same_body_keep_apart():
    shop = Product("shop")
    shop.task()
    browser, signer = shop.capture_key(), Signer(shop.project)
    people = ["ann", "bob"] * 20
    body = UP | {"id": str(uuid.uuid4())}

    def post(person):
        try:
            return browser.send("POST", "feedback/", body, Emend_User=signer.token(person))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, people))
    whose = Feedback.objects.get().user_id
    expected = {200, 201}
    for person, answer in zip(people, answers, strict=True):
        assert answer.status_code in (expected if person == whose else {409})


# --- A person's own consents ---


def test_a_person_sees_and_sets_their_own_consents(browser, signer):
    body = {"granted": False, "user_token": signer.token()}
    told = answered(browser.send("PUT", CONSENT, body), 200)
    assert (told["user_id"], told["consents"][0]["granted"]) == ("ann", False)
    assert answered(browser.send("GET", SUBJECT, Emend_User=signer.token()), 200) == told
    answered(browser.send("PUT", CONSENT, {"granted": True}, Emend_User=signer.token()), 200)
    assert Consent.objects.get().is_granted


@pytest.mark.parametrize("mode", [None, enforce])
def test_nobody_sees_or_sets_the_consents_of_another(shop, browser, signer, mode):
    (mode or str)(shop)
    shop.put(CONSENT, {"granted": True})
    bob = signer.token("bob")
    for headers in ({}, {"Emend_User": bob}, {"Emend_User": "x"}):
        browser.refused("GET", SUBJECT, **FORBIDDEN, **headers)
        browser.refused("PUT", CONSENT, {"granted": False}, **FORBIDDEN, **headers)
    body = {"granted": False, "user_token": bob}
    browser.refused("PUT", CONSENT, body, **FORBIDDEN)
    assert Consent.objects.get().is_granted
    assert DataSubject.objects.count() == 1


def test_a_token_opens_nothing_else(browser, signer):
    headers = {"Emend_User": signer.token()}
    browser.refused("GET", "tasks/", **FORBIDDEN, **headers)
    body = {"input": "x", "user_id": "ann"}
    browser.refused("POST", "tasks/mood/predict/", body, **FORBIDDEN, **headers)


# --- Secrets in turn ---


def test_an_earlier_secret_holds_for_the_overlap(shop, browser, signer):
    later = Signer(shop.project)
    for one in (signer, later):
        browser.post("feedback/", UP | {"user_token": one.token()}, 201)
    IdentitySecret.objects.filter(expires_at__isnull=False).update(expires_at="2020-01-01T00:00Z")
    browser.refused("POST", "feedback/", UP | {"user_token": signer.token()}, **FORBIDDEN)
    browser.post("feedback/", UP | {"user_token": later.token()}, 201)


def test_without_an_overlap_all_earlier_secrets_end_at_once(shop, browser, signer):
    create_secret(project=shop.project, overlap=DAY)
    last = Signer(shop.project, timedelta())
    browser.refused("POST", "feedback/", UP | {"user_token": signer.token()}, **FORBIDDEN)
    assert IdentitySecret.objects.live().count() == 1
    browser.post("feedback/", UP | {"user_token": last.token()}, 201)


def test_a_longer_overlap_keeps_no_secret_that_ends_before(shop, signer):
    create_secret(project=shop.project, overlap=timedelta(hours=1))
    ends = IdentitySecret.objects.get(expires_at__isnull=False).expires_at
    create_secret(project=shop.project, overlap=DAY)
    assert IdentitySecret.objects.order_by("pk").first().expires_at == ends


# --- What a process remembers ---


def test_a_process_asks_for_keys_and_secrets_once_a_while(
    shop, signer, monkeypatch, django_assert_num_queries
):
    monkeypatch.setattr(access, "SEEN_SECONDS", 60.0)
    for scope in ("capture", "manage"):
        sender = Product("shop", scope=scope)
        sender.post("feedback/", UP | {"user_token": signer.token()}, 201)
        with django_assert_num_queries(2):  # a savepoint of the test; capture's own do not count
            sender.post("feedback/", UP | {"user_token": signer.token()}, 201)


def test_a_switch_to_enforce_counts_within_a_second(shop, browser, monkeypatch):
    monkeypatch.setattr(access, "SEEN_SECONDS", 1.0)
    body = UP | {"user_id": "ann"}
    browser.post("feedback/", body, 201)
    enforce(shop)

    def is_refused():
        return browser.send("POST", "feedback/", body).status_code == 403

    wait_until(is_refused, timeout_seconds=5)


# --- Staff ---


def staff(*permissions):
    kim = User.objects.create_user("kim", is_staff=True)
    kim.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    for project in Project.objects.all():
        StaffProject.objects.create(user=kim, project=project)
    client = Client()
    client.force_login(kim)
    return client


def test_staff_sets_a_project_to_enforce_and_says_why(shop, signer):
    kim = staff("view_project", "change_project")
    page = reverse("admin:privacy_project_change", args=[shop.project.pk])
    sent = {"identity_mode": "enforce", "consent_default": "granted"}
    said = kim.post(page, sent)
    assert "This field is required." in said.content.decode()
    kim.post(page, sent | {"reason": "All pages send tokens."})
    project = Project.objects.get(slug="shop")
    assert project.identity_mode == "enforce"
    latest = project.history.first()
    assert (latest.history_change_reason, latest.history_user.username) == (
        "All pages send tokens.",
        "kim",
    )


def test_staff_changes_nothing_else_of_a_project(shop):
    page = reverse("admin:privacy_project_change", args=[shop.project.pk])
    sent = {"identity_mode": "observe", "reason": "x", "slug": "mine", "name": "Mine"}
    sent |= {"consent_default": "granted"}
    staff("view_project", "change_project").post(page, sent)
    project = Project.objects.get()
    assert (project.slug, project.history.first().history_change_reason) == ("shop", "x")


def test_who_may_only_view_projects_changes_none(shop, signer):
    kim = staff("view_project", "view_identitysecret")
    page = reverse("admin:privacy_project_change", args=[shop.project.pk])
    assert kim.post(page, {"identity_mode": "enforce", "reason": "x"}).status_code == 403
    shown = kim.get(page).content.decode()
    assert "Identity secrets" in shown
    assert signer.secret not in shown
    assert bytes(IdentitySecret.objects.get().nonce).hex() not in shown
