"""The page of one person: arriving by a token, what it shows and does, and who gets no page."""

import json
import re

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client
from django.utils import timezone

from config.errors import Unavailable
from privacy import erasure, holders, page, subjects
from privacy.models import AccessRecord, Consent, DataSubject, ErasureRequest, IdentitySecret
from privacy.tombstones import digest_of
from tests.privacy.tokens import Signer
from tests.product import Product, process
from training.told import told

pytestmark = pytest.mark.django_db
ATTACK = "<script>alert(1)</script>"


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


@pytest.fixture
def ann(shop):
    """Ann's browser, after she opened the product's link."""
    return arrived(shop, "ann")


def arrived(shop, user_id):
    client = Client()
    answer = client.get("/privacy/", {"token": Signer(shop.project).token(user_id)})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/privacy/")
    return client


def text_of(answer, status=200):
    """Return what a reader sees of a page, on one line."""
    assert answer.status_code == status, answer.content
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def press(client, shop, path, user_id="ann", **more):
    """Send a form of the page as a browser does that shows it to this person."""
    person = digest_of(shop.project, user_id).hex()
    return client.post(f"/privacy/{path}/", {"person": person} | more)


def switch(client, shop, *names, **more):
    """Send the switches as they are to be, from a page that was just opened."""
    is_on = r'id="(\w+)" aria-describedby="[\w-]+" checked'
    shown = " ".join(re.findall(is_on, client.get("/privacy/").content.decode()))
    on = dict.fromkeys(names, "on")
    answer = press(client, shop, "preferences", **{"shown": shown} | on | more)
    assert answer.status_code in {200, 302}
    return answer


def test_it_works(shop, ann):
    shop.correct("ann")
    shop.correct("ann", "other soup")
    process()
    said = text_of(ann.get("/privacy/"))
    assert "Your data in shop" in said
    assert "2 corrections and ratings" in said
    assert "2 answers of a model" in said
    assert "You corrected an answer of mood to “good soup”: “neg” instead of “pos”" in said
    assert "Waiting for the next dataset version." in said


def test_who_is_not_known_is_told_so(ann):
    assert "Nothing is kept of you." in text_of(ann.get("/privacy/"))
    assert not DataSubject.objects.exists()


# --- Arriving -----------------------------------------------------------------------------------


def test_the_token_leaves_the_address_and_the_cookie_is_of_this_page_alone(shop):
    client = Client()
    token = Signer(shop.project).token("ann")
    answer = client.get("/privacy/", {"token": token})
    cookie = answer.cookies[page.COOKIE]
    assert token not in str(answer.headers) + cookie.value
    assert (cookie["path"], cookie["samesite"], cookie["httponly"]) == ("/privacy/", "Lax", True)
    assert 1_790 <= cookie["max-age"] <= 1_800
    assert "no-store" in answer.headers["Cache-Control"]
    assert "no-store" in client.get("/privacy/").headers["Cache-Control"]


def test_no_session_and_no_account_has_a_part(shop, ann):
    assert set(ann.get("/privacy/").cookies) == {page.COOKIE, "csrftoken"}


def bad_tokens(shop):
    signer, other = Signer(shop.project), Product("other")
    return {
        "none": "",
        "no token": "abc",
        "expired": signer.token(life_seconds=-60),
        "too long": signer.token(life_seconds=7_200),
        "of nobody": signer.token(sub=None),
        "of no project": signer.token(aud="nowhere"),
        "of a list": signer.token(aud=["shop"]),
        "NUL": signer.token(aud="sh\0p"),
        "of another": signer.token(aud=other.project.slug),
        "forged": Signer(shop.project, secret="x" * 43).token(),
        "the stand-in": signer.token(sub="~withheld"),
    }


