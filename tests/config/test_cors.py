"""Pages of other origins: what a browser asks first, and which answers it lets a page read."""

import pytest
from django.conf import settings

from privacy import access
from tests.privacy.tokens import Signer
from tests.product import Product

pytestmark = pytest.mark.django_db
PAGE = "https://shop.example"
ACT = {"task": "mood", "input": "x", "output": "pos", "signal": "up", "user_id": "ann"}
ALLOWED = "Access-Control-Allow-Origin"


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


def cors(answer):
    """Return the headers of an answer that tell a browser what a page may do."""
    names = [name for name in answer.headers if name.startswith("Access-Control-")]
    return {name.removeprefix("Access-Control-"): answer.headers[name] for name in names}


def test_it_works(shop):
    answer = shop.capture_key().send("POST", "feedback/", ACT, Origin=PAGE)
    assert answer.status_code == 201
    assert cors(answer) == {
        "Allow-Origin": "*",
        "Expose-Headers": "Retry-After, Idempotency-Replayed",
    }


@pytest.mark.parametrize("path", ["feedback/", "nowhere/", "privacy/subjects/ann/"])
def test_a_browser_asks_first_without_a_key(client, path, django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = client.options(
            f"/api/v1/{path}",
            headers={"Origin": PAGE, "Access-Control-Request-Method": "PUT"},
        )
    assert (answer.status_code, answer.content) == (204, b"")
    assert cors(answer) == {
        "Allow-Origin": "*",
        "Allow-Methods": "GET, POST, PUT",
        "Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Emend-User",
        "Max-Age": "7200",
        "Expose-Headers": "Retry-After, Idempotency-Replayed",
    }


def test_other_questions_about_options_need_a_key(client):
    assert client.options("/api/v1/feedback/", headers={"Origin": PAGE}).status_code == 401


def test_a_page_may_read_what_is_wrong(shop, client):
    browser = shop.capture_key()
    answers = [
        client.get("/api/v1/feedback/", headers={"Origin": PAGE}),
        client.get("/api/v1/nowhere/", headers={"Origin": PAGE}),
        browser.send("POST", "feedback/", b"{", Origin=PAGE),
        browser.send("POST", "feedback/", ACT, Origin=PAGE, Emend_User="x"),
        browser.send("GET", "tasks/", Origin=PAGE),
        browser.send("POST", "feedback/", ACT, Origin=PAGE, Transfer_Encoding="chunked"),
    ]
    assert [answer.status_code for answer in answers[:5]] == [401, 404, 400, 403, 403]
    assert {answer.headers[ALLOWED] for answer in answers} == {"*"}


def test_a_page_reads_nothing_that_a_servers_secret_opened(shop):
    for answer in (
        shop.send("GET", "feedback/", Origin=PAGE),
        shop.send("POST", "feedback/", b"{", Origin=PAGE),
    ):
        assert answer.status_code in {200, 400}
        assert cors(answer) == {}


def test_without_an_origin_nothing_is_said_of_any(shop):
    assert cors(shop.capture_key().send("POST", "feedback/", ACT)) == {}


def test_only_the_api_is_for_other_origins(client):
    headers = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
    for path in ("/healthz", "/admin/login/", "/api/schema/"):
        for answer in (client.get(path, headers=headers), client.options(path, headers=headers)):
            assert answer.status_code != 204
            assert cors(answer) == {}


def test_the_server_goes_by_a_keys_origins(shop):
    browser = shop.capture_key(origins=[PAGE])
    browser.post("feedback/", ACT, 201, Origin=PAGE)
    refused = {"status": 403, "code": "api.forbidden"}
    browser.refused("POST", "feedback/", ACT, **refused, Origin="https://evil.example")


def test_changed_origins_count_at_once(shop, monkeypatch):
    monkeypatch.setattr(access, "SEEN_SECONDS", 0.0)
    browser = shop.capture_key(origins=[PAGE])
    browser.post("feedback/", ACT, 201, Origin=PAGE)
    browser.key.origins = ["https://other.example"]
    browser.key.save()
    refused = {"status": 403, "code": "api.forbidden"}
    browser.refused("POST", "feedback/", ACT, **refused, Origin=PAGE)


def test_a_repeat_says_so_to_the_page(shop):
    browser, headers = shop.capture_key(), {"Origin": PAGE, "Idempotency_Key": "k"}
    headers["Emend_User"] = Signer(shop.project).token()
    browser.post("feedback/", ACT, 201, **headers)
    answer = browser.send("POST", "feedback/", ACT, **headers)
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" in cors(answer)["Expose-Headers"]


def test_no_answer_takes_cookies(shop, client):
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    preflight = client.options("/api/v1/feedback/", headers=asked)
    answer = shop.capture_key().send("POST", "feedback/", ACT, Origin=PAGE)
    assert "Allow-Credentials" not in cors(preflight) | cors(answer)
    assert not answer.cookies


def test_the_api_without_pages_answers_the_same():
    """What answers the API alone passes it too, before whatever may refuse."""
    names = settings.API_MIDDLEWARE
    place = names.index("config.security.cross_origin")
    assert place < names.index("config.security.length_required")
