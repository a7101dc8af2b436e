"""The endpoints of datasets, runs, models, rollouts and serving."""

import json
import uuid
from pathlib import Path

import pytest
from django.test import Client

from privacy.access import create_key
from tests.training.builders import Product, texts_of
from training import rollouts, tasks
from training.models import Shard
from training.rollouts import Plan

pytestmark = pytest.mark.django_db
TEXT = next(texts_of("train"))


class Caller:
    """A client of the API with a key of one project."""

    def __init__(self, product, scope="manage"):
        key = create_key(project=product.project, name="caller", scope=scope, origins=[])
        self.client = Client(headers={"Authorization": f"Bearer {key}"})

    def get(self, path, status=200):
        return self.answered(self.client.get(f"/api/v1/{path}"), status)

    def post(self, path, body=None, status=200):
        answer = self.client.post(f"/api/v1/{path}", body or {}, content_type="application/json")
        return self.answered(answer, status)

    def answered(self, answer, status):
        assert answer.status_code == status, answer.content
        return answer.json()


@pytest.fixture
def shop(product):
    product.add_corpus()
    return product


@pytest.fixture
def api(product):
    return Caller(product)


def test_it_works(shop, api):
    run = api.post("runs/", {"task": "mood"}, 202)
    assert (run["status"], run["dataset"]) == ("queued", {"name": "mood-train", "version": 1})
    tasks.build_versions.run()
    tasks.execute_runs.run()
    run = api.get(f"runs/{run['id']}/")
    assert run["status"] == "passed"
    assert {"name", "passed", "value", "threshold", "reason"} <= set(run["gates"][0])
    assert api.post("models/mood/1/promote/")["champion"] == 1
    answer = api.post("tasks/mood/predict/", {"input": "good tea", "user_id": "ann"})
    assert set(answer) == {"inference_id", "output", "confidence", "model_version", "arm"}
    assert (answer["output"], answer["model_version"], answer["arm"]) == ("pos", 1, "champion")
    assert api.get("tasks/mood/route/?user_id=ann") == {
        "model_version": 1,
        "arm": "champion",
        "artifact": run["weights_hash"],
    }


def test_a_dataset_is_made_once(product, api):
    body = {"name": "special", "task": "mood", "settings": {"sources": ["feedback"]}}
    assert api.post("datasets/", body, 201)["name"] == "special"
    assert api.post("datasets/", body, 409)["code"] == "training.dataset_exists"


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a b"},
        {"task": "unknown"},
        {"purpose": "test"},
        {"settings": {"holdout_from": "2026-01-01"}},
        {"settings": {"shortest": -1}},
        {"settings": {"sources": ["rumour"]}},
        {"settings": {"signals": ["shrug"]}},
        {"settings": {"unknown": 1}},
        {"unknown": 1},
    ],
)
def test_a_malformed_dataset_is_refused(api, wrong):
    body = {"name": "special", "task": "mood"} | wrong
    assert api.post("datasets/", body, 400)["code"] == "api.malformed"


def test_a_version_is_requested_built_and_shown(product, api):
    product.add((TEXT, "pos"), split="train")
    asked = api.post(f"datasets/{product.dataset}/versions/", status=202)
    assert (asked["version"], asked["status"]) == (1, "building")
    path = "datasets/mood-train/versions/1/"
    early = api.get(f"{path}export/", 409)
    assert early["code"] == "training.version_not_ready"
    tasks.build_versions.run()
    version = api.get(path)
    assert version["status"] == "ready"
    assert version["counts"]["total"] == 1
    assert version["content_hash"] == version["current_hash"]
    assert version["erasures"] == []
    assert api.get(f"{path}lineage/")["content_hash"] == version["content_hash"]


def test_an_export_streams_the_rows_and_names_no_person(product, api):
    product.correct(TEXT, user="ann@shop")
    product.version()
    answer = api.client.get("/api/v1/datasets/mood-train/versions/1/export/?format=jsonl")
    assert answer.streaming
    assert answer["Content-Type"] == "application/x-ndjson"
    assert 'filename="mood-train-v1.jsonl"' in answer["Content-Disposition"]
    content = b"".join(answer.streaming_content)
    assert json.loads(content) == {
        "input": TEXT,
        "output": "pos",
        "weight": 1.0,
        "split": "train",
        "case": "regression",
        "source": "feedback",
        "signal": "correction",
    }
    assert b"ann" not in content


def test_parquet_is_parquet(product, api):
    product.correct(TEXT)
    product.version()
    answer = api.client.get("/api/v1/datasets/mood-train/versions/1/export/?format=parquet")
    content = b"".join(answer.streaming_content)
    assert content[:4] == content[-4:] == b"PAR1"


