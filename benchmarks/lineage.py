"""Lineage of one feedback, one version and one model, in a database that SQL filled.

python -m benchmarks.lineage [--rows 1000000] [--predictions 1000000] [--versions 20] [--rounds 50]

Each row of feedback has one example, and nearly all are in the first version; the answers that they
are about were the model's. What counts is how long a caller waits, the first time and again.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import psycopg
from django.core.management import call_command
from django.db import connection

from benchmarks.door.world import LOGS, UUID_OF_N, World, say_circumstances
from config import embedded
from feedback.models import Example, Feedback, Inference, Task
from privacy.models import Project
from training import lineage
from training.models import Dataset, DatasetVersion, Membership, ModelVersion, Prediction, Run

USERS = 5_000
ONE = "(SELECT * FROM {} LIMIT 1) t"  # not the rows that are being added to it
CONTENT = {"input_hash": b"\0" * 32, "is_verified": True}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--predictions", type=int, default=1_000_000)
    parser.add_argument("--versions", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=50)
    arguments = parser.parse_args()
    with embedded.running(needs_redis=False, log_pattern=LOGS):
        call_command("migrate", verbosity=0)
        with psycopg.connect(embedded.database_url(), autocommit=True) as database:
            world = World("", "", database)
            say_circumstances(world)
            began_at = time.monotonic()
            model = fill(world, arguments.rows, arguments.predictions, arguments.versions)
            print(f"filled in {time.monotonic() - began_at:.0f} s", flush=True)
            say(model, arguments.rounds)
        connection.close()


def fill(world: World, rows: int, predictions: int, versions: int) -> ModelVersion:
    """Make one row of each kind as the product does, and copies of it by SQL; return the model."""
    project = Project.objects.create(slug="bench", name="bench")
    task = Task.objects.create(
        project=project, slug="mood", modality="classification", labels=["neg", "pos"]
    )
    dataset = Dataset.objects.create(project=project, task=task, name="mood-train")
    _fill_feedback(world, task, rows)
    _fill_memberships(world, dataset, rows, versions)
    version = dataset.versions.get(version=versions)
    run = Run.objects.create(task=task, dataset=dataset, dataset_version=version, status="passed")
    model = ModelVersion.objects.create(
        task=task, version=1, run=run, weights_hash="0" * 64, artifact_bytes=0
    )
    inference = Inference.objects.earliest("number")
    Prediction.objects.create(inference=inference, model_version=model)
    world.multiply(
        "training_prediction",
        f"{ONE.format('training_prediction')}, feedback_inference i"
        f" WHERE i.number > t.inference_id ORDER BY i.number LIMIT {predictions - 1}",
        {"inference_id": "i.number"},
    )
    world.database.execute("VACUUM (ANALYZE)")
    return model


def _fill_feedback(world: World, task: Task, rows: int) -> None:
    shared: dict[str, Any] = {"project": task.project, "task": task, "fingerprint": b""} | CONTENT
    inference = Inference.objects.create(
        **shared, user_id="user-0", input="The soup was cold.", output="pos"
    )
    Feedback.objects.create(
        **shared,
        user_id="user-0",
        inference=inference,
        signal="correction",
        original="pos",
        corrected="neg",
        status="processed",
        quality=1.0,
        queue="process.text",
    )
    world.multiply(
        "feedback_inference",
        f"{ONE.format('feedback_inference')}, generate_series(1, {rows - 1}) n ORDER BY n",
        {
            "id": UUID_OF_N,
            "user_id": f"'user-' || n % {USERS}",
            "input_hash": "sha256(n::text::bytea)",
        },
    )
    taken = {name: f"i.{name}" for name in ("id", "user_id", "input_hash")}
    world.multiply(
        "feedback",
        f"{ONE.format('feedback')}, feedback_inference i WHERE i.number > t.inference_id"
        " ORDER BY i.number",
        taken | {"inference_id": "i.number"},
    )
    first = Feedback.objects.earliest("number")
    Example.objects.create(
        task=task,
        feedback=first,
        source="feedback",
        signal="correction",
        input="The soup was cold.",
        output="neg",
        rejected_output="pos",
        case="regression",
        input_hash=b"\0" * 32,
        base_weight=1.0,
        split="train",
    )
    world.multiply(
        "feedback_example",
        f"{ONE.format('feedback_example')}, feedback f WHERE f.number > t.feedback_id"
        " ORDER BY f.number",
        {"feedback_id": "f.number", "input_hash": "f.input_hash"},
    )
    world.database.execute("ANALYZE")  # what guards memberships plans by what is known


def _fill_memberships(world: World, dataset: Dataset, rows: int, versions: int) -> None:
    """Put nearly all examples into the first version, and a hundred into each later one."""
    for number in range(1, versions + 1):
        DatasetVersion.objects.create(
            dataset=dataset,
            name=dataset.name,
            version=number,
            parent=number - 1 or None,
            status="ready",
            content_hash=f"{number:064d}",
            current_hash=f"{number:064d}",
            counts={"total": rows},
            feedback_source={"count": rows, "by_signal": {"correction": rows}},
            as_of=dataset.created_at,
        )
    example = Example.objects.earliest("pk")
    Membership.objects.create(
        dataset=dataset, example=example, row_hash=b"\0" * 32, split="train", since_version=1
    )
    world.multiply(
        "training_membership",
        f"{ONE.format('training_membership')}, feedback_example e WHERE e.id > t.example_id"
        " ORDER BY e.id",
        {
            "example_id": "e.id",
            "row_hash": "sha256(e.id::text::bytea)",
            "since_version": f"greatest(1, {versions} - ({rows} + t.example_id - e.id) / 100)",
        },
    )


def say(model: ModelVersion, rounds: int) -> None:
    """Print what a caller waits for each lineage: the first time, the median and the longest."""
    numbers = Feedback.objects.order_by("-number")
    first, last = numbers.earliest("number"), numbers[0]
    version = model.run.dataset_version
    assert version is not None
    measure("the first feedback", lambda: lineage.of_feedback(first), rounds)
    measure("the last feedback", lambda: lineage.of_feedback(last), rounds)
    measure("the dataset version", lambda: lineage.of_version(version), rounds)
    measure("the model", lambda: lineage.of_model(model), rounds)


def measure(what: str, ask: Callable[[], Any], rounds: int) -> None:
    waits = []
    for _ in range(rounds):
        began_at = time.perf_counter()
        ask()
        waits.append((time.perf_counter() - began_at) * 1_000)
    first, ranked = waits[0], sorted(waits)
    print(
        f"{what}: first {first:.1f} ms, median {ranked[rounds // 2]:.1f} ms,"
        f" longest {ranked[-1]:.1f} ms",
        flush=True,
    )


if __name__ == "__main__":
    main()
