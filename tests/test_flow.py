"""One correction's way, by HTTP and through the real verbs, to a better model that is served."""

import pytest

from tests.product import Product, process
from training import rollouts, serving, tasks

pytestmark = pytest.mark.django_db
GOOD = ["good food", "very good soup", "good and warm", "lovely good place", "so good", "good tea"]
BAD = ["bad food", "very bad soup", "bad and cold", "awful bad place", "so bad", "bad tea"]


def do_all_work():
    """Do what beat and workers would do, until nothing is left."""
    process()
    tasks.build_versions.run()
    tasks.execute_runs.run()
    rollouts.look_at_due()


@pytest.fixture
def product():
    serving._states.clear()
    product = Product()
    product.task()
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
