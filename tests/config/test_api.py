"""Contract 2: what every endpoint answers and to whom, and with which problem it refuses."""

import uuid

import psycopg
import pytest
import yaml
from django.contrib import admin
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse

from config import json, storage
from feedback.models import Contributor, Image
from privacy import erasure
from privacy.access import AnyScope
from privacy.models import ApiKey
from tests.product import Product, problem
from tests.roles import permitted
from training import datasets
from training.models import ModelCredit, ModelVersion, Rollout, Run

pytestmark = pytest.mark.django_db
BODIES = {
    "ErasuresView": {"user_id": "zed"},
    "ReviewView": {"decision": "escalate", "moderator": "mo"},
    "ConsentView": {"granted": True},
}
# A consent for a new person is no access to another project's: it makes a person of one's own.
MAKES_ITS_OWN = {"ConsentView"}


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task(correction_types=["label"])
    return shop


@pytest.fixture
def stranger():
    return Product("stranger")


def routes():
    """Return all patterns under /api/v1/ with their views, from the resolver itself."""

    def walk(patterns, prefix):
        for pattern in patterns:
            path = prefix + str(pattern.pattern)
            if isinstance(pattern, URLPattern):
                yield path, pattern
            else:
                yield from walk(pattern.url_patterns, path)

    found = walk(get_resolver().url_patterns, "")
    return [(p, r.callback.view_class) for p, r in found if p.startswith("api/v1/")]


def methods(view):
    return [m.upper() for m in ("get", "post", "put", "patch", "delete") if hasattr(view, m)]


NO_CREDIT = {"held_out_rows": 0, "loss": 0.0, "sources": [], "contributors": [], "feedback": []}


def objects_of(shop):
    """Make one of everything that an address can name; return the values by their names."""
    body = {"task": "mood", "input": "x", "output": "pos", "signal": "down", "user_id": "ann"}
    row = shop.post("feedback/", body, 201)
    task = shop.project.tasks.get()
    dataset = datasets.default_dataset(task)
    datasets.request_version(dataset)
    version = datasets.build_next()
    run = Run.objects.create(task=task, dataset=dataset, dataset_version=version)
    models = {"task": task, "run": run, "weights_hash": "0" * 64, "artifact_bytes": 1}
    model = ModelVersion.objects.create(version=1, **models)
    ModelCredit.objects.create(model_version=model, status="ready", document=NO_CREDIT)
    rollout = Rollout.objects.create(
        task=task,
        challenger=model,
        champion=model,
        share=0.1,
        salt="salt",
        plan={"alpha": 0.05, "minimum_outcomes": 1},
        evidence={"log_e": 0},
    )
    Contributor.objects.create(task=task, user_id="ann")
    image = Image.objects.create(
        project=shop.project,
        is_verified=True,
        sha256=storage.put(b"picture", "images"),
        media_type="image/png",
        width=1,
        height=1,
        difference_hash=0,
    )
    return {
        "uuid:image_id": image.uuid,
        "slug:slug": "mood",
        "uuid:feedback_id": row["id"],
        "slug:name": dataset.name,
        "int:number": 1,
        "uuid:run_id": run.uuid,
        "uuid:rollout_id": rollout.uuid,
        "uuid:erasure_id": erasure.request(project=shop.project, user_id="gone", by="a test").uuid,
        "str:user_id": "ann",
        "str:purpose": "training",
    }


def filled(path, values):
    path = path.removeprefix("api/v1/").replace("/diff/", "/diff/?against=1")
    for name, value in values.items():
        path = path.replace(f"<{name}>", str(value))
    assert "<" not in path, f"{path}: say in objects_of() what an address may name here"
    return path


def body_for(view, method):
    return b"" if method == "GET" else BODIES.get(view.__name__, {})


def test_it_works(shop):
    assert shop.get("tasks/")["results"][0]["slug"] == "mood"