@pytest.mark.parametrize(
    "kind",
    [
        *("none", "no token", "expired", "too long", "of nobody", "of no project", "of a list"),
        *("NUL", "of another", "forged", "the stand-in"),
    ],
)
def test_a_bad_token_gets_a_page_in_plain_words(shop, kind):
    answer = Client().get("/privacy/", {"token": bad_tokens(shop)[kind]})
    assert "This link no longer works" in text_of(answer, 403)
    assert "open its privacy page again" in text_of(answer, 403)
    assert page.COOKIE not in answer.cookies
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_without_a_visit_every_page_says_that_the_link_is_over():
    for path in ("", "download/", "anonymise/", "erase/", "receipt/"):
        assert "no longer works" in text_of(Client().get(f"/privacy/{path}"), 403)
    for path in ("preferences/", "anonymise/", "erase/"):
        assert "no longer works" in text_of(Client().post(f"/privacy/{path}"), 403)


def test_a_forged_or_old_cookie_opens_nothing(shop, ann, monkeypatch):
    good = ann.cookies[page.COOKIE].value
    ann.cookies[page.COOKIE] = good[:-1] + ("a" if good[-1] != "a" else "b")
    assert ann.get("/privacy/").status_code == 403
    ann.cookies[page.COOKIE] = good
    assert ann.get("/privacy/").status_code == 200
    later = timezone.now() + page.LIFE
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert ann.get("/privacy/").status_code == 403


def test_a_token_of_a_secret_that_has_ended_opens_nothing(shop):
    token = Signer(shop.project).token()
    IdentitySecret.objects.update(expires_at="2020-01-01T00:00:00Z")
    assert Client().get("/privacy/", {"token": token}).status_code == 403


def test_no_token_and_no_name_is_logged(shop, caplog):
    signer = Signer(shop.project)
    tokens = [signer.token("ann-17"), signer.token("ann-17", life_seconds=-60)]
    client = Client()
    for token in tokens:
        client.get("/privacy/", {"token": token})
    client.get("/privacy/")
    press(client, shop, "erase", "ann-17")
    client.get("/privacy/")
    assert caplog.records
    assert not [said for said in (*tokens, "ann-17") if said in caplog.text]


def test_tokens_cannot_be_guessed_for_long(shop):
    token = Signer(shop.project).token()
    for _ in range(page.WRONG_LINKS.limit):
        assert Client().get("/privacy/", {"token": "guess"}).status_code == 403
    answer = Client().get("/privacy/", {"token": token})
    assert "Too many links that do not work" in text_of(answer, 429)
    assert int(answer.headers["Retry-After"]) > 0


def test_forms_are_guarded_against_other_sites(shop):
    client = Client(enforce_csrf_checks=True)
    client.get("/privacy/", {"token": Signer(shop.project).token()})
    refused = client.post("/privacy/preferences/", {"training": "on"})
    assert "This form could not be checked" in text_of(refused, 403)
    assert "<style" not in refused.content.decode()  # the policy would block it
    assert "The form could not be checked" in text_of(client.post("/admin/login/", {}), 403)
    shown = client.get("/privacy/").content.decode()
    hidden = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', shown)[1]
    both = {"csrfmiddlewaretoken": hidden, "shown": "collection training"}
    assert press(client, shop, "preferences", **both).status_code == 302
    assert Consent.objects.count() == 2


# --- What it shows ------------------------------------------------------------------------------


def test_nothing_of_others_is_shown(shop, ann):
    shop.correct("ben", "the secret of ben")
    shop.correct("ann")
    assert "ben" not in text_of(ann.get("/privacy/"))


def test_what_people_wrote_is_text(shop):
    shop.task(slug="words", modality="text", labels=[])
    shop.correct("ann", ATTACK, output="a soup", task="words", corrected=f"{ATTACK}\u202e better")
    shown = arrived(shop, "ann").get("/privacy/").content.decode()
    assert ATTACK not in shown
    assert "\u202e" not in shown
    assert "U+202E" in shown


