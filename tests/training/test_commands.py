"""The commands of training, as a person or a CI runs them."""

import json

import pytest
from django.db import connection

from feedback.models import Example
from tests.commands import refused, run, succeed
from tests.training.builders import BAD, GOOD, Product, sentences, side_of
from training import archives, datasets, rollouts
from training.models import Dataset, DatasetVersion, ModelAlias, Rollout, Run

KNOWN = [text for text in sentences(GOOD[:5]) if side_of(text) == "train"]
KNOWN_BAD = [text for text in sentences(BAD[:5]) if side_of(text) == "train"]


@pytest.fixture
def champion(product):
    """Import the corpus and promote a first model."""
    product.add_corpus()
    model = product.model()
    rollouts.promote(model)
    return model


def test_it_works(product):
    product.add_corpus()
    assert "status: passed" in succeed("train", "mood")
    assert "passed  holdout" in succeed("gate", "mood", "--version", 1)
    assert succeed("rollout", "mood", 1) == "mood v1 now serves everybody.\n"
    assert "aliases: champion" in succeed("trace", "model", "mood", 1)
    assert succeed("rebuild", "model", "mood", 1).endswith("The hash is the same.\n")


def test_a_gate_asks_what_is_for_train(product, champion):
    thumbs = Dataset.objects.create(
        project=product.project, task=product.task, name="thumbs", purpose="unpaired"
    )
    held_out = product.task.examples.filter(split="holdout").first()
    product.approve(held_out.input, held_out.output)
    product.version(thumbs)
    assert "204 held-out cases" in succeed("gate", "mood", "--version", 1)


UNKNOWN = [
    (("train", "mood"), 1),
    (("rollout", "mood", 1), 1),
    (("gate", "mood", "--version", 1), 2),
    (("trace", "model", "mood", 1), 1),
    (("rebuild", "model", "mood", 1), 1),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("words", "status"), UNKNOWN, ids=str)
def test_an_unknown_task_is_named(words, status):
    assert "There is no task mood." in refused(*words, status=status)
    assert "There is no task mood in shop." in refused(*words, "--project", "shop", status=status)


@pytest.mark.django_db
@pytest.mark.parametrize("words", [("build_dataset", "soup"), ("rebuild", "dataset", "soup", 1)])
def test_an_unknown_dataset_is_named(words):
    assert refused(*words) == "There is no dataset soup."


def test_an_unknown_version_is_named(product):
    assert product.dataset.name == "mood-train"
    said = "The task mood has no model version 7."
    assert refused("trace", "model", "mood", 7) == said
    assert refused("rollout", "mood", 7) == said
    assert refused("rebuild", "model", "mood", 7) == said
    wanted = refused("rebuild", "dataset", "mood-train", 7)
    assert wanted == "The dataset mood-train has no version 7."


def test_two_projects_with_the_same_task_are_told_apart_by_project(product):
    other = Product("other")
    other.add(("good soup", "pos"))
    assert other.dataset.name == product.dataset.name
    sentence = refused("train", "mood")
    assert sentence == "Several projects have a task mood: choose one with --project."
    assert "Several projects" in refused("build_dataset", "mood-train")
    assert "total: 1" in succeed("build_dataset", "mood-train", "--project", "other")
    assert DatasetVersion.objects.get().dataset.project == other.project


# --- build_dataset and train --------------------------------------------------------------------


def test_build_dataset_builds_the_next_version(product):
    product.add(("good soup", "pos"), ("bad soup", "neg"))
    assert product.dataset.versions.count() == 0
    first = succeed("build_dataset", "mood-train")
    assert "version: 1\nstatus: ready\nparent: -\n" in first
    assert "parent: 1\n" in succeed("build_dataset", "mood-train")


def test_build_dataset_builds_those_before_it_first(product):
    waiting = datasets.request_version(product.dataset)
    succeed("build_dataset", "mood-train")
    waiting.refresh_from_db()
    assert waiting.status == "ready"


def test_a_version_that_kept_killing_its_worker_holds_up_no_later_one(product):
    version = datasets.request_version(product.dataset)
    DatasetVersion.objects.filter(pk=version.pk).update(attempts=3)
    succeed("build_dataset", "mood-train")
    version.refresh_from_db()
    assert (version.status, version.error) == ("failed", "api.worker_died")


def test_train_passes_on_its_seed(product):
    product.add_corpus()
    assert "seed: 5\n" in succeed("train", "mood", "--seed", 5)
    assert Run.objects.get().seed == 5


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_out_of_range_queues_nothing(product, seed):
    assert refused("train", "mood", "--seed", seed).startswith("A seed lies between")
    assert not Run.objects.exists()


def test_a_failed_run_says_why(product):
    product.add(("good soup", "pos"), split="train")
    sentence = refused("train", "mood")
    assert sentence.startswith("training.data_unfit: ")
    assert Run.objects.get().status == "failed"