def test_no_route_shows_a_stranger_anything(shop, stranger):
    values, page = objects_of(shop), stranger.capture_key()
    for path, view in routes():
        if "<" not in path or view.__name__ in MAKES_ITS_OWN:
            continue
        for method in methods(view):
            address, body = filled(path, values), body_for(view, method)
            problem(stranger.send(method, address, body), 404, "api.not_found")
            if AnyScope in view.permission_classes:
                problem(page.send(method, address, body), 404, "api.not_found")


def test_every_route_shows_its_owner_something(shop):
    """Without this the test above could pass because nothing is there."""
    values = objects_of(shop)
    for path, view in routes():
        for method in methods(view):
            if method == "GET" and view.__name__ != "RouteView":
                answer = shop.send(method, filled(path, values))
                assert answer.status_code in {200, 400}, (path, answer.content)


def test_lists_hold_only_what_is_ones_own(shop, stranger):
    objects_of(shop)
    for path, view in routes():
        if "<" not in path and hasattr(view, "get") and view.__name__ != "ReceiptKeyView":
            answer = stranger.send("GET", filled(path, {}))
            assert answer.json()["results"] == []


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("inferences/", {"task": "mood", "input": "x", "output": "pos"}, "feedback.unknown_task"),
        ("examples/batch/", {"task": "mood", "items": [{}]}, "api.malformed"),
        ("runs/", {"task": "mood"}, "feedback.unknown_task"),
        ("datasets/", {"name": "d", "task": "mood"}, "feedback.unknown_task"),
        ("rollouts/", {"task": "mood", "challenger": 1}, "feedback.unknown_task"),
    ],
)
def test_a_stranger_cannot_name_a_task_in_a_body(shop, stranger, path, body, code):
    document = stranger.refused("POST", path, body, status=400, code="api.malformed")
    assert document["errors"][0]["code"] == code


def test_a_stranger_cannot_react_to_an_inference(shop, stranger):
    body = {"inference_id": shop.infer(), "signal": "up", "user_id": "eve"}
    document = stranger.refused("POST", "feedback/", body, status=400, code="api.malformed")
    assert document["errors"][0]["code"] == "feedback.unknown_inference"


def test_a_stranger_cannot_name_what_is_not_theirs_in_a_body(shop, stranger):
    values, own = objects_of(shop), {"task": "mood", "input": "x", "output": "pos"}
    stranger.task()
    stranger.task(slug="art", modality="image", labels=[])
    picture = {"image": str(values["uuid:image_id"])}
    drawn = {"task": "art", "input": {"prompt": "a cat"}}
    for path, body, pointer in [
        ("inferences/", own | {"parent_inference": shop.infer()}, "/parent_inference"),
        ("inferences/", drawn | {"output": picture}, "/output/image"),
        ("feedback/", drawn | {"output": picture, "signal": "up"}, "/output/image"),
    ]:
        document = stranger.refused("POST", path, body, status=400, code="api.malformed")
        assert document["errors"][0]["pointer"] == pointer
    for path, body in [
        ("runs/", {"task": "mood", "dataset": values["slug:name"]}),
        ("runs/", {"task": "mood", "version": 1}),
        ("rollouts/", {"task": "mood", "challenger": 1}),
    ]:
        stranger.refused("POST", path, body, status=404, code="api.not_found")
    batch = {"items": [{"inference_id": shop.infer("y"), "signal": "up"}]}
    assert stranger.post("feedback/batch/", batch, 200)["results"][0]["status"] == 400


def test_a_query_leads_to_nothing_of_another_project(shop, stranger):
    rows = [shop.correct("ann", f"soup {n}")["id"] for n in range(3)]
    following = shop.get("feedback/?limit=1")["next"].rpartition("/api/v1/")[2]
    assert shop.get(following)["results"][0]["id"] == rows[1]
    for address in [following, "feedback/?task=mood", "feedback/?user_id=ann"]:
        assert stranger.get(address)["results"] == []


