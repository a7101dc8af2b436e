"""Real corrections, boxes and votes: what Emend makes of them, and a count of them by hand.

python -m benchmarks.real --data FOLDER [--only NAME]

FOLDER has post_edits (MLQE-PE, ro-en), comic_panels (LabelMe's files) and dynasent as published.
The count by hand reads the files and knows the contract, and nothing of Emend's code. It knows
neither what is redacted nor what is flagged for its words: the first figures say how much that is.
"""

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connection
from django.db.models import F

from benchmarks.by_hand import TAKES, Shown, by_hand, distance, normal, read, side
from benchmarks.door.world import LOGS
from config import embedded
from feedback import capture, processing, review
from feedback.capture.drafts import Sent
from feedback.imports import import_examples
from feedback.models import Feedback, Inference, Task
from feedback.serializers import FeedbackBody, InferenceBody
from privacy.access import Sender, create_key, find_key
from privacy.models import Project
from training import datasets, exports, importers
from training.formats import suitable
from training.models import Dataset, DatasetVersion

LABELS = {
    "text": [],
    "layout": ["balloon", "panel", "panel_inset"],
    "classification": ["negative", "positive", "neutral", "mixed"],
}


class Product:
    """A project with one task, whose answers people judge."""

    def __init__(self, slug: str, modality: str) -> None:
        self.project = Project.objects.create(slug=slug, name=slug)
        key = create_key(project=self.project, name="server", scope="manage", origins=[])
        self.sender = Sender(self.project, find_key(key))
        settings = {"silence_weight": 0.3, "silence_hours": 24}
        kind = {"modality": modality, "labels": LABELS[modality], "settings": settings}
        self.task = Task.objects.create(project=self.project, slug="task", **kind)

    def play(self, shown: list[Shown], seed: int) -> None:
        """Capture all in another order for each seed, process it and moderate what is flagged."""
        order = random.Random(seed).sample(shown, len(shown))
        bodies = [InferenceBody(task="task", input=s.input, output=s.output) for s in order]
        ids = self._enter(capture.capture_inferences, bodies)
        Inference.objects.filter(task=self.task).update(created_at=F("created_at") - timedelta(2))
        for turn in range(max(len(s.acts) for s in order)):
            acts = [(i, *s.acts[turn]) for i, s in zip(ids, order, strict=True) if s.acts[turn:]]
            said = [body_of(id_, f"{user}-{seed}", answer) for id_, user, answer in acts]
            self._enter(capture.capture_feedback, said)
            self._process()
        rights = {id_: s.right for id_, s in zip(ids, order, strict=True)}
        flagged = Feedback.objects.flagged().filter(task=self.task).select_related("inference")
        for act in flagged:
            if rights[act.inference.uuid] == (act.corrected or act.original):
                review.accept(act, by="moderator")
            else:
                review.reject(act, by="moderator", reason="Most people say otherwise.")
        self._process()

    def _enter(self, door: Any, bodies: list[Any]) -> list[Any]:
        sent = [Sent(body, None, is_verified=True) for body in bodies]
        parts = [sent[start : start + 1_000] for start in range(0, len(sent), 1_000)]
        outcomes = [outcome for part in parts for outcome in door(sender=self.sender, sent=part)]
        return [outcome.receipt.id for outcome in outcomes]

    def _process(self) -> None:
        processing.process_queue(self.task.kind.queue)

    def said(self) -> dict[str, Counter[str]]:
        """Return how much of what was captured has each status, flag and kind of redaction."""
        acts = Feedback.objects.filter(task=self.task)
        shown = Inference.objects.filter(task=self.task).values_list("redactions", flat=True)
        redacted = [*shown, *acts.values_list("redactions", flat=True)]
        return {
            "status": Counter(acts.values_list("status", flat=True)),
            "flags": Counter(chain.from_iterable(acts.values_list("flags", flat=True))),
            "redacted": Counter(chain.from_iterable(redacted)),
        }

    def build(self, purpose: str) -> DatasetVersion:
        fields = {"task": self.task, "purpose": purpose}
        dataset, _ = Dataset.objects.get_or_create(
            project=self.project, name=f"task-{purpose}", defaults=fields
        )
        version = datasets.request_version(dataset)
        while datasets.build_next() is not None:
            version.refresh_from_db()
        return version

    def change(self, shown: list[Shown]) -> dict[str, Any]:
        """Let a moderator say otherwise about one act; return the row as a diff tells it."""
        given = {normal(s.input): [answer for _, answer in s.acts] for s in shown}
        acts = Feedback.objects.filter(task=self.task, status="processed", signal="correction")
        for act in acts.select_related("inference").order_by("number"):
            input_, old = act.inference.input, act.corrected
            answers = given[normal(input_)]
            new = otherwise(old, [*answers, act.original])
            is_clear = answers.count(old) == 1 and distance(act.original, old) > 0.02
            if side(input_) == "train" and is_clear and new:
                review.accept(act, by="moderator", corrected=new)
                self._process()
                return {"input": input_, "from": old, "output": new}
        raise LookupError("Nothing can be changed.")