# --- rollout ------------------------------------------------------------------------------------


def test_a_later_model_starts_as_canary(product, champion):
    second = product.model(seed=1)
    printed = succeed("rollout", "mood", second.version, "--share", 0.25)
    assert "stage: canary\nshare: 0.25\nchampion: 1\nchallenger: 2\n" in printed
    assert Rollout.objects.get().challenger == second
    assert ModelAlias.objects.get(name="champion").model_version == champion


def test_what_the_gates_did_not_pass_is_not_served(product):
    product.add_corpus()
    for example in Example.objects.filter(split="holdout"):
        example.output = "neg" if example.output == "pos" else "pos"
        example.save()
    assert product.train().status == "refused"
    assert refused("rollout", "mood", 1) == "The run of mood v1 is refused."


@pytest.mark.parametrize("share", [0, 0.6, -1, "nan"])
def test_a_share_that_no_canary_may_have_is_refused(product, share):
    product.register()
    assert refused("rollout", "mood", 1, f"--share={share}").startswith("The share of a canary")
    assert not Rollout.objects.exists()


# --- gate ---------------------------------------------------------------------------------------


@pytest.fixture
def judged(product, champion, tmp_path):
    """Build a version with golden cases; return its rows and the file of outside answers."""
    feedback = {text: product.approve(text, "pos") for text in KNOWN[:12]}
    rows = list(datasets.rows(product.version()))
    return rows, {text: str(row.uuid) for text, row in feedback.items()}, tmp_path / "outputs.jsonl"


def write(path, lines):
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def answers(rows, wrong=(), **more):
    return [
        {"input": row.input, "output": "neg" if row.input in wrong else row.output} | more
        for row in rows
    ]


def test_right_answers_from_elsewhere_pass(judged):
    rows, _, path = judged
    printed = succeed("gate", "mood", "--outputs", write(path, answers(rows, confidence=1.0)))
    assert printed.count("passed ") == 6
    assert "REFUSED" not in printed


def test_a_refusal_lists_each_feedback_that_regressed(judged):
    rows, feedback, path = judged
    write(path, answers(rows, wrong=feedback))
    status, printed, _ = run("gate", "mood", "--outputs", path)
    assert status == 3
    assert "REFUSED seen_cases" in printed
    listed = {line.split()[-1] for line in printed.splitlines() if "regressed: feedback" in line}
    assert listed == set(feedback.values())


def test_json_says_the_same_in_one_object(judged):
    rows, feedback, path = judged
    write(path, answers(rows, wrong=feedback))
    status, printed, _ = run("gate", "mood", "--outputs", path, "--json")
    document = json.loads(printed)
    assert (status, document["passed"]) == (3, False)
    gates = {gate["name"]: gate for gate in document["gates"]}
    assert set(gates["seen_cases"]["details"]["flips"]) == set(feedback.values())
    for gate in gates.values():
        assert set(gate) == {"name", "passed", "value", "threshold", "reason", "details"}
    write(path, answers(rows))
    passed = json.loads(succeed("gate", "mood", "--outputs", path, "--json"))
    assert passed["passed"]


def test_a_worse_version_is_refused(product, champion):
    for right, texts in (("neg", KNOWN[:8]), ("pos", KNOWN_BAD[:8])):
        for text in texts:
            product.correct(text, right, wrong="pos" if right == "neg" else "neg")
    settings = {"sources": ["feedback"]}
    upside_down = Dataset.objects.create(
        project=product.project, task=product.task, name="upside-down", settings=settings
    )
    assert product.train(dataset=upside_down).status == "refused"
    status, printed, _ = run("gate", "mood", "--version", 2)
    assert status == 3
    assert "REFUSED holdout" in printed
    assert succeed("gate", "mood", "--version", 1)  # it judges, and changes nothing
    assert ModelAlias.objects.get(name="champion").model_version == champion


def test_without_a_dataset_version_it_cannot_judge(product, tmp_path):
    path = write(tmp_path / "outputs.jsonl", [])
    sentence = refused("gate", "mood", "--outputs", path, status=2)
    assert sentence.startswith("Could not judge: The task has no dataset version yet")


def test_without_a_holdout_it_cannot_judge(product, tmp_path):
    product.add(("good soup", "pos"), split="train")
    product.version()
    path = write(tmp_path / "outputs.jsonl", [{"input": "good soup", "output": "pos"}])
    assert "no holdout yet" in refused("gate", "mood", "--outputs", path, status=2)


def test_an_unknown_version_cannot_be_judged(product):
    product.version()
    sentence = refused("gate", "mood", "--version", 7, status=2)
    assert sentence == "Could not judge: The task mood has no model version 7."


