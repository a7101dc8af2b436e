"""One contributor of thirty is erased from what a served classifier learned from 10,000 rows.

python -m benchmarks.erasure [--reviews FILE.tsv] [--rows 10000] [--rounds 1]

Each row is two reviews of one opinion, and what a contributor said of an answer to it; of one in
ten a second one said the same. A twin project has all of it but what that contributor said. The
floor is the twin's training, of the same rows in the same process, its version built before.
"""

import argparse
import logging
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from benchmarks.classifier import LABELS, SAMPLE, read_reviews
from benchmarks.door.world import FOLDER, LOGS, World, say_circumstances
from config import embedded, leases
from feedback import capture, imports, processing
from feedback.capture.drafts import Sent
from feedback.models import Task
from feedback.serializers import FeedbackBody
from privacy import erasure
from privacy.access import Sender, create_key, find_key
from privacy.models import ErasureRequest, Project
from training import datasets, gates, rollouts, runs
from training.models import ModelAlias, ModelVersion

BAR_SECONDS = 60
PEOPLE, TWICE_RATIO, WRONG_RATIO = 30, 0.1, 0.3
HELD_OUT_ROWS, BATCH_ROWS = 500, 1_000
SPLIT_RATIO = 0.77  # of what is said: the rest is held out, or like what is
SEED = 1
Text = tuple[str, str]  # and its label


class Shop:
    """A project with a task and a served model."""

    def __init__(self, slug: str) -> None:
        self.project = Project.objects.create(slug=slug, name=slug)
        self.task = Task.objects.create(
            project=self.project,
            slug="mood",
            modality="classification",
            labels=list(LABELS),
            correction_types=["label"],
        )
        secret = create_key(project=self.project, name="server", scope="manage", origins=[])
        self.sender = Sender(self.project, find_key(secret))

    def hear(self, held_out: list[Text], acts: list[FeedbackBody]) -> None:
        """Import starting data, take in the acts and process them."""
        imports.import_examples(self.task, held_out, split="holdout")
        for start in range(0, len(acts), BATCH_ROWS):
            sent = [
                Sent(act, None, self.sender.is_trusted) for act in acts[start : start + BATCH_ROWS]
            ]
            for outcome in capture.capture_feedback(sender=self.sender, sent=sent):
                assert isinstance(outcome, capture.Kept), outcome
        while processing.process_queue("process.text"):
            pass

    def serve(self) -> tuple[ModelVersion, float, float]:
        """Build, train, judge and promote; return the model, all seconds, those of training."""
        began_at = time.monotonic()
        requested = runs.request(self.task)
        assert datasets.build_next() is not None
        run = runs.claim()
        assert run is not None
        assert run.pk == requested.pk
        with leases.heartbeat(run):
            trained_at = time.monotonic()
            model = runs.train(run)
            training = time.monotonic() - trained_at
            gates.judge_run(run, model)
        rollouts.promote(model)
        return model, time.monotonic() - began_at, training

    @property
    def champion(self) -> ModelVersion:
        return ModelAlias.objects.get(task=self.task, name="champion").model_version


class Steps(logging.Handler):
    """Print each step of an erasure when the engine logs it."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg.startswith("erasure.step") and isinstance(record.args, tuple):
            _, name, seconds = record.args
            print(f"  {name:<20} {seconds:6.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reviews", type=Path, default=SAMPLE)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    settings.ERASURE_LOG_URL = str(FOLDER / "erasures")  # beside the data folder it would stay
    logger = logging.getLogger(erasure.__name__)
    logger.handlers, logger.propagate = [Steps()], False
    logger.setLevel(logging.INFO)
    with embedded.running(needs_redis=False, log_pattern=LOGS):
        call_command("migrate", verbosity=0)
        with psycopg.connect(embedded.database_url(), autocommit=True) as database:
            say_circumstances(World("", "", database))
        texts = pairs(*read_reviews(arguments.reviews))
        for number in range(arguments.rounds):
            measure(texts, arguments.rows, number)
        connection.close()


def pairs(reviews: list[str], labels: list[str]) -> Iterator[Text]:
    """Yield different pairs of reviews of the same label, for ever."""
    chance = random.Random(SEED)
    known = {
        label: [r for r, said in zip(reviews, labels, strict=True) if said == label]
        for label in LABELS
    }
    seen = set()
    while True:
        label = chance.choice(LABELS)
        text = " ".join(chance.sample(known[label], 2))
        if text not in seen:
            seen.add(text)
            yield text, label


def measure(texts: Iterator[Text], rows: int, number: int) -> None:
    held_out = [next(texts) for _ in range(HELD_OUT_ROWS)]
    acts = list(said([next(texts) for _ in range(round(rows / SPLIT_RATIO))], seed=number))
    user_id = "user-0"
    others = [act for act in acts if act.user_id != user_id]
    shop, twin = Shop(f"shop-{number}"), Shop(f"twin-{number}")
    began_at = time.monotonic()
    shop.hear(held_out, acts)
    twin.hear(held_out, others)
    model, _, _ = shop.serve()
    never, whole, floor = twin.serve()
    counts = model.run.metrics["train_rows"], never.run.metrics["train_rows"]
    print(
        f"{len(acts):,} acts, {len(acts) - len(others):,} of them {user_id}'s; trained on"
        f" {counts[0]:,} rows, the twin on {counts[1]:,}; {time.monotonic() - began_at:.0f} s",
        flush=True,
    )
    receipt, seconds = erase(shop, user_id)
    removed = receipt["removed"]
    is_equal = shop.champion.weights_hash == never.weights_hash != model.weights_hash
    print(
        f"erased in {seconds:.1f} s, which is {'under' if seconds < BAR_SECONDS else 'NOT under'}"
        f" {BAR_SECONDS} s; {seconds / floor:.2f} of the twin's training ({floor:.1f} s;"
        f" {whole:.1f} s with build and gates)"
    )
    print(
        f"removed {removed['feedback.Example']:,} examples and {removed['training.Membership']:,}"
        f" memberships; weights {'equal' if is_equal else 'DIFFER from'} the twin's",
        flush=True,
    )


def said(texts: list[Text], seed: int) -> Iterator[FeedbackBody]:
    """Yield what people say of answers, of which some are wrong."""
    chance = random.Random(seed)
    people = [f"user-{n}" for n in range(PEOPLE)]
    for text, label in texts:
        for user_id in chance.sample(people, 2 if chance.random() < TWICE_RATIO else 1):
            act: dict[str, Any] = {"task": "mood", "input": text, "user_id": user_id}
            if chance.random() < WRONG_RATIO:
                (wrong,) = set(LABELS) - {label}
                act |= {"output": wrong, "corrected": label, "correction_type": "label"}
                yield FeedbackBody(signal="correction", **act)
            else:
                yield FeedbackBody(signal="up", output=label, **act)


def erase(shop: Shop, user_id: str) -> tuple[dict[str, Any], float]:
    """Erase somebody by the engine; return the receipt and the seconds since the request."""
    began_at = time.monotonic()
    asked = erasure.request(project=shop.project, user_id=user_id, by="a benchmark")
    erasure.erase_next()
    seconds = time.monotonic() - began_at
    done = ErasureRequest.objects.get(pk=asked.pk)
    assert done.receipt is not None, done.error
    return done.receipt, seconds


if __name__ == "__main__":
    main()
