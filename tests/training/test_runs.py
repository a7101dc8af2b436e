"""From a dataset version, a config and a seed to a model version."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from config import leases, storage
from config.errors import LeaseLost, Malformed
from feedback.models import Task
from privacy import consent
from tests.training.builders import Product, texts_of
from training import datasets, runs, tasks
from training.errors import CannotJudge
from training.models import Dataset, DatasetVersion, ModelVersion, Run

CONNECTION = ("NAME", "USER", "PASSWORD", "HOST", "PORT")


@pytest.fixture
def shop(product):
    product.add_corpus()
    return product


def test_it_works(shop):
    run = shop.train()
    assert run.status == "passed"
    assert run.progress_ratio == 1
    assert run.metrics["train_rows"] == 60
    assert run.metrics["holdout"]["n"] == 204
    assert run.metrics["holdout"]["by_source"]["import"]["n"] == 204
    assert run.cost["cpu_seconds"] > 0
    assert run.ended_at is not None
    assert storage.get(run.model_version.weights_hash)


def test_the_same_data_and_seed_give_the_same_weights(shop):
    first = shop.train()
    second = shop.train(version=first.dataset_version)
    assert first.model_version.weights_hash == second.model_version.weights_hash
    assert first.fingerprint == second.fingerprint


def test_another_seed_is_another_fingerprint(shop):
    first = shop.train()
    second = shop.train(version=first.dataset_version, seed=1)
    assert first.fingerprint != second.fingerprint


@pytest.mark.django_db(transaction=True)
def test_another_process_gives_the_same_weights():
    shop = Product()
    shop.add_corpus()
    model = shop.model()
    program = f"""
import django
django.setup()
from training import runs
from training.models import ModelVersion
print(runs.rebuild(ModelVersion.objects.get(pk={model.pk})))
"""
    assert in_another_process(program) == model.weights_hash


def in_another_process(program):
    """Run a program on the test database; return what it prints."""
    database = {name: connection.settings_dict[name] for name in CONNECTION}
    start = f"""
from django.conf import settings
settings.DATABASES["default"].update({database!r})
"""
    done = subprocess.run(
        [sys.executable, "-c", start + program],
        cwd=settings.BASE_DIR,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.django_db(transaction=True)
def test_a_process_that_serves_loads_no_torch():
    shop = Product()
    shop.add_corpus()
    model = shop.model()
    program = f"""