def body_of(id_: Any, user: str, answer: Any) -> FeedbackBody:
    if answer is None:
        return FeedbackBody(signal="up", inference_id=id_, user_id=user)
    return FeedbackBody(signal="correction", inference_id=id_, corrected=answer, user_id=user)


def otherwise(old: Any, given: list[Any]) -> Any:
    """Return an answer that nobody gave; None where there is none."""
    new: list[Any] = [f"{old} And that is what was said."]
    if isinstance(old, dict):
        new = [{"boxes": old["boxes"][1:]}]
    elif old in LABELS["classification"]:
        new = LABELS["classification"]
    return next((answer for answer in new if answer not in given), None)


def figures_of(version: DatasetVersion) -> Counter[str]:
    """Return what is counted by hand, as the version tells it."""
    counts = version.counts
    figures = Counter(counts["splits"] | counts["left_out"])
    if version.dataset.purpose == "train":
        figures["silence"] = counts["sources"].get("silence", 0)
    if version.dataset.purpose == "eval":
        for row in exports.rows(version, "all"):
            figures.update([row["case"], *["seen"][: row["is_seen"]]])
    return +figures


def check(name: str, modality: str, shown: list[Shown]) -> None:
    print(f"\n{name}: {len(shown)} answers", flush=True)
    product, other = Product(name, modality), Product(f"{name}-other", modality)
    with timed("captured, processed and moderated"):
        product.play(shown, seed=1)
    for what, numbers in product.said().items():
        print(f"  {what} {dict(numbers)}")
    with timed("versions"):
        versions = {purpose: product.build(purpose) for purpose in TAKES}
    with timed("counted by hand"):
        figures, flags = by_hand(shown)
    print(f"  flags by hand {dict(flags)}\n  {'':32}    hand   Emend")
    for purpose, version in versions.items():
        hand, found = figures[purpose], figures_of(version)
        for what in sorted(hand | found):
            print(f"  {purpose:12}{what:20}{hand[what]:8}{found[what]:8}")
        assert hand == found
        call_command("audit_dataset", version.name, version.version, project=name)
    with timed("other people in another order"):
        other.play(shown, seed=2)
        for purpose, version in versions.items():
            assert other.build(purpose).content_hash == version.content_hash
    with timed("exported, imported and built"):
        for version in versions.values():
            carry(version, Product(f"{name}-{version.name}", modality))
    wished = {"changed": [product.change(shown)], "added": [], "removed": []}
    for purpose in ("train", "eval", "preference"):
        version = product.build(purpose)
        assert version.content_hash != versions[purpose].content_hash
        assert datasets.diff(version, versions[purpose])["rows"] == wished


def carry(version: DatasetVersion, product: Product) -> None:
    """Export all formats; import the rows of jsonl, shuffled, and build the same again."""
    purpose = version.dataset.purpose
    for format_ in suitable(product.task.modality, purpose):
        pieces = exports.export(version, format_).pieces
        print(f"  {purpose:12}{format_:20}{sum(map(len, pieces)):12,} bytes")
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        for piece in exports.export(version, "jsonl").pieces:
            file.write(piece)
        file.flush()
        items = list(importers.read(Path(file.name)))
    import_examples(product.task, random.Random(3).sample(items, len(items)))
    assert product.build(purpose).content_hash == version.content_hash


@contextmanager
def timed(what: str) -> Iterator[None]:
    began_at = time.monotonic()
    yield
    print(f"  {what}: {time.monotonic() - began_at:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", help="the name of one of them")
    arguments = parser.parse_args()
    with embedded.running(needs_redis=False, log_pattern=LOGS):
        call_command("migrate", verbosity=0)
        for name, modality, shown in read(arguments.data):
            if arguments.only in (None, name):
                check(name, modality, shown)
        connection.close()


if __name__ == "__main__":
    main()
