"""What is told of a version: its content, shift and coverage, slices, and the weights of strata."""

from itertools import count, islice
from pathlib import Path

import msgspec
import pytest
from django.test import Client
from django.urls import reverse

from feedback.models import Feedback, Inference
from privacy import consent
from privacy.access import create_key
from tests.training.builders import GOOD, Product, processed, shown_days_ago, side_of
from training import balance, datasets, rollouts, run_weights, runs, slices
from training.errors import VersionNotReady
from training.models import Dataset, DatasetVersion, Shard

pytestmark = pytest.mark.django_db


def held_out(n):
    texts = (f"the soup was {GOOD[k % 6]} at table {k}" for k in count())
    return list(islice((text for text in texts if side_of(text) == "holdout"), n))


def say(product, texts, right, **metadata):
    """Correct what was shown; what is known of it is in the feedback's metadata."""
    for text in texts:
        wrong = "neg" if right == "pos" else "pos"
        said = product.react(product.show(text, wrong), "correction", right)
        Feedback.objects.filter(pk=said.pk).update(metadata=metadata)
    processed(said)


def served(product, *outputs):
    for n, output in enumerate(outputs):
        product.show(f"what is served {n}", output, user=f"user {n}")


def said_by(product, *people, label="pos"):
    """Let each of the people teach one answer."""
    texts = (text for n in count() if side_of(text := f"a meal {n} was good") == "train")
    for who, text in zip(people, texts, strict=False):
        wrong = "neg" if label == "pos" else "pos"
        said = product.react(product.show(text, wrong, who), "correction", label, who)
    processed(said)


def declare(product, *keys):
    product.task.settings |= {"slice_keys": keys}
    product.task.save()


def values(found, by):
    (column,) = [column for column in found["content"] if column["by"] == by]
    return {row["value"]: row["rows"] for row in column["values"]}


def page(version):
    return reverse("admin:training_datasetversion_balance", args=[version.pk])


def test_it_works(product):
    """Forty diners of one locale are ironic: the champion does not see it."""
    declare(product, "locale")
    product.add_corpus()
    rollouts.promote(product.model())
    texts = held_out(80)
    say(product, texts[:40], "neg", locale="de")
    say(product, texts[40:], "pos", locale="fr")
    found = balance.of_version(product.version())["slices"]
    worst = next(row for row in found["slices"] if row["by"] == "locale")
    assert (worst["value"], worst["rows"], worst["is_worse"]) == ("de", 40, True)
    assert worst["accuracy_high"] < 0.5 < worst["rest"]
    assert worst["difference_high"] < -0.5
    assert found["model_version"] == 1
    assert not next(row for row in found["slices"] if row["value"] == "fr")["is_worse"]


def test_it_counts_what_is_in_a_version(product):
    product.add_corpus()
    product.approve("the wine was good")
    found = balance.of_version(product.version())
    assert found["rows"] == {"total": 265, "read": 265}
    assert values(found, "label") == {"neg": 132, "pos": 133}
    assert values(found, "source") == {"import": 264, "feedback": 1}
    assert sum(values(found, "month").values()) == 265


def test_a_shift_of_labels_is_told_in_words(product):
    product.add_corpus()
    served(product, *["neg"] * 190, *["pos"] * 10)
    shift = balance.of_version(product.version())["label_shift"]
    assert "pos is 50.0% of training and 5.0% of what was served" in shift["says"] or (
        "neg is 50.0% of training and 95.0% of what was served" in shift["says"]
    )
    assert shift["labels"][0]["p_value"] < 0.05


def test_what_was_served_long_ago_does_not_count(product):
    product.add_corpus()
    shown_days_ago(product.show("what is served"), days=31)
    found = balance.of_version(product.version())
    assert found["served"]["answers"] == 0
    assert found["label_shift"]["says"] == balance.NOTHING


def test_what_a_publishable_key_sends_was_not_served(product):
    product.show("made up", key=product.new_key("capture"))
    assert balance.of_version(product.version())["served"]["answers"] == 0


def test_who_withdrew_consent_is_not_counted(product):
    served(product, "neg", "pos")
    who = {"project": product.project, "user_id": "user 0"}
    consent.decide(**who, purpose="training", is_granted=False)
    assert balance.of_version(product.version())["served"]["read"] == 1