import sys
import config.wsgi
from training import runs, serving
from training.models import ModelVersion
model = ModelVersion.objects.get(pk={model.pk})
labels, confidences = runs.predictor(serving._classifier(model.weights_hash))(["good soup"])
print(labels[0], "torch" in sys.modules)
"""
    assert in_another_process(program) == "pos False"


def test_models_are_numbered_by_task(shop):
    rival = Product("rival")
    rival.add_corpus()
    numbers = [shop.train().model_version.version for _ in range(2)]
    assert numbers == [1, 2]
    assert rival.train().model_version.version == 1


def test_a_model_can_be_built_again(shop):
    model = shop.model()
    stored = Run.objects.values().get()
    assert runs.rebuild(model) == model.weights_hash
    assert Run.objects.values().get() == stored
    assert ModelVersion.objects.count() == 1


def test_a_run_trained_twice_keeps_one_model(shop):
    run = runs.request(shop.task)
    tasks.build_versions.run()
    runs.train(runs.claim())
    Run.objects.update(lease_until=None)
    model = runs.train(runs.claim())
    assert (model.version, model.run) == (1, run)


def failed(run):
    assert run.status == "failed"
    assert run.ended_at is not None
    return run.error


def test_without_rows_a_run_fails_and_says_so(product):
    assert failed(product.train()) == "training.data_unfit: there are no rows to train on"


def test_with_one_label_a_run_fails_and_says_so(product):
    product.add(("soup", "pos"), ("tea", "pos"), split="train")
    assert "every row is labelled pos" in failed(product.train())


def test_without_holdout_a_run_fails_and_says_so(product):
    product.add(("good soup", "pos"), ("bad tea", "neg"), split="train")
    assert failed(product.train()).startswith("training.cannot_judge: The task has no holdout")


def test_a_run_takes_no_dataset_of_another_purpose(product):
    with pytest.raises(Malformed, match="thumbs is for unpaired: a run takes a dataset for train"):
        runs.request(product.task, dataset=dataset_of(product, "thumbs", purpose="unpaired"))


def test_retrains_use_a_dataset_for_train_whatever_has_its_name(product):
    dataset_of(product, "mood-train", purpose="unpaired")
    assert product.dataset.purpose == "train"


def dataset_of(product, name, **fields):
    return Dataset.objects.create(project=product.project, task=product.task, name=name, **fields)


def test_a_correction_that_is_left_out_guards_all_the_same(product):
    text = next(texts_of("train"))
    said = product.correct(text)
    imported = dataset_of(product, "imported", purpose="train", settings={"sources": ["import"]})
    version = product.version(imported)
    assert [(case.text, case.output, case.split, case.case) for case in runs.cases_of(version)] == [
        (text, "pos", "", "regression")
    ]
    consent.decide(project=product.project, user_id="ann", purpose="training", is_granted=False)
    assert runs.cases_of(version) == []
    assert said.status == "processed"


def test_what_one_of_two_models_was_trained_on_is_not_asked(shop):
    champion = shop.model()
    settings_ = {"holdout_from": "2026-01-01T00:00:00Z"}
    by_time = dataset_of(shop, "by-time", purpose="train", settings=settings_)
    cases = runs.cases_of(shop.version(by_time))
    fair = runs.without_learnt(cases, champion, None)
    assert (len(cases), len(fair)) == (264, 204)
    with pytest.raises(CannotJudge, match="was trained on all that is held out"):
        runs.without_learnt([case for case in cases if case not in fair], champion)


def test_a_run_whose_version_failed_fails_and_says_so(shop):
    run = runs.request(shop.task)
    DatasetVersion.objects.update(status="failed")
    tasks.execute_runs.run()
    run.refresh_from_db()
    assert failed(run).startswith("training.data_unfit: The dataset version could not be built")


def test_a_run_waits_for_its_version(shop):
    runs.request(shop.task)
    assert runs.claim() is None
    assert runs.waiting_seconds() is None
    tasks.build_versions.run()
    assert runs.waiting_seconds() >= 0
    assert runs.claim().status == "running"


def test_a_label_nobody_gave_yet_is_no_obstacle(shop):
    shop.task.labels = ["neg", "pos", "so-so"]
    shop.task.save()
    assert runs.load(shop.model()).labels == ("neg", "pos")


def test_one_text_under_two_labels_trains(shop):
    shop.add(("the soup was good", "neg"), split="train")
    assert shop.train().metrics["train_rows"] == 61


def test_what_an_overtaken_worker_trained_is_dropped(shop):
    runs.request(shop.task)
    tasks.build_versions.run()
    overtaken = runs.claim()
    Run.objects.update(lease_until=None)
    runs.claim()
    with pytest.raises(LeaseLost):
        runs.train(overtaken)
    assert not ModelVersion.objects.exists()
    assert tasks.execute(overtaken) is False
    assert Run.objects.get().status == "running"


def set_retrain(product, **fields):
    Task.objects.filter(pk=product.task.pk).update(**fields)


def test_nothing_is_due_unless_asked_for(shop):
    assert runs.due_waiting_seconds() is None
    assert runs.start_due() == []


def test_a_schedule_is_set_before_it_is_due(shop):
    set_retrain(shop, retrain_every_hours=24)
    assert runs.due_waiting_seconds() == 0
    assert runs.start_due() == []
    shop.task.refresh_from_db()
    left = shop.task.next_retrain_at - timezone.now()
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)
    assert runs.due_waiting_seconds() is None


def test_a_retrain_is_due_by_time_once(shop):
    past = timezone.now() - timedelta(minutes=1)
    set_retrain(shop, retrain_every_hours=24, next_retrain_at=past)
    assert runs.due_waiting_seconds() == 0
    (run,) = runs.start_due()
    assert run.task == shop.task
    assert runs.due_waiting_seconds() is None
    shop.task.refresh_from_db()
    assert shop.task.next_retrain_at > timezone.now()


def test_a_retrain_is_due_by_the_number_of_new_examples(shop):
    set_retrain(shop, retrain_after_examples=265)
    assert runs.due_waiting_seconds() is None
    shop.add(("one more", "pos"))
    assert len(runs.start_due()) == 1
    assert runs.due_waiting_seconds() is None
    shop.add(("came while the run waited", "pos"))
    tasks.build_versions.run()
    tasks.execute_runs.run()
    set_retrain(shop, retrain_after_examples=2)
    shop.add(("new", "pos"))
    assert runs.due_waiting_seconds() is None
    shop.add(("newer", "pos"))
    assert runs.due_waiting_seconds() == 0


def test_a_task_that_is_training_is_not_due(shop):
    set_retrain(shop, retrain_after_examples=1)
    runs.request(shop.task)
    assert runs.due_waiting_seconds() is None


def test_another_tasks_examples_make_nothing_due(shop):
    rival = Product("rival")
    set_retrain(rival, retrain_after_examples=1)
    assert runs.due_waiting_seconds() is None


def test_a_failed_run_is_retried_only_with_new_examples(product):
    product.add(("soup", "pos"))
    set_retrain(product, retrain_after_examples=1)
    runs.start_due()
    DatasetVersion.objects.update(status="failed")
    tasks.execute_runs.run()
    assert runs.due_waiting_seconds() is None


def test_a_dead_workers_run_is_failed_in_the_end(shop):
    run = runs.request(shop.task)
    tasks.build_versions.run()
    for _ in range(leases.MAX_ATTEMPTS):
        assert runs.claim() == run
        Run.objects.update(lease_until=None)
    assert runs.claim() is None
    run.refresh_from_db()
    assert (run.status, run.error) == ("failed", "api.worker_died")


def test_an_unbuilt_version_of_another_dataset_delays_no_run(shop):
    datasets.request_version(Product("rival").dataset)
    run = runs.request(shop.task)
    tasks.build_versions.run()
    assert runs.claim() == run
