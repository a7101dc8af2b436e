"""Numbered, immutable, content-hashed versions."""

import json
import threading
from itertools import islice

import pytest
from django.db import connection

from config import leases
from feedback.models import Example
from privacy import consent
from tests import product as products
from tests.training.builders import Product, built, inputs, shown_days_ago, texts_of
from training import datasets, exports
from training.datasets import building
from training.errors import VersionNotReady
from training.models import DatasetVersion, Membership

TEXTS = list(islice(texts_of("train"), 8))


def test_it_works(product):
    product.add((TEXTS[0], "pos"), (TEXTS[1], "neg"), split="train")
    product.add((TEXTS[2], "pos"), split="holdout")
    version = product.version()
    assert (version.status, version.version, version.parent) == ("ready", 1, None)
    assert len(version.content_hash) == 64
    assert version.counts == {
        "total": 3,
        "added": 3,
        "removed": 0,
        "splits": {"holdout": 1, "train": 2},
        "labels": {"neg": 1, "pos": 2},
        "sources": {"import": 3},
        "left_out": {},
    }


def test_a_version_is_made_even_when_nothing_changed(product):
    product.add((TEXTS[0], "pos"))
    first, second = product.version(), product.version()
    assert second.version == 2
    assert second.parent == first.version
    assert second.content_hash == first.content_hash
    assert (second.counts["added"], second.counts["removed"]) == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_numbers_are_consecutive_under_concurrent_requests():
    dataset = Product().dataset

    def request():
        for _ in range(5):
            datasets.request_version(dataset)
        connection.close()

    threads = [threading.Thread(target=request) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = dataset.versions.order_by("version").values_list("version", flat=True)
    assert list(numbers) == list(range(1, 21))


def test_versions_of_a_dataset_build_in_order(product):
    product.add((TEXTS[0], "pos"))
    first, second = (datasets.request_version(product.dataset) for _ in range(2))
    assert datasets.build_next() == first
    assert datasets.build_next() == second
    assert datasets.build_next() is None


def test_a_later_version_waits_for_an_earlier_one_under_work(product):
    for _ in range(2):
        datasets.request_version(product.dataset)
    assert leases.claim(datasets.buildable()).version == 1
    assert leases.claim(datasets.buildable()) is None


def test_another_datasets_version_does_not_wait(product):
    datasets.request_version(product.dataset)
    leases.claim(datasets.buildable())
    other = datasets.request_version(Product("rival").dataset)
    assert datasets.build_next() == other


def changes(version, against):
    found = datasets.diff(version, against)
    return found["added"], found["removed"]


def test_an_older_version_stays_as_it_was(product):
    product.add((TEXTS[0], "pos"))
    first = product.version()
    product.add((TEXTS[1], "pos"))
    product.correct(TEXTS[2])
    second = product.version()
    consent.decide(project=product.project, user_id="ann", purpose="training", is_granted=False)
    third = product.version()
    assert inputs(first) == TEXTS[:1]
    assert inputs(third) == TEXTS[:2]
    assert [datasets.rebuild(v) for v in (first, second, third)] == [
        v.content_hash for v in (first, second, third)
    ]
    assert changes(second, first) == (2, 0)
    assert changes(third, second) == (0, 1)


def test_exact_twins_count_once(product):
    product.add((TEXTS[0], "pos"), (TEXTS[0].upper(), "pos"), split="train")
    once = Product("rival")
    once.add((TEXTS[0], "pos"), split="train")
    version = product.version()
    assert version.counts["total"] == 1
    assert len(list(datasets.rows(version))) == 1
    assert version.content_hash == once.version().content_hash


def test_the_hash_survives_the_loss_of_one_twin(product):
    product.correct(TEXTS[0], user="ann")
    product.correct(TEXTS[0], user="ben")
    hashes = [product.version().content_hash]
    for user in ("ann", "ben"):
        consent.decide(project=product.project, user_id=user, purpose="training", is_granted=False)
        version = product.version()
        hashes.append(version.content_hash)
        assert datasets.rebuild(version) == version.content_hash
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_hash_knows_no_order_ids_people_or_project(product):
    pairs = [(text, "pos") for text in TEXTS]
    product.add(*pairs)
    rival = Product("rival")
    rival.add(*reversed(pairs))
    assert rival.version().content_hash == product.version().content_hash


def test_one_other_label_is_another_hash(product):
    product.add((TEXTS[0], "pos"), (TEXTS[1], "pos"))
    rival = Product("rival")
    rival.add((TEXTS[0], "pos"), (TEXTS[1], "neg"))
    assert rival.version().content_hash != product.version().content_hash


def test_another_split_is_another_hash(product):
    product.add((TEXTS[0], "pos"), split="train")
    rival = Product("rival")
    rival.add((TEXTS[0], "pos"), split="holdout")
    assert rival.version().content_hash != product.version().content_hash


def test_what_is_added_and_removed_leaves_no_trace_in_the_hash(product):
    product.add((TEXTS[0], "pos"))
    before = product.version()
    product.correct(TEXTS[1])
    between = product.version()
    consent.decide(project=product.project, user_id="ann", purpose="training", is_granted=False)
    after = product.version()
    assert before.content_hash == after.content_hash != between.content_hash


@pytest.mark.django_db
@pytest.mark.parametrize("weight", [0.1, 1 / 3, 1e-3, 1])
def test_a_weight_survives_storage_bit_by_bit(weight):
    product = Product()
    product.add((TEXTS[0], "pos"))
    Example.objects.update(base_weight=weight)
    version = product.version()
    assert datasets.rebuild(version) == version.content_hash


def test_rows_are_ordered_by_their_hash(product):
    product.add(*((text, "pos") for text in TEXTS))
    version = product.version()
    rows = list(datasets.rows(version))
    by_hash = Membership.objects.order_by("row_hash").values_list("example__input", flat=True)
    assert [row.input for row in rows] == list(by_hash)


def test_of_twins_the_pinned_or_regression_case_stands_for_the_row(product):
    product.add((TEXTS[0], "pos"), split="train")
    product.approve(TEXTS[0], user="ann")
    feedback = product.correct(TEXTS[0], user="ben")
    (row,) = datasets.rows(product.version())
    assert (row.case, row.feedback_id) == ("regression", str(feedback.uuid))


def test_feedback_source_is_as_counted_by_hand(product):
    product.add((TEXTS[0], "pos"))
    first = product.correct(TEXTS[1])
    product.version()
    second, third = product.approve(TEXTS[2]), product.approve(TEXTS[3], signal="accepted")
    source = product.version().feedback_source
    assert source == {
        "count": 3,
        "by_signal": {"accepted": 1, "correction": 1, "up": 1},
        "by_source": {"user": 3},
        "added": [str(second.uuid), str(third.uuid)],
        "lineage": "/api/v1/datasets/mood-train/versions/2/lineage/",
    }
    assert str(first.uuid) not in source["added"]


def test_a_version_pins_the_settings_it_was_built_under(product):
    product.add((TEXTS[0], "pos"))
    version = product.version()
    product.task.labels = ["neg", "pos", "so-so"]
    product.task.save()
    product.dataset.save()
    then = product.task.history.get(history_id=version.task_history_id)
    assert then.labels == ["neg", "pos"]
    assert version.dataset_history_id == product.dataset.history.earliest().history_id
    assert product.version().task_history_id != version.task_history_id


def test_who_withdrew_is_left_out_of_exports_of_older_versions(product):
    product.add((TEXTS[0], "pos"))
    product.correct(TEXTS[1])
    version = product.version()
    consent.decide(project=product.project, user_id="ann", purpose="training", is_granted=False)
    assert inputs(version) == TEXTS[:1]


def test_an_unbuilt_version_gives_no_rows(product):
    version = datasets.request_version(product.dataset)
    with pytest.raises(VersionNotReady):
        next(datasets.rows(version))


@pytest.mark.django_db(transaction=True)
def test_a_crash_in_the_middle_leaves_nothing_half_built(monkeypatch):
    product = Product(settings={"silence_weight": 0.5})
    product.add((TEXTS[0], "pos"))
    shown_days_ago(product.show(TEXTS[1]))
    version = datasets.request_version(product.dataset)
    with monkeypatch.context() as patch:
        patch.setattr(building, "_tally", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            datasets.build_next()
    version.refresh_from_db()
    assert (version.status, version.content_hash, version.parent) == ("building", "", None)
    assert not Membership.objects.exists()
    DatasetVersion.objects.update(lease_until=None)
    version = built(version)
    assert (version.status, version.attempts) == ("ready", 2)
    assert inputs(version) == TEXTS[:2]


def test_after_three_dead_workers_a_version_fails_and_the_next_is_built(product):
    product.add((TEXTS[0], "pos"))
    first, second = (datasets.request_version(product.dataset) for _ in range(2))
    for _ in range(3):
        assert leases.claim(datasets.buildable()) == first
        DatasetVersion.objects.update(lease_until=None)
    assert datasets.build_next() is None
    first.refresh_from_db()
    assert (first.status, first.error) == ("failed", "api.worker_died")
    assert datasets.build_next() == second
    second.refresh_from_db()
    assert (second.parent, inputs(second)) == (None, TEXTS[:1])


@pytest.mark.django_db(transaction=True)
def test_a_request_does_not_wait_for_a_build():
    product = Product()
    product.add((TEXTS[0], "pos"))
    version = datasets.request_version(product.dataset)
    numbers = []

    def request():
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '5s'")
        numbers.append(datasets.request_version(version.dataset).version)
        connection.close()

    def request_beside(*_):
        thread = threading.Thread(target=request)
        thread.start()
        thread.join()
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "_tally", request_beside)
        datasets.build_next()
    assert numbers == [2, 3]


def export(version, name):
    return b"".join(exports.export(version, name).pieces)


@pytest.fixture
def version(product):
    product.add((TEXTS[0], "pos"), ({"b": "soup", "a": "été 🍲"}, "neg"), split="train")
    product.approve(TEXTS[1], signal="accepted")
    return product.version()


def test_jsonl_reads_back(version):
    rows = [json.loads(line) for line in export(version, "jsonl").splitlines()]
    assert len(rows) == 3
    assert {"b": "soup", "a": "été 🍲"} in [row["input"] for row in rows]
    assert {row["weight"] for row in rows} == {1.0, 0.5}


LEFT_OUT = "datasets/mood-train/versions/1/left-out/"


@pytest.fixture
def server(product):
    """Call the API for a version that left out three copies of a sentence."""
    sentence = "the waiter forgot our soup twice, and the bread was cold"
    product.add((sentence, "neg"), split="holdout")
    product.add(*((f"{sentence}{end}", "neg") for end in (".", "!", "?")), split="train")
    product.correct(f"{sentence} already", right="neg", wrong="pos")
    product.version()
    return products.Product(product.project.slug)


def test_what_a_version_left_out_is_told_when_it_is_built(server, product):
    datasets.request_version(product.dataset)
    assert server.get(LEFT_OUT.replace("/1/", "/2/"), 409)["code"] == "training.version_not_ready"


def test_what_a_version_left_out_is_listed(server, product):
    example = product.task.examples.get(feedback__isnull=False)
    newest, *others = server.get(f"{LEFT_OUT}?reason=near_holdout")["results"]
    assert newest == {
        "reason": "near_holdout",
        "example_id": example.pk,
        "feedback_id": str(example.feedback.uuid),
        "input_hash": bytes(example.input_hash).hex(),
        "holdout_example_id": product.task.examples.get(split="holdout").pk,
        "similarity": pytest.approx(0.87, abs=0.05),
    }
    assert [(row["feedback_id"], row["similarity"]) for row in others] == [(None, 1.0)] * 3


def test_pages_of_what_was_left_out_follow_each_other(server):
    whole = server.get(LEFT_OUT)["results"]
    address, read = f"{LEFT_OUT}?limit=3", []
    while address:
        page = server.get(address.rpartition("/api/v1/")[2])
        read += page["results"]
        address = page["next"]
    assert read == whole


@pytest.mark.parametrize("query", ["reason=silence", "more=1", "cursor=x", "cursor=cD14"])
def test_a_malformed_question_for_what_was_left_out_is_refused(server, query):
    server.refused("GET", f"{LEFT_OUT}?{query}", status=400, code="api.malformed")


def test_what_was_left_out_is_the_projects_own(server):
    stranger = products.Product("stranger")
    stranger.refused("GET", LEFT_OUT, status=404, code="api.not_found")
    page = server.capture_key()
    page.refused("GET", LEFT_OUT, status=403, code="api.forbidden")