def test_a_topic_that_only_was_served_is_thin(product):
    product.add_corpus()
    for n in range(100):
        product.show(f"delivery courier rider late {n}", user=f"user {n}")
    coverage = balance.of_version(product.version())["coverage"]
    thin = [topic for topic in coverage["topics"] if topic["is_thin"]]
    assert sum(topic["served"] for topic in thin) > 0.9
    assert sum(topic["trained"] for topic in thin) < 0.1
    assert thin[0]["value"] in coverage["says"]


def test_of_much_traffic_a_part_is_read_and_said(product, monkeypatch):
    monkeypatch.setattr(balance, "MOST_SERVED", 10)
    served(product, *["neg"] * 20)
    assert balance.of_version(product.version())["served"] == {
        "days": 30,
        "answers": 20,
        "read": 10,
    }


def test_of_a_large_version_a_part_is_read_and_said(product, monkeypatch):
    monkeypatch.setattr(balance, "MOST_ROWS", 100)
    product.add_corpus()
    assert balance.of_version(product.version())["rows"] == {"total": 264, "read": 100}


def test_an_empty_version_says_so(product):
    found = balance.of_version(product.version())
    assert found["rows"] == {"total": 0, "read": 0}
    assert (
        found["slices"]["says"]
        == "There is no champion to ask, or nothing held out that it was not trained on."
    )


@pytest.mark.parametrize(
    ("modality", "input_", "output"),
    [
        ("text", "Say it.", "It."),
        (
            "layout",
            {"page": {"width": 9, "height": 9}},
            {"boxes": [{"id": "1", "label": "pos", "bbox": [0, 0, 5, 5]}]},
        ),
    ],
)
def test_what_no_model_is_trained_for_is_counted(db, modality, input_, output):
    product = Product("other", modality=modality)
    product.add((input_, output), split="train")
    product.show(input_, output)
    found = balance.of_version(product.version())
    assert values(found, "split") == {"train": 1}
    assert found["coverage"]["topics"][0]["value"] == "1"
    labels = [row["value"] for row in found["label_shift"]["labels"]]
    assert labels == (["pos"] if modality == "layout" else [])


def test_a_version_that_is_not_ready_is_refused(product):
    with pytest.raises(VersionNotReady):
        balance.of_version(datasets.request_version(product.dataset))


def test_how_contributors_were_capped_is_told(product):
    product.add_corpus()
    said_by(product, *["ann"] * 20, *(f"user {n}" for n in range(20)))
    run = product.train()
    told = balance.of_version(run.dataset_version)["contributors"]
    assert told["capped"] == 1
    assert told["largest_share"] > 0.4
    assert told["largest_share_capped"] < 0.3
    assert "ann" not in str(told)


def test_metadata_of_feedback_counts_before_that_of_the_answer(product):
    text, other, *_ = held_out(2)
    say(product, [text], "pos", locale="de")
    say(product, [other], "pos", age="30")
    Inference.objects.update(metadata={"locale": "fr", "age": "60"})
    rows = list(datasets.rows(product.version()))
    columns = slices.facts_of(rows, ["locale", "age", "place"]).columns
    said = {row.input: [columns[key][n] for key in columns][1:] for n, row in enumerate(rows)}
    assert said == {text: ["de", "60", None], other: ["fr", "30", None]}


def balanced(product, is_balanced=True):
    dataset = Dataset.objects.create(
        project=product.project,
        task=product.task,
        name="balanced",
        settings={"is_balanced": is_balanced},
    )
    product.add(*((f"the soup {n} was good", "pos") for n in range(160)), split="train")
    product.add(*((f"the soup {n} was bad", "neg") for n in range(200, 240)), split="train")
    product.add(("the tea was good", "pos"), ("the tea was bad", "neg"), split="holdout")
    return dataset


def weights_by_label(run, version):
    rows = list(datasets.rows(version, split="train"))
    weights = run_weights.of_rows(run, version, rows)
    return {
        label: sum(w for row, w in zip(rows, weights, strict=True) if row.output == label)
        for label in ("neg", "pos")
    }


def test_rare_strata_weigh_more_where_a_dataset_is_balanced(product):
    dataset = balanced(product)
    run = runs.request(product.task, dataset=dataset)
    version = product.version(dataset)
    weighed = weights_by_label(run, version)
    assert sum(weighed.values()) == pytest.approx(200)
    assert weighed["neg"] > 50
    strata = run.weighing["strata"]
    assert max(strata, key=strata.get).split(", ")[1] == "label neg"