def test_what_was_sent_is_paged_newest_first(shop, ann):
    for number in range(page.SHOWN + 2):
        shop.correct("ann", f"soup {number}", signal="up", corrected=None)
    first = ann.get("/privacy/").content.decode()
    assert first.count('class="what"') == page.SHOWN
    address = re.search(r'href="([^"]+older=[^"]+)"', first)[1]
    rest = ann.get(address).content.decode()
    assert rest.count('class="what"') == 2
    assert "Newest" in rest
    assert "There is nothing older." in text_of(ann.get("/privacy/?older=1"))
    assert text_of(ann.get("/privacy/?older=soup"))


def test_who_looked_is_shown_without_names_of_the_staff(shop, ann):
    shop.get("privacy/subjects/ann/", None)
    shop.correct("ann")
    shop.get("privacy/subjects/ann/")
    subjects.find(shop.project, "ann")
    said = text_of(ann.get("/privacy/"))
    assert "Looked at what is allowed shop's server" in said
    assert "Opened this page" not in said
    switch(ann, shop, "collection")
    assert "Changed what is allowed you" in text_of(ann.get("/privacy/"))


def test_where_nobody_looked_the_page_says_so(shop, ann):
    ann.get("/privacy/")
    assert "Nobody looked at it" in text_of(ann.get("/privacy/"))


def test_a_visit_is_noted(shop, ann):
    ann.get("/privacy/")
    assert list(AccessRecord.objects.values_list("action", "by")) == [("page", "the person")]


# --- What it does -------------------------------------------------------------------------------


def test_switches_are_saved_and_the_page_says_what_was_done_once(shop, ann):
    switch(ann, shop, "collection")
    assert subjects.preferences(shop.project, DataSubject.objects.get()).training is False
    told = text_of(ann.get("/privacy/"))
    # What was unlinked before goes on: nothing tells that it was theirs.
    assert "No model that is trained from now on learns from what is linked to you" in told
    assert "No model that is trained from now on learns" not in text_of(ann.get("/privacy/"))
    consent = Consent.objects.get()
    assert (consent.method, consent.text_version) == ("page", page.TEXT_VERSION)
    switch(ann, shop, "collection")
    assert "Nothing was changed." in text_of(ann.get("/privacy/"))
    assert Consent.history.count() == 1


def switches_of(client):
    return re.search(r'name="shown" value="([^"]*)"', client.get("/privacy/").content.decode())[1]


def test_a_tab_of_before_changes_only_what_was_switched_there(shop, ann):
    old = switches_of(ann)
    assert old.split() == ["collection", "training"]
    switch(ann, shop, "collection")  # in another tab: no training any more
    press(ann, shop, "preferences", shown=old, collection="on", training="on")
    assert "Nothing was changed." in text_of(ann.get("/privacy/"))
    press(ann, shop, "preferences", shown=old, training="on")
    assert "Nothing that you send is stored any more." in text_of(ann.get("/privacy/"))
    chosen = subjects.preferences(shop.project, DataSubject.objects.get())
    assert (chosen.collection, chosen.training) == (False, False)
    assert switches_of(ann).split() == []


def test_the_question_keeps_what_was_shown(shop, ann):
    asked = switch(ann, shop, "collection", "training", "anonymous").content.decode()
    shown = re.search(r'name="shown" value="([^"]*)"', asked)[1]
    switch(ann, shop, "collection")  # in another tab, before the answer
    switch(ann, shop, "collection", "training", "anonymous", confirmed="yes", shown=shown)
    chosen = subjects.preferences(shop.project, DataSubject.objects.get(user_id="ann"))
    assert (chosen.training, chosen.anonymous) == (False, True)