def test_an_unknown_format_is_refused(product, api):
    product.version()
    said = api.get("datasets/mood-train/versions/1/export/?format=coco", 422)
    assert said["code"] == "training.format_unsuitable"


def test_two_versions_are_compared(product, api):
    product.add((TEXT, "pos"))
    product.version()
    product.correct(f"{TEXT} more")
    product.version()
    path = "datasets/mood-train/versions/2/diff/"
    found = api.get(f"{path}?against=1")
    assert (found["added"], found["removed"]) == (1, 0)
    assert found["rows"]["added"] == [{"input": f"{TEXT} more", "output": "pos"}]
    for wrong in ("", "x", "-1", "1.0", "٣", "9" * 5_000):
        assert api.get(f"{path}?against={wrong}", 400)["code"] == "api.malformed"
    assert api.get(f"{path}?against=3", 404)["code"] == "api.not_found"


def test_a_damaged_file_is_refused_before_anything_is_sent(product, api, settings):
    product.add((TEXT, "pos"))
    product.version()
    path = "datasets/mood-train/versions/1/export/"
    shard = Shard.objects.get().sha256
    (Path(settings.STORAGE_URL) / "shards" / shard[:2] / shard).write_bytes(b"rubbish")
    assert api.get(path, 500)["code"] == "api.file_damaged"


def test_examples_are_imported(product, api):
    items = [{"input": TEXT, "output": "pos"}, {"input": "bad", "output": "neg"}]
    body = {"task": "mood", "items": items, "split": "train"}
    assert api.post("examples/batch/", body, 201) == {"created": 2}
    items[1]["output"] = "unknown"
    said = api.post("examples/batch/", body, 400)
    assert said["errors"][0]["pointer"] == "/items/1/output"
    assert product.task.examples.count() == 2


def test_a_run_is_not_of_another_tasks_dataset(product, api):
    other = product.project.tasks.create(
        slug="other", modality="classification", labels=["neg", "pos"]
    )
    product.project.datasets.create(name="others", task=other)
    said = api.post("runs/", {"task": "mood", "dataset": "others"}, 400)
    assert said["errors"][0]["pointer"] == "/dataset"


def test_a_run_of_what_is_not_there_is_refused(product, api):
    api.post("runs/", {"task": "unknown"}, 400)
    api.post("runs/", {"task": "mood", "dataset": "unknown"}, 404)
    api.post("runs/", {"task": "mood", "version": 7}, 404)
    api.post("runs/", {"task": "mood", "strategy": "incremental"}, 400)
    api.post("runs/", {"task": "mood", "seed": -1}, 400)


def test_models_and_aliases_are_listed(product, api):
    rollouts.promote(product.register())
    product.register()
    said = api.get("models/mood/")
    assert said["aliases"] == {"champion": 1}
    assert [model["version"] for model in said["versions"]] == [2, 1]
    assert api.get("models/mood/2/")["status"] == "passed"
    assert [p["why"] for p in api.get("models/mood/1/lineage/")["promotions"]] == ["promoted"]


def test_promotion_and_rollback(product, api):
    for _ in range(2):
        product.register()
    assert api.post("models/mood/rollback/", status=409)["code"] == "training.no_model"
    api.post("models/mood/1/promote/")
    api.post("models/mood/2/promote/")
    assert api.post("models/mood/rollback/") == {"champion": 1}
    said = api.post("models/mood/rollback/", status=409)
    assert said["code"] == "training.nothing_to_roll_back"


def test_what_the_gates_refused_is_not_promoted(product, api):
    product.add(("good soup", "pos"), ("bad tea", "neg"), split="train")
    product.add(("good soup today", "neg"), ("bad tea today", "pos"), split="holdout")
    assert product.train().status == "refused"
    said = api.post("models/mood/1/promote/", status=409)
    assert said["code"] == "training.not_passed"


def test_a_rollout_begins_shows_its_arms_and_ends(product, api):
    body = {"task": "mood", "challenger": 2, "plan": {"share": 0.25}}
    for _ in range(2):
        product.register()
    assert api.post("rollouts/", body, 409)["code"] == "training.no_model"
    rollouts.promote(product.task.model_versions.get(version=1))
    rollout = api.post("rollouts/", body, 201)
    assert (rollout["stage"], rollout["share"]) == ("canary", 0.25)
    assert api.post("rollouts/", body, 409)["code"] == "training.rollout_running"
    path = f"rollouts/{rollout['id']}/"
    said = api.get(path)
    assert said["arms"]["challenger"] == {"outcomes": 0, "bad": 0}
    assert said["statistic"] == {"log_e_value": 0.0, "e_value_bound": 20.0}
    assert api.post(f"{path}advance/")["stage"] == "full"
    assert api.post(f"{path}abort/", status=409)["code"] == "training.transition_refused"
    assert api.get("models/mood/")["aliases"]["champion"] == 2


