"""Keys: what is kept of them, what they open, and whose they are."""

import pytest

from config.errors import Malformed, Unauthenticated
from privacy.access import check_user_id, create_key, find_key
from privacy.models import ApiKey, Project
from tests.product import Product, stored_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


def test_it_works(shop):
    key = create_key(project=shop.project, name="web", scope="capture", origins=[])
    assert key.startswith("emd_pk_")
    assert find_key(key).name == "web"


def test_a_key_itself_is_not_kept(shop):
    assert shop.secret not in stored_text()
    assert shop.secret[20:] not in stored_text()


def test_a_key_that_differs_at_its_end_is_no_key(shop):
    with pytest.raises(Unauthenticated):
        find_key(shop.secret[:-1] + ("a" if shop.secret[-1] != "a" else "b"))


def test_a_rotated_key_works_beside_its_successor_until_it_is_revoked(shop):
    successor = Product("shop")
    shop.infer()
    successor.infer()
    ApiKey.objects.filter(pk=shop.key.pk).update(revoked_at="2020-01-01T00:00:00Z")
    shop.refused("GET", "tasks/", status=401, code="api.unauthenticated")
    successor.infer()


def test_a_key_is_of_one_project(shop):
    assert find_key(Product("other").secret).project == Project.objects.get(slug="other")


@pytest.mark.parametrize("user_id", ["a", "x" * 128, "ann@example.org", "oidc|7:A_b.c+d-e", None])
def test_a_user_id_may_look_like_this(user_id):
    check_user_id(user_id)


@pytest.mark.parametrize("user_id", ["", "x" * 129, "a b", "é", "a/b", "ann\n", "\0", "a%"])
def test_a_user_id_may_not_look_like_this(shop, user_id):
    with pytest.raises(Malformed):
        check_user_id(user_id)
    body = {"task": "mood", "input": "x", "output": "pos", "user_id": user_id}
    document = shop.refused("POST", "inferences/", body, status=400, code="api.malformed")
    assert document["errors"][0]["pointer"] == "/user_id"


def test_a_manage_key_needs_no_user_and_vouches_for_the_one_it_names(shop):
    row = shop.correct(None)
    assert shop.get(f"feedback/{row['id']}/")["is_verified"] is True


def test_a_capture_key_names_a_user_and_vouches_for_nobody(shop):
    browser = shop.capture_key()
    row = browser.correct("ann")
    assert shop.get(f"feedback/{row['id']}/")["is_verified"] is False
    body = {"task": "mood", "input": "x", "output": "pos", "signal": "up"}
    document = browser.refused("POST", "feedback/", body, status=400, code="api.malformed")
    assert document["errors"][0]["pointer"] == "/user_id"


def test_a_capture_key_reads_no_content(shop):
    browser = shop.capture_key()
    row = browser.correct("ann", comment="too salty", metadata={"seat": "window"})
    told = browser.get(f"feedback/{row['id']}/")
    assert set(told) == {"id", "status", "flags", "created_at", "processed_at"}


def test_a_capture_key_reads_only_what_it_created(shop):
    row = shop.correct("ann")
    theirs = shop.capture_key().correct("bob")
    browser = shop.capture_key()
    for feedback_id in (row["id"], theirs["id"]):
        browser.refused("GET", f"feedback/{feedback_id}/", status=404, code="api.not_found")