def test_to_be_anonymous_is_asked_first_and_keeps_the_other_switches(shop, ann):
    shop.correct("ann")
    asked = switch(ann, shop, "collection", "anonymous")
    assert "user ann and 1 correction or rating" in text_of(asked)
    assert shop.get("privacy/subjects/ann/")["feedback_count"] == 1
    hidden = re.findall(r'type="hidden" name="(\w+)" value="on"', asked.content.decode())
    assert hidden == ["collection", "anonymous"]
    switch(ann, shop, *hidden, confirmed="yes")
    told = shop.get("privacy/subjects/ann/")
    assert told["feedback_count"] == 0
    assert told["preferences"] == {"collection": True, "training": False, "anonymous": True}
    assert "has no link to you any more" in text_of(ann.get("/privacy/"))


def test_the_download_is_the_export(shop, ann):
    shop.correct("ann", comment="so good")
    answer = ann.get("/privacy/download/")
    document = json.loads(b"".join(answer.streaming_content))
    assert document["feedback"][0]["comment"] == "so good"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert ann.get("/privacy/download/?format=zip").headers["Content-Type"] == "application/zip"


def test_who_is_not_known_has_nothing_to_download_or_anonymise(ann):
    for path in ("download/", "anonymise/"):
        assert ann.get(f"/privacy/{path}").headers["Location"] == "/privacy/"


def test_anonymising_asks_first(shop, ann):
    shop.correct("ann")
    asked = text_of(ann.get("/privacy/anonymise/"))
    assert "It cannot be undone." in asked
    assert "Cut the link to user ann and 1 correction or rating" in asked
    assert shop.get("privacy/subjects/ann/")["feedback_count"] == 1
    assert press(ann, shop, "anonymise").status_code == 302
    assert shop.get("privacy/subjects/ann/")["feedback_count"] == 0
    said = text_of(ann.get("/privacy/"))
    assert "What you sent has no link to you any more." in said
    assert "the link to you was cut on" in said


@pytest.mark.django_db(transaction=True)
def test_erasing_asks_first_and_leads_to_the_receipt(shop):
    ann = arrived(shop, "ann")
    shop.correct("ann")
    assert "Erase user ann and 1 correction or rating" in text_of(ann.get("/privacy/erase/"))
    assert "usually minutes; longer while models are being trained" in text_of(
        ann.get("/privacy/erase/")
    )
    assert not ErasureRequest.objects.exists()
    press(ann, shop, "erase")
    shown = ann.get("/privacy/")
    assert "Erasing your data" in text_of(shown)
    assert 'http-equiv="refresh"' in shown.content.decode()
    assert "0%" in text_of(shown)
    assert ann.get("/privacy/receipt/").headers["Location"] == "/privacy/"
    while erasure.erase_next():
        pass
    done = ann.get("/privacy/")
    assert "Your data was erased" in text_of(done)
    assert 'http-equiv="refresh"' not in done.content.decode()
    receipt = ann.get("/privacy/receipt/").json()
    assert receipt["erasure"] == str(ErasureRequest.objects.get().uuid)
    again = arrived(shop, "ann")  # from the product, another day
    assert "Your data was erased" in text_of(again.get("/privacy/"))


def test_after_the_request_no_page_acts_for_who_is_gone(shop, ann):
    shop.correct("ann")
    elsewhere = arrived(shop, "ann")
    press(ann, shop, "erase")
    assert "ann" not in ann.cookies[page.COOKIE].value
    assert press(ann, shop, "erase").headers["Location"] == "/privacy/"
    assert press(elsewhere, shop, "erase").headers["Location"] == "/privacy/"
    assert press(elsewhere, shop, "preferences").headers["Location"] == "/privacy/"
    assert elsewhere.get("/privacy/download/").headers["Location"] == "/privacy/"
    assert "Erasing your data" in text_of(elsewhere.get("/privacy/"))
    assert ErasureRequest.objects.count() == 1
    assert ann.get("/privacy/download/").status_code == 403


def forms_of(client, path):
    shown = client.get(path).content.decode()
    return re.findall(r'<form.*?name="person" value="([0-9a-f]{64})".*?</form>', shown, re.DOTALL)