@pytest.mark.parametrize("plan", [{"share": 0}, {"share": 0.6}, {"alpha": 1}, {"unknown": 1}])
def test_a_malformed_plan_is_refused(product, api, plan):
    body = {"task": "mood", "challenger": 1, "plan": plan}
    assert api.post("rollouts/", body, 400)["code"] == "api.malformed"


def test_without_a_model_there_is_no_answer(product, api):
    said = api.post("tasks/mood/predict/", {"input": "good"}, 409)
    assert said["code"] == "training.no_model"
    assert api.get("tasks/mood/route/", 409)["code"] == "training.no_model"


@pytest.mark.parametrize(
    "body", [{}, {"input": 7}, {"input": ""}, {"input": "a", "id": str(uuid.uuid4())}]
)
def test_a_malformed_question_is_refused(product, api, body):
    assert api.post("tasks/mood/predict/", body, 400)["code"] == "api.malformed"


def test_what_became_of_a_feedback_is_told(product, api):
    feedback = product.correct(TEXT)
    product.version()
    said = api.get(f"feedback/{feedback.uuid}/lineage/")
    assert [v["version"] for v in said["dataset_versions"]] == [1]


def addresses(product):
    """Fill a project and return every address that names something of it."""
    feedback = product.correct(TEXT)
    product.version()
    for _ in range(2):
        rollouts.promote(product.register())
    rollout = rollouts.start(product.register(), Plan())
    run = product.task.runs.first()
    gets = [
        "datasets/mood-train/versions/1/",
        "datasets/mood-train/versions/1/export/",
        "datasets/mood-train/versions/1/diff/?against=1",
        "datasets/mood-train/versions/1/lineage/",
        f"feedback/{feedback.uuid}/lineage/",
        f"runs/{run.uuid}/",
        "models/mood/",
        "models/mood/1/",
        "models/mood/1/lineage/",
        "tasks/mood/route/",
        f"rollouts/{rollout.uuid}/",
    ]
    posts = {
        "datasets/mood-train/versions/": {},
        "models/mood/1/promote/": {},
        "models/mood/rollback/": {},
        "tasks/mood/predict/": {"input": "good"},
        f"rollouts/{rollout.uuid}/advance/": {},
        f"rollouts/{rollout.uuid}/abort/": {},
    }
    named = {
        "datasets/": {"name": "new", "task": "mood"},
        "examples/batch/": {"task": "mood", "items": [{"input": TEXT, "output": "pos"}]},
        "runs/": {"task": "mood"},
        "rollouts/": {"task": "mood", "challenger": 3},
    }
    return gets, posts, named


def test_a_stranger_finds_nothing(product):
    gets, posts, named = addresses(product)
    rival = Product("rival")
    rival.task.delete()
    stranger = Caller(rival)
    for path in gets:
        assert stranger.get(path, 404)["code"] == "api.not_found"
    for path, body in posts.items():
        assert stranger.post(path, body, 404)["code"] == "api.not_found"
    for path, body in named.items():
        said = stranger.post(path, body, 400)
        assert said["errors"][0]["code"] == "feedback.unknown_task"


def test_a_publishable_key_may_do_none_of_it(product):
    gets, posts, named = addresses(product)
    page = Caller(product, scope="capture")
    for path in gets:
        assert page.get(path, 403)["code"] == "api.forbidden"
    for path, body in (posts | named).items():
        assert page.post(path, body, 403)["code"] == "api.forbidden"


def test_without_a_key_nothing_is_told(product):
    gets, posts, named = addresses(product)
    for path in gets:
        assert Client().get(f"/api/v1/{path}").status_code == 401
    for path in posts | named:
        answer = Client().post(f"/api/v1/{path}", {}, content_type="application/json")
        assert answer.status_code == 401


def test_numbers_beyond_all_measure_are_not_found(product, api):
    product.version()
    api.get(f"datasets/mood-train/versions/{10**30}/", 404)
    api.get(f"models/mood/{10**30}/", 404)
    api.post("runs/", {"task": "mood", "version": 10**15}, 404)
    api.post("rollouts/", {"task": "mood", "challenger": 10**15}, 404)