def test_staff_without_permission_see_no_page(shop, client, django_user_model):
    objects_of(shop)
    client.force_login(django_user_model.objects.create_user("lee", is_staff=True))
    for model in admin.site._registry:
        row = model.objects.order_by("pk").first()
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        pages = [
            reverse(f"{name}_changelist"),
            *([reverse(f"{name}_change", args=[row.pk])] if row else []),
        ]
        assert {client.get(page).status_code for page in pages} == {403}, name


def test_ids_are_unique_in_a_project_only(shop, stranger):
    stranger.task()
    same = {"id": str(uuid.uuid4())}
    assert shop.infer(**same) == stranger.infer("other", **same) == same["id"]


@pytest.mark.parametrize(
    "key", ["", "emd_sk_unknown", "Bearer", "emd_sk_\0", "emd_sk_é", "x" * 9000]
)
def test_no_route_answers_without_a_key(key):
    values = dict.fromkeys(("slug:slug", "slug:name", "str:user_id", "str:purpose"), "x")
    values |= {"int:number": 1}
    named = ("feedback", "run", "rollout", "image", "erasure")
    values |= {f"uuid:{name}_id": uuid.uuid4() for name in named}
    client = Client(headers={"Authorization": f"Bearer {key}"} if key else {})
    for path, view in routes():
        for method in methods(view):
            answer = client.generic(method, "/api/v1/" + filled(path, values))
            problem(answer, 401, "api.unauthenticated")
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="emend"'


def test_a_revoked_key_is_no_key(shop):
    ApiKey.objects.update(revoked_at="2020-01-01T00:00:00Z")
    shop.refused("GET", "tasks/", status=401, code="api.unauthenticated")


def test_an_expired_key_is_no_key(shop):
    ApiKey.objects.update(expires_at="2020-01-01T00:00:00Z")
    shop.refused("GET", "tasks/", status=401, code="api.unauthenticated")


def test_a_capture_key_may_only_capture(shop):
    values = objects_of(shop)
    browser = shop.capture_key()
    for path, view in routes():
        for method in methods(view):
            if AnyScope not in view.permission_classes:
                answer = browser.send(method, filled(path, values), body_for(view, method))
                problem(answer, 403, "api.forbidden")
    browser.refused("GET", "feedback/", status=403, code="api.forbidden")


def test_a_key_is_bound_to_its_origins(shop):
    page = shop.capture_key(origins=["https://shop.example"])
    body = {"task": "mood", "input": "x", "output": "pos", "user_id": "ann"}
    page.post("inferences/", body, 201, Origin="https://shop.example")
    page.refused(
        "POST", "inferences/", body, status=403, code="api.forbidden", Origin="https://evil.example"
    )


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "TRACE"])
def test_a_method_that_is_not_taken_is_refused(shop, method):
    answer = shop.send(method, "feedback/")
    problem(answer, 405, "api.method_not_allowed")
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


def test_every_route_refuses_to_delete(shop):
    values = objects_of(shop)
    for path, view in routes():
        if not hasattr(view, "delete"):
            answer = shop.send("DELETE", filled(path, values))
            problem(answer, 405, "api.method_not_allowed")


def test_head_and_options_answer(shop):
    assert shop.send("HEAD", "tasks/").content == b""
    assert shop.send("OPTIONS", "tasks/").status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/", "/api/v1/nothing/", "/api/v1/tasks/%00/", "/nothing"])
def test_an_unknown_address_is_a_problem_document(shop, path, settings):
    settings.DEBUG = False
    problem(shop.client.get(path), 404, "api.not_found")


