"""A product with one task, driven through the real verbs."""

from contextlib import contextmanager
from datetime import timedelta
from itertools import count

import numpy as np
from django.db import connection, transaction
from django.utils import timezone
from msgspec import UNSET

from feedback import capture, imports, processing
from feedback.capture.drafts import Sent
from feedback.models import Example, Feedback, Inference, Task
from feedback.normalise import content_hash, split_of
from feedback.serializers import FeedbackBody, InferenceBody
from privacy.access import Sender, create_key, find_key
from privacy.models import Project
from training import curation, datasets, runs, tasks
from training.evaluation import Case
from training.models import ModelVersion, Run

GOOD = ["good", "lovely", "fresh", "warm", "tasty", "kind"]
BAD = ["bad", "awful", "stale", "cold", "bland", "rude"]
THINGS = ["soup", "tea", "bread", "waiter", "room", "price"]


def sentences(words, things=THINGS):
    return [f"the {thing} was {word}" for word in words for thing in things]


def texts_of(split):
    """Yield texts that the hash of the input puts on that side."""
    return (text for n in count() if side_of(text := f"text {n}") == split)


def side_of(text):
    return split_of(content_hash(text))


@contextmanager
def erasing():
    """Let rows of versions be deleted, as an erasure may."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL emend.erasing = 'on'")
        yield


class Product:
    """One project, its keys and one task of two labels."""

    def __init__(self, slug="shop", **task):
        self.project, _ = Project.objects.get_or_create(slug=slug, defaults={"name": slug})
        self.key = self.new_key("manage")
        fields = {"modality": "classification", "labels": ["neg", "pos"]} | task
        self.task = Task.objects.create(project=self.project, slug="mood", **fields)

    def new_key(self, scope):
        key = create_key(project=self.project, name=scope, scope=scope, origins=[])
        return find_key(key)

    def add(self, *pairs, split=None):
        return imports.import_examples(self.task, pairs, split=split)

    def add_corpus(self, things=THINGS):
        """Import an easy corpus: 60 rows to train on, 204 held out."""
        places = [f"place {number}" for number in range(17)]
        for words, label in ((GOOD, "pos"), (BAD, "neg")):
            train, held_out = sentences(words[:5], things), sentences(words, places)
            self.add(*((text, label) for text in train), split="train")
            self.add(*((text, label) for text in held_out), split="holdout")

    def show(self, text, output="neg", user="ann", key=None):
        """Capture an answer that was shown to somebody."""
        body = InferenceBody(task="mood", input=text, output=output, user_id=user)
        return Inference.objects.get(uuid=self._enter(capture.capture_inferences, body, key))

    def react(self, inference, signal, corrected=UNSET, user="ann", key=None):
        """Capture what somebody did about an answer; nothing is processed yet."""
        body = FeedbackBody(
            signal=signal, inference_id=inference.uuid, corrected=corrected, user_id=user
        )
        return Feedback.objects.get(uuid=self._enter(capture.capture_feedback, body, key))

    def _enter(self, door, body, key):
        sender = Sender(self.project, key or self.key)
        (outcome,) = door(sender=sender, sent=[Sent(body, None, sender.is_trusted)])
        assert isinstance(outcome, capture.Kept), outcome
        return outcome.receipt.id

    def correct(self, text, right="pos", wrong="neg", user="ann", key=None):
        """Show a wrong answer, correct it, and process the correction."""
        feedback = self.react(self.show(text, wrong, user, key), "correction", right, user, key)
        return processed(feedback)

    def approve(self, text, output="pos", signal="up", user="ann"):
        return processed(self.react(self.show(text, output, user), signal, user=user))

    @property
    def dataset(self):
        return datasets.default_dataset(self.task)

    def version(self, dataset=None):
        """Request a version and build it."""
        requested = datasets.request_version(dataset or self.dataset)
        return built(requested)

    def train(self, **options):
        """Request a run, build its version, train and judge it; return the run."""
        run = runs.request(self.task, **options)
        tasks.build_versions.run()
        tasks.execute_runs.run()
        run.refresh_from_db()
        return run

    def register(self, weights_hash="0" * 64) -> ModelVersion:
        """Make a model version that passed its gates, without training one."""
        run = Run.objects.create(
            task=self.task,
            dataset=self.dataset,
            dataset_version=datasets.request_version(self.dataset),
            status="passed",
        )
        return ModelVersion.objects.create(
            task=self.task,
            version=self.task.model_versions.count() + 1,
            run=run,
            weights_hash=weights_hash,
            artifact_bytes=0,
        )

    def model(self, **options) -> ModelVersion:
        run = self.train(**options)
        assert run.status == "passed", (run.error, list(run.gate_results.values()))
        return run.model_version


def processed(feedback) -> Feedback:
    processing.process_queue("process.text")
    feedback.refresh_from_db()
    return feedback


def built(requested):
    while datasets.build_next():
        pass
    requested.refresh_from_db()
    return requested


def inputs(version, split=None):
    return sorted(row.input for row in datasets.rows(version, split=split))


def shown_days_ago(inference, days=2):
    """Let time pass: the answer was shown so many days ago."""
    then = timezone.now() - timedelta(days=days)
    Inference.objects.filter(pk=inference.pk).update(created_at=then)
    return inference


def case(text, output="pos", **fields):
    defaults = {"split": "holdout", "case": "", "is_pinned": False, "source": "import"}
    return Case(text=text, output=output, feedback_id=None, **defaults | fields)


def answering(answers, confidence=0.9):
    """Make a predictor that looks its answers up; what is not listed is "pos"."""

    def predict(texts):
        return [answers.get(text, "pos") for text in texts], np.full(len(texts), confidence)

    return predict


def taken():
    """Return the examples that tasks' default datasets would take by what rows say of them."""
    found = []
    with transaction.atomic(), connection.cursor() as cursor:
        for task in Task.objects.all():
            curation.decide(datasets.default_dataset(task), curation.DatasetSettings(), since=None)
            cursor.execute("SELECT id FROM decided WHERE reason = ''")
            found += [pk for (pk,) in cursor.fetchall()]
    return Example.objects.filter(pk__in=found)
