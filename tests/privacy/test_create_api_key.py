"""The command that makes a key."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config.errors import Unauthenticated
from privacy.access import find_key
from privacy.models import ApiKey, Project
from tests.product import Product

pytestmark = pytest.mark.django_db


def create(*words, name="web", project="shop", scope="manage"):
    """Run the command; return what it printed on standard output and standard error."""
    printed, told = StringIO(), StringIO()
    words = (name, "--project", project, "--scope", scope, *words)
    call_command("create_api_key", *words, stdout=printed, stderr=told)
    return printed.getvalue(), told.getvalue()


def test_it_works():
    printed, _ = create()
    key = find_key(printed.strip())
    assert (key.name, key.scope, key.project.slug) == ("web", "manage", "shop")


def test_the_key_stands_alone_on_standard_output():
    Project.objects.create(slug="shop", name="Shop")
    printed, told = create()
    assert printed == printed.split()[0] + "\n"
    assert told == ""


def test_a_new_project_is_made_and_told():
    _, told = create(project="new-shop")
    assert told == "New project new-shop.\n"
    _, told = create(project="new-shop")
    assert told == ""
    assert Project.objects.get().slug == "new-shop"


def test_each_call_makes_another_key():
    assert create()[0] != create()[0]
    assert ApiKey.objects.filter(name="web").count() == 2


@pytest.mark.parametrize(("scope", "beginning"), [("capture", "emd_pk_"), ("manage", "emd_sk_")])
def test_the_key_has_its_scope(scope, beginning):
    printed, _ = create(scope=scope)
    assert printed.startswith(beginning)
    assert find_key(printed.strip()).scope == scope


def test_a_key_is_bound_to_its_origins():
    origins = ["https://shop.example", "http://localhost:5173", "http://[::1]:80", "app://shop"]
    words = [word for origin in origins for word in ("--origin", origin)]
    printed, _ = create(*words, scope="capture")
    assert find_key(printed.strip()).origins == origins
    shop = Product("shop")
    shop.task()
    headers = {"Authorization": f"Bearer {printed.strip()}"}
    body = {"task": "mood", "input": "good soup", "output": "pos", "user_id": "ann"}
    shop.post("inferences/", body, 201, **headers, Origin="https://shop.example")
    refused = {"status": 403, "code": "api.forbidden", "Origin": "https://evil.example"}
    shop.refused("POST", "inferences/", body, **headers, **refused)


@pytest.mark.parametrize(
    "origin",
    [
        "shop.example",
        "https://shop.example/",
        "https://shop.example/a",
        "https://Shop.example",
        "*",
    ],
)
def test_what_no_browser_would_send_is_no_origin(origin):
    with pytest.raises(CommandError, match="is no origin"):
        create("--origin", origin, scope="capture")
    assert not ApiKey.objects.exists()


def test_a_key_may_have_limits_of_its_own():
    printed, _ = create("--limits", '{"contributor": {"burst": 1}}', scope="capture")
    shop = Product("shop")
    shop.task()
    headers = {"Authorization": f"Bearer {printed.strip()}"}
    body = {"task": "mood", "input": "good soup", "output": "pos", "user_id": "ann"}
    shop.post("inferences/", body, 201, **headers)
    shop.refused("POST", "inferences/", body, **headers, status=429, code="api.throttled")


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ('{"people": {"burst": 1}}', "unknown field `people`"),
        ('{"key": {"rate": 0}}', r"`\$\.key\.rate`"),
        ("[]", "Expected `object`"),
        ("key=9", "JSON"),
    ],
)
def test_limits_that_cannot_be_read_make_no_key(limits, words):
    with pytest.raises(CommandError, match=words):
        create("--limits", limits)
    assert not Project.objects.exists()


@pytest.mark.parametrize("slug", ["my shop", "läden", "a/b", "", "x" * 51])
def test_what_is_no_slug_makes_no_project(slug):
    with pytest.raises(CommandError, match="--project"):
        create(project=slug)
    assert not Project.objects.exists()


@pytest.mark.parametrize("name", ["", "x" * 101])
def test_a_key_has_a_name_that_can_be_stored(name):
    with pytest.raises(CommandError, match="argument name"):
        create(name=name)


def test_an_unknown_scope_is_refused():
    with pytest.raises(CommandError, match="invalid choice: 'admin'"):
        create(scope="admin")


# --- Rotation ---


def rotate(*words, name="server", project="shop"):
    printed = StringIO()
    words = (name, "--project", project, "--rotate", *words)
    call_command("create_api_key", *words, stdout=printed)
    return printed.getvalue().strip()


@pytest.fixture
def shop():
    return Product("shop", scope="capture", origins=["https://shop.example"])


def test_a_rotated_key_is_the_same_with_another_secret(shop):
    new = rotate()
    found = find_key(new)
    assert new != shop.secret
    assert (found.pk, found.scope, found.origins) == (shop.key.pk, "capture", shop.key.origins)
    assert ApiKey.objects.count() == 1


def test_the_earlier_secret_works_for_a_day(shop):
    rotate()
    assert find_key(shop.secret).pk == shop.key.pk
    until = ApiKey.objects.get().previous_until
    assert abs(until - timezone.now() - timedelta(hours=24)) < timedelta(minutes=1)


def test_the_earlier_secret_ends_with_the_overlap(shop):
    new = rotate("--overlap", "1")
    ApiKey.objects.update(previous_until=timezone.now())
    with pytest.raises(Unauthenticated):
        find_key(shop.secret)
    assert find_key(new).pk == shop.key.pk


def test_a_leaked_secret_ends_at_once(shop):
    rotate("--overlap", "0")
    with pytest.raises(Unauthenticated):
        find_key(shop.secret)


def test_a_second_rotation_leaves_two_secrets(shop):
    second, third = rotate(), rotate()
    assert find_key(second).pk == find_key(third).pk == shop.key.pk
    with pytest.raises(Unauthenticated):
        find_key(shop.secret)


def test_what_differs_at_its_end_is_no_earlier_secret(shop):
    rotate()
    with pytest.raises(Unauthenticated):
        find_key(shop.secret[:-1] + ("a" if shop.secret[-1] != "a" else "b"))


def test_a_revoked_key_has_no_earlier_secret_either(shop):
    rotate()
    ApiKey.objects.update(revoked_at=timezone.now())
    with pytest.raises(Unauthenticated):
        find_key(shop.secret)


def test_what_a_key_created_stays_its_own(shop):
    server = Product("shop")
    server.task()
    row = shop.correct("ann")
    shop.client = Client(headers={"Authorization": f"Bearer {rotate('--scope', 'capture')}"})
    assert shop.get(f"feedback/{row['id']}/")["id"] == row["id"]


def test_a_name_of_two_keys_is_refused_unless_the_scope_tells(shop):
    Product("shop")
    with pytest.raises(CommandError, match="2 usable keys"):
        rotate()
    assert find_key(rotate("--scope", "manage")).scope == "manage"


def test_an_unknown_name_rotates_nothing(shop):
    for words in ({"name": "none"}, {"project": "none"}):
        with pytest.raises(CommandError, match="0 usable keys"):
            rotate(**words)
    ApiKey.objects.update(revoked_at=timezone.now())
    with pytest.raises(CommandError, match="0 usable keys"):
        rotate()
    assert Project.objects.count() == 1


@pytest.mark.parametrize("words", [("--origin", "https://shop.example"), ("--limits", "[]")])
def test_a_rotation_takes_no_origins_and_no_limits(shop, words):
    with pytest.raises(CommandError, match="keeps the key's origins and limits"):
        rotate(*words)


def test_a_new_key_needs_a_scope():
    with pytest.raises(CommandError, match="--scope is required"):
        call_command("create_api_key", "web", "--project", "shop")
    assert not Project.objects.exists()


def test_the_admin_says_until_when_the_earlier_secret_works(shop, admin_client):
    page = reverse("admin:privacy_apikey_change", args=[shop.key.pk])
    assert "there is none" in admin_client.get(page).content.decode()
    rotate("--overlap", "5")
    said = admin_client.get(page).content.decode()
    assert "earlier key works until" in said
    assert "in 4\xa0hours" in said