@pytest.mark.parametrize(
    ("address", "status", "title"),
    [("/admin/nothing/", 404, "There is no such page"), ("/admin/background/", 403, "not do this")],
)
def test_the_admin_refuses_with_a_page_of_its_own(settings, address, status, title):
    settings.DEBUG = False
    answer = permitted("kim", "view_feedback").get(address)
    assert (answer.status_code, answer.headers["Content-Type"][:9]) == (status, "text/html")
    assert title in answer.text
    assert "Go to the dashboard" in answer.text
    assert "Review queue" in answer.text


def test_a_form_of_the_admin_that_is_too_old_is_refused_with_a_page(shop):
    client = Client(enforce_csrf_checks=True)
    client.force_login(permitted("kim", "view_feedback").user)
    answer = client.post("/admin/background/")
    assert answer.status_code == 403
    assert "This page was too old" in answer.text


def test_who_is_not_logged_in_is_asked_to_wherever_they_go_in_the_admin(settings):
    settings.DEBUG = False
    answer = Client().get("/admin/nothing/")
    assert (answer.status_code, answer.url) == (302, "/admin/login/?next=/admin/nothing/")


def test_a_huge_number_in_an_address_is_not_found(shop):
    values = objects_of(shop) | {"int:number": 10**30}
    for path, view in routes():
        if "int:number" in path:
            method = methods(view)[0]
            answer = shop.send(method, filled(path, values), body_for(view, method))
            problem(answer, 404, "api.not_found")


@pytest.mark.parametrize("path", ["datasets/mood-train/versions/"])
def test_endpoints_that_need_no_body_take_none(shop, path):
    objects_of(shop)
    assert shop.client.post(f"/api/v1/{path}").status_code == 202


@pytest.mark.django_db(transaction=True)
def test_without_postgresql_nothing_is_stored_and_the_client_may_come_again(shop):
    name, options = connection.settings_dict["NAME"], connection.get_connection_params()
    options = {k: options[k] for k in ("host", "user", "password", "port") if options.get(k)}
    with psycopg.connect(dbname="postgres", autocommit=True, **options) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        try:
            connection.close()
            body = {"task": "mood", "input": "x", "output": "pos"}
            answer = shop.send("POST", "inferences/", body)
            problem(answer, 503, "api.unavailable")
            assert answer.headers["Retry-After"].isdecimal()
        finally:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    shop.infer()


def test_a_full_disk_stops_capture_before_postgresql_meets_it(shop, settings):
    settings.MINIMUM_FREE_DISK_BYTES = 2**60
    body = {"task": "mood", "input": "x", "output": "pos"}
    shop.refused("POST", "inferences/", body, status=503, code="api.unavailable")


def test_a_bug_is_answered_without_its_words(shop, monkeypatch):
    def fail(*_args, **_options):
        raise ZeroDivisionError("ann@example.org")

    monkeypatch.setattr("feedback.views.tasks.task_document", fail)
    shop.client.raise_request_exception = False
    document = shop.refused("GET", "tasks/", status=500, code="api.internal")
    assert "ann" not in json.dumps(document).decode()


def test_answers_forbid_scripts(shop):
    answer = shop.send("GET", "tasks/")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/api/schema/", "/api/docs/"])
def test_the_api_describes_itself(path):
    assert Client().get(path).status_code == 200


def test_the_document_is_made_without_a_warning(tmp_path):
    options = {"validate": True, "fail_on_warn": True, "file": str(tmp_path / "openapi.yaml")}
    call_command("spectacular", **options)


def test_what_people_do_may_carry_their_token():
    paths = yaml.safe_load(Client().get("/api/schema/").content)["paths"]
    for path in ("inferences", "feedback", "feedback/batch", "images"):
        post = paths[f"/api/v1/{path}/"]["post"]
        assert "Emend-User" in {parameter["name"] for parameter in post["parameters"]}


def test_every_route_is_in_the_document():
    document = yaml.safe_load(Client().get("/api/schema/").content)
    assert len(document["paths"]) == len(routes())
    ids = [what["operationId"] for ways in document["paths"].values() for what in ways.values()]
    assert len(ids) == len(set(ids))