def test_otherwise_rows_weigh_what_they_weigh(product):
    dataset = balanced(product, is_balanced=False)
    run = runs.request(product.task, dataset=dataset)
    assert weights_by_label(run, product.version(dataset)) == {"neg": 40, "pos": 160}
    assert "strata" not in run.weighing


def test_balance_changes_no_membership(product):
    dataset = balanced(product)
    plain = product.version()
    assert product.version(dataset).content_hash == plain.content_hash


def test_a_balanced_run_is_built_again_though_the_task_declares_other_keys(product):
    dataset = balanced(product)
    run = product.train(dataset=dataset)
    declare(product, "locale")
    model = runs.ModelVersion.objects.select_related("run__task").get(run=run)
    assert run.weighing["strata"]
    assert runs.rebuild(model) == model.weights_hash


def test_the_cap_has_the_last_word(product):
    """One person says most there is of a rare label; balance does not lift the cap."""
    dataset = balanced(product)
    said_by(product, *["ann"] * 30, *(f"user {n}" for n in range(20)), label="neg")
    run = runs.request(product.task, dataset=dataset)
    version = product.version(dataset)
    rows = list(datasets.rows(version, split="train"))
    weights = run_weights.of_rows(run, version, rows)
    people = slices.facts_of(rows, []).people
    theirs = {who: 0.0 for who in people if who}
    for who, weight in zip(people, weights, strict=True):
        if who:
            theirs[who] += weight
    assert run.weighing["capped"] == 1
    share = theirs["ann"] / sum(theirs.values())
    assert share == pytest.approx(run.weighing["largest_share_capped"])
    assert share < run.weighing["largest_share"] / 2


def test_the_endpoint_answers_and_only_its_own_project(product):
    product.add_corpus()
    product.version()
    path = "/api/v1/datasets/mood-train/versions/1/bias/"

    def ask(project):
        key = create_key(project=project, name="asks", scope="manage", origins=[])
        return Client(headers={"Authorization": f"Bearer {key}"}).get(path)

    answer = ask(product.project)
    assert answer.status_code == 200, answer.content
    assert msgspec.json.decode(answer.content)["rows"]["total"] == 264
    assert ask(Product("stranger").project).status_code == 404


def test_the_page_says_it_in_words_and_in_plots(product, admin_client):
    product.add_corpus()
    served(product, *["neg"] * 60)
    version = product.version()
    answer = admin_client.get(page(version)).content.decode()
    answer = answer.split('id="content-main"')[1].split("</section>\n  <p")[0]
    assert "There is no champion to ask" in answer
    assert "neg is 50.0% of training and 100.0% of what was served" in answer
    plots = answer.count("<svg ")
    assert plots > 5
    assert answer.count('role="img" aria-label=') == plots
    assert "style=" not in answer


def test_what_is_undesired_is_no_answer_to_be_right_about(product):
    product.add_corpus()
    rollouts.promote(product.model())
    for text in held_out(2):
        processed(product.react(product.show(text, "neg"), "down"))
    thumbs = Dataset.objects.create(
        project=product.project, task=product.task, name="thumbs", purpose="unpaired"
    )
    version = product.version(thumbs)
    assert version.counts["splits"] == {"holdout": 2}
    said = balance.of_version(version)
    assert said["slices"]["says"].startswith("There is no champion to ask, or nothing held out")
    assert said["label_shift"]["labels"] == []


def test_the_page_of_a_version_whose_file_is_damaged(product, admin_client, settings):
    product.add_corpus()
    version = product.version()
    shard = Shard.objects.get().sha256
    Path(settings.STORAGE_URL, "shards", shard[:2], shard).write_bytes(b"rubbish")
    answer = admin_client.get(page(version))
    assert answer.status_code == 200
    assert b"cannot be read" in answer.content


def test_the_page_of_a_version_that_is_not_ready(product, admin_client):
    version = datasets.request_version(product.dataset)
    assert b"is building: there is nothing in it" in admin_client.get(page(version)).content


def test_the_page_is_for_who_may_see_versions(product, client, django_user_model):
    version = DatasetVersion.objects.get(pk=product.version().pk)
    client.force_login(django_user_model.objects.create_user("eve", is_staff=True))
    assert client.get(page(version)).status_code == 403
