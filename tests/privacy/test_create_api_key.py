"""The command that makes a key."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

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
