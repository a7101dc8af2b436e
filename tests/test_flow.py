"""One correction's way, by HTTP and through the real verbs, to a better model that is served."""

import pytest
from django.test import Client

from feedback import processing
from privacy.access import create_key
from privacy.models import Project
from training import datasets, rollouts, runs, serving, tasks

pytestmark = pytest.mark.django_db
GOOD = ["good food", "very good soup", "good and warm", "lovely good place", "so good", "good tea"]
BAD = ["bad food", "very bad soup", "bad and cold", "awful bad place", "so bad", "bad tea"]


class Product:
    """A product's server: a project, its manage key, one task."""

    def __init__(self, slug="shop"):
        self.project, _ = Project.objects.get_or_create(slug=slug, defaults={"name": slug})
        key = create_key(project=self.project, name="server", scope="manage", origins=[])
        self.client = Client(headers={"Authorization": f"Bearer {key}"})

    def post(self, path, body, status=None, **headers):
        answer = self.client.post(
            f"/api/v1/{path}", body, content_type="application/json", headers=headers
        )
        if status is not None:
            assert answer.status_code == status, answer.content
        return answer.json()

    def get(self, path, status=200):
        answer = self.client.get(f"/api/v1/{path}")
        assert answer.status_code == status, answer.content
        return answer.json()


def do_all_work():
    """Do what beat and workers would do, until nothing is left."""
    processing.process_queue("process.text")
    tasks.build_versions.run()
    tasks.execute_runs.run()
    rollouts.look_at_due()


@pytest.fixture
def product():
    serving._states.clear()
    product = Product()
    product.post(
        "tasks/", {"slug": "mood", "modality": "classification", "labels": ["neg", "pos"]}, 201
    )
    return product


def test_it_works(product):
    items = [{"input": f"{t} {n}", "output": "pos"} for n in "abc" for t in GOOD]
    items += [{"input": f"{t} {n}", "output": "neg"} for n in "abc" for t in BAD]
    product.post("examples/batch/", {"task": "mood", "items": items, "split": "train"}, 201)
    held_out = [{"input": f"{t} x", "output": "pos"} for t in GOOD]
    held_out += [{"input": f"{t} x", "output": "neg"} for t in BAD]
    product.post("examples/batch/", {"task": "mood", "items": held_out, "split": "holdout"}, 201)
    run = product.post("runs/", {"task": "mood"}, 202)
    do_all_work()
    run = product.get(f"runs/{run['id']}/")
    assert run["status"] == "passed", str(run)
    product.post(f"models/mood/{run['model_version']}/promote/", {}, 200)
    answer = product.post("tasks/mood/predict/", {"input": "good stew", "user_id": "ann"}, 200)
    assert answer["output"] == "pos"
    correction = {"inference_id": answer["inference_id"], "signal": "correction"}
    row = product.post("feedback/", correction | {"corrected": "neg", "user_id": "ann"}, 201)
    assert row["status"] == "pending"
    do_all_work()
    row = product.get(f"feedback/{row['id']}/")
    assert row["status"] == "processed"
    run = product.post("runs/", {"task": "mood", "seed": 1}, 202)
    do_all_work()
    run = product.get(f"runs/{run['id']}/")
    lineage = product.get(f"feedback/{row['id']}/lineage/")
    assert [m["version"] for m in lineage["models"]] == [2]
    dataset = run["dataset"]
    path = f"datasets/{dataset['name']}/versions/{dataset['version']}/"
    version = product.get(path)
    assert version["parent"] == 1
    assert version["counts"]["added"] == 1
    exported = product.client.get(f"/api/v1/{path}export/?format=jsonl")
    assert len(b"".join(exported.streaming_content).splitlines()) == version["counts"]["total"]