UNREADABLE = {
    "no JSON": "good",
    "a list": '["good soup", "pos"]',
    "a string": '"good soup"',
    "no output": '{"input": "good soup"}',
    "a confidence above 1": '{"input": "good soup", "output": "pos", "confidence": 7}',
    "a confidence in words": '{"input": "good soup", "output": "pos", "confidence": "high"}',
    "a confidence that is no number": '{"input": "good", "output": "pos", "confidence": NaN}',
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_is_not_lines_of_answers_cannot_be_judged(product, tmp_path, text):
    product.add(("good soup", "pos"), split="holdout")
    product.version()
    path = tmp_path / "outputs.jsonl"
    path.write_text(text)
    sentence = refused("gate", "mood", "--outputs", path, status=2)
    assert "is not lines of input and output" in sentence


def test_a_missing_file_or_answer_cannot_be_judged(product, tmp_path):
    product.add(("good soup", "pos"), ("bad soup", "neg"), split="holdout")
    product.version()
    path = tmp_path / "outputs.jsonl"
    assert "No such file" in refused("gate", "mood", "--outputs", path, status=2)
    write(path, [{"input": "good soup", "output": "pos"}])
    assert "no answer to 1 of 2 cases" in refused("gate", "mood", "--outputs", path, status=2)


def test_a_line_separator_in_a_text_ends_no_line(product, tmp_path):
    product.add(("good\u2028soup", "pos"), ("bad soup", "neg"), split="holdout")
    product.version()
    path = tmp_path / "outputs.jsonl"
    lines = [{"input": "good\u2028soup", "output": "pos"}, {"input": "bad soup", "output": "neg"}]
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines))
    succeed("gate", "mood", "--outputs", path)


# --- trace and rebuild --------------------------------------------------------------------------


def test_trace_feedback_shows_its_way_as_a_tree_or_as_json(product):
    feedback = product.correct(KNOWN[0])
    version = product.version()
    printed = succeed("trace", "feedback", feedback.uuid)
    assert printed.startswith(f"feedback: {feedback.uuid}\n")
    assert "\nexamples\n  - id: " in printed
    assert f"dataset_versions\n  - dataset: mood-train\n    version: {version.version}\n" in printed
    document = json.loads(succeed("trace", "feedback", feedback.uuid, "--json"))
    assert document["examples"][0]["output"] == "pos"
    assert document["dataset_versions"][0]["content_hash"] == version.content_hash


def test_trace_model_shows_what_it_learned_from(product, champion):
    printed = succeed("trace", "model", "mood", 1)
    assert printed.startswith("task: mood\nversion: 1\n")
    assert "\ndataset_version\n  dataset: mood-train\n" in printed
    assert "gates\n  - name: holdout\n    passed: True\n" in printed
    document = json.loads(succeed("trace", "model", "mood", 1, "--json"))
    assert document["weights_hash"] == champion.weights_hash
    assert document["aliases"] == ["champion"]


def test_trace_model_and_its_page_name_the_archive(product, champion, admin_client):
    archives.archive_next()
    part = champion.archives.get()
    printed = succeed("trace", "model", "mood", 1)
    assert f"archives\n  - part: 0\n    sha256: {part.sha256}\n" in printed
    page = admin_client.get(f"/admin/training/modelversion/{champion.pk}/change/")
    assert f"part 0: {part.sha256}" in page.content.decode()


def test_trace_of_an_unknown_feedback_says_so(product):
    unknown = "00000000-0000-4000-8000-000000000000"
    assert refused("trace", "feedback", unknown) == f"No feedback has the id {unknown}."
    feedback = product.correct(KNOWN[0])
    Product("other")
    assert "No feedback has" in refused("trace", "feedback", feedback.uuid, "--project", "other")
    assert "invalid UUID" in refused("trace", "feedback", "seven")


def test_rebuild_says_same(product, champion):
    for words in (("dataset", "mood-train", 1), ("model", "mood", 1)):
        recorded, rebuilt, verdict = succeed("rebuild", *words).splitlines()
        assert recorded.split()[1] == rebuilt.split()[1]
        assert verdict == "The hash is the same."


def test_rebuild_tells_a_changed_row(product, champion):
    """Nothing in the code can change an example; somebody with the database's password can."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE feedback_example SET output = '\"neg\"' WHERE id ="
            " (SELECT min(id) FROM feedback_example WHERE split = 'train')"
        )
        assert cursor.rowcount == 1
    for words in (("dataset", "mood-train", 1), ("model", "mood", 1)):
        assert refused("rebuild", *words) == "The hash is not the same."


def test_rebuild_of_a_version_that_is_not_ready_says_so(product):
    datasets.request_version(product.dataset)
    assert refused("rebuild", "dataset", "mood-train", 1) == "mood-train v1 is building."