def test_every_form_says_whom_it_is_about(shop, ann):
    shop.correct("ann")
    person = digest_of(shop.project, "ann").hex()
    for path in ("/privacy/", "/privacy/anonymise/", "/privacy/erase/"):
        assert forms_of(ann, path) == [person]
    asked = switch(ann, shop, "anonymous").content.decode()
    assert f'name="person" value="{person}"' in asked


@pytest.mark.parametrize("path", ["preferences", "anonymise", "erase"])
@pytest.mark.parametrize("said", [{}, {"person": ""}, {"person": "ä"}, {"person": "ann"}, None])
def test_a_form_does_nothing_to_whose_page_was_opened_since(shop, ann, path, said):
    """With ann's page in one tab and ben's in another, ann's button is about ann alone."""
    shop.correct("ann")
    shop.correct("ben", "other soup")
    if said is None:
        said = {"person": forms_of(ann, "/privacy/")[0]}
    ann.get("/privacy/", {"token": Signer(shop.project).token("ben")})
    answer = ann.post(f"/privacy/{path}/", said | {"anonymous": "on", "confirmed": "yes"})
    assert "This page is about somebody else" in text_of(answer, 403)
    assert "Nothing was changed." in text_of(answer, 403)
    assert "ben" not in text_of(answer, 403)
    assert not ErasureRequest.objects.exists()
    assert not Consent.objects.exists()
    assert not AccessRecord.objects.filter(action__in=["consent", "anonymize", "erasure"]).exists()
    for user_id in ("ann", "ben"):
        assert shop.get(f"privacy/subjects/{user_id}/")["feedback_count"] == 1


def hold_on(monkeypatch):
    """Have builds hold what anonymising needs."""

    def fail(*_args):
        raise Unavailable

    monkeypatch.setattr(subjects, "anonymise", fail)


def test_what_is_in_use_is_anonymised_in_a_minute(shop, ann, monkeypatch):
    shop.correct("ann")
    hold_on(monkeypatch)
    answer = press(ann, shop, "anonymise")
    assert "Nothing was changed. Wait a minute" in text_of(answer, 503)
    assert int(answer.headers["Retry-After"]) == 60


def test_what_was_chosen_stays_where_the_link_cannot_be_cut_yet(shop, ann, monkeypatch):
    shop.correct("ann")
    hold_on(monkeypatch)
    switch(ann, shop, "collection", "anonymous", confirmed="yes")
    said = text_of(ann.get("/privacy/"))
    assert "it is in use right now. Wait a minute, then press “Cut the link to me”" in said
    assert "What you sent has no link" not in said
    assert "Cut the link to me " in said
    chosen = shop.get("privacy/subjects/ann/")["preferences"]
    assert chosen == {"collection": True, "training": False, "anonymous": True}


def test_a_failed_erasure_says_so(shop, ann):
    press(ann, shop, "erase")
    ErasureRequest.objects.update(status="failed", error="privacy.not_erased: feedback.Feedback: 1")
    said = text_of(ann.get("/privacy/"))
    assert "The erasure has stopped" in said
    assert str(ErasureRequest.objects.get().uuid) in said


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_where_the_database_is_away_there_is_a_page(shop, ann, monkeypatch, error):
    def fail(*_args):
        raise error

    monkeypatch.setattr(subjects, "preferences", fail)
    answer = ann.get("/privacy/")
    assert "This cannot be done right now Nothing was changed. Wait" in text_of(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0
    said = text_of(press(ann, shop, "preferences", training="on"), 503)
    assert "Nothing was changed" not in said
    assert "go back to your data and look what was changed" in said


def test_where_the_log_is_away_nothing_is_begun(shop, ann, settings, monkeypatch):
    def fail(*_args, **_options):
        raise erasure.Unavailable

    monkeypatch.setattr("config.storage.put", fail)
    said = text_of(press(ann, shop, "erase"), 503)
    assert "This cannot be done right now" in said


def test_words_are_there_for_everybody_who_tells(shop):
    assert [one for one in holders.registered() if one.told is told]
