"""Which examples a version takes."""

from itertools import count, islice
from uuid import uuid4

import pytest
from django.utils import timezone

from feedback import review
from feedback.models import Example, Feedback, Image
from feedback.normalise import content_hash
from privacy import consent
from tests.training.builders import Product, inputs, processed, shown_days_ago, side_of, texts_of
from training import datasets, run_weights
from training.audit import audit
from training.models import Dataset, LeftOut

SENTENCE = "the waiter forgot our soup twice, and the bread was cold"
TRAIN, OTHER, THIRD = islice(texts_of("train"), 3)
HELD_OUT = next(texts_of("holdout"))


def test_it_works(product):
    product.add((TRAIN, "pos"))
    product.correct(OTHER)
    assert inputs(product.version()) == [TRAIN, OTHER]


def test_an_input_of_the_holdout_is_never_trained_on(product):
    product.add((TRAIN.upper(), "neg"), split="holdout")
    product.add((TRAIN, "pos"), (OTHER, "neg"), split="train")
    version = product.version()
    assert inputs(version, split="train") == [OTHER]
    assert version.counts["splits"] == {"holdout": 2, "train": 1}


def test_no_case_ever_moves(product):
    product.add((TRAIN, "pos"), split="train")
    product.add((TRAIN, "neg"), split="holdout")
    version = product.version()
    assert inputs(version, split="train") == [TRAIN, TRAIN]
    assert version.counts["splits"] == {"train": 2}


def test_rows_on_both_sides_by_raw_sql_are_not_trained_on(product):
    product.add((TRAIN, "pos"), (OTHER, "neg"), split="train")
    product.add((OTHER, "pos"), split="train")
    Example.objects.filter(input=OTHER, output="pos").update(split="holdout")
    version = product.version()
    assert inputs(version, split="train") == [TRAIN]
    assert version.counts["left_out"] == {"in_holdout": 1}


def test_what_is_like_a_row_of_the_holdout_is_not_trained_on(product):
    product.add((SENTENCE, "neg"), split="holdout")
    product.add((f"{SENTENCE} already!", "pos"), (TRAIN, "pos"), split="train")
    version = product.version()
    assert inputs(version, split="train") == [TRAIN]
    assert inputs(version, split="holdout") == [SENTENCE]
    assert version.counts["left_out"] == {"near_holdout": 1}
    assert datasets.rebuild(version) == version.content_hash


def test_what_is_left_out_is_listed_with_the_nearest_of_the_holdout(product):
    product.add((SENTENCE, "neg"), (HELD_OUT, "pos"), split="holdout")
    product.add((TRAIN, "pos"), (f"{SENTENCE}!", "neg"), split="train")
    product.version()
    (row,) = LeftOut.objects.of_version(product.version())
    assert row.example.input == f"{SENTENCE}!"
    assert (row.holdout_example.input, row.similarity) == (SENTENCE, 1.0)


def test_named_texts_are_compared_as_the_model_reads_them(product):
    product.add(({"title": "soup", "text": SENTENCE}, "neg"), split="holdout")
    product.add(({"b": SENTENCE.upper(), "c": "soup?"}, "neg"), split="train")
    assert product.version().counts["left_out"] == {"near_holdout": 1}


def test_a_row_that_is_like_one_of_the_train_side_stays(product):
    product.add((SENTENCE, "neg"), (f"{SENTENCE}!", "neg"), split="train")
    assert product.version().counts["left_out"] == {}


@pytest.mark.parametrize("purpose", ["preference", "unpaired"])
def test_what_is_held_out_is_so_in_a_dataset_that_never_takes_it(product, purpose):
    """Starting data are neither a pair nor a thumb."""
    dataset = Dataset.objects.create(
        project=product.project, task=product.task, purpose=purpose, name="other"
    )
    alike = next(text for n in count() if side_of(text := f"{SENTENCE} {n}") == "train")
    for text in (alike, OTHER):
        product.correct(text)
        product.approve(text, user="ben")
    assert inputs(product.version(dataset)) == sorted([alike, OTHER])
    product.add((f"{SENTENCE}!", "pos"), split="holdout")
    second = product.version(dataset)
    assert (inputs(second), second.counts["left_out"]) == ([OTHER], {"near_holdout": 1})
    Example.objects.filter(source="import").update(superseded_at=timezone.now())
    assert inputs(product.version(dataset)) == sorted([alike, OTHER])
    assert all(audit(version).found == {} for version in dataset.versions.all())


def test_a_train_row_comes_back_when_its_like_has_left_the_holdout(product):
    product.add((SENTENCE, "neg"), split="holdout")
    product.add((f"{SENTENCE}!", "neg"), split="train")
    product.version()
    Example.objects.filter(split="holdout").update(superseded_at=timezone.now())
    version = product.version()
    assert inputs(version) == [f"{SENTENCE}!"]
    assert not LeftOut.objects.of_version(version)


def put(product, split, *pairs):
    """Store examples of any modality on one side of the split."""
    Example.objects.bulk_create(
        Example(
            task=product.task,
            source="import",
            input=value,
            output=output,
            input_hash=content_hash(value),
            base_weight=1,
            split=split,
        )
        for value, output in pairs
    )


def page_of(number, *bbox):
    value = {"page": {"width": 1000, "height": 2000}, "number": number}
    return value, {"boxes": [{"id": "a", "label": "panel", "bbox": list(bbox)}]}


@pytest.mark.django_db
def test_layouts_that_are_the_same_but_for_rounding_are_alike():
    product = Product(modality="layout", labels=["panel"])
    put(product, "holdout", page_of(1, 100, 200, 500, 600))
    put(product, "train", page_of(2, 101, 203, 498, 602), page_of(3, 100, 200, 500, 700))
    version = product.version()
    assert [value["number"] for value in inputs_of(version, "train")] == [3]
    assert version.counts["labels"] == {}
    assert version.counts["left_out"] == {"near_holdout": 1}


@pytest.mark.django_db
def test_images_are_alike_by_their_prompts_or_by_their_looks():
    product = Product(modality="image", labels=[])
    hashes = [0, 0b111111, 0b1111111, -1]
    ids = [*(image(product, value) for value in hashes), str(uuid4())]  # the last is unknown
    prompts = ["a red fox", "an otter", "the sea at night", "A red fox!", "a lighthouse"]
    (held_out, *rest) = [({"prompt": p}, {"image": i}) for p, i in zip(prompts, ids, strict=True)]
    put(product, "holdout", held_out)
    put(product, "train", *rest)
    version = product.version()
    assert {value["prompt"] for value in inputs_of(version, "train")} == {prompts[2], prompts[4]}
    left_out = LeftOut.objects.of_version(version).order_by("example__pk")
    assert [row.example.input["prompt"] for row in left_out] == [prompts[1], prompts[3]]


@pytest.mark.django_db
def test_a_picture_is_the_same_in_every_project():
    def says(slug, digest):
        product = Product(slug, modality="image", labels=[])
        put(product, "train", ({"prompt": "a fox"}, {"image": image(product, 0, digest)}))
        version = product.version()
        assert datasets.rebuild(version) == version.content_hash
        return version.content_hash

    assert says("one", "a" * 64) == says("another", "a" * 64) != says("third", "b" * 64)


def inputs_of(version, split):
    return [row.input for row in datasets.rows(version, split=split)]


def image(product, difference_hash, digest="0" * 64):
    stored = Image.objects.create(
        project=product.project,
        is_verified=True,
        sha256=digest,
        width=8,
        height=8,
        difference_hash=difference_hash,
    )
    return str(stored.uuid)


def test_whose_training_consent_is_withdrawn_is_left_out(product):
    product.correct(TRAIN, user="ann")
    product.correct(OTHER, user="ben")
    before = product.version()
    consent.decide(project=product.project, user_id="ann", purpose="training", is_granted=False)
    after = product.version()
    assert inputs(after) == [OTHER]
    assert inputs(before) == [OTHER]
    assert after.counts["left_out"] == {"consent_withdrawn": 1}
    assert datasets.rebuild(before) == before.content_hash


def test_who_grants_again_is_taken_again(product):
    product.correct(TRAIN)
    first = product.version()
    for is_granted in (False, True):
        consent.decide(
            project=product.project, user_id="ann", purpose="training", is_granted=is_granted
        )
        last = product.version()
    assert last.content_hash == first.content_hash
    assert inputs(last) == [TRAIN]


def test_a_project_may_withhold_by_default(product):
    product.correct(TRAIN)
    product.project.consent_default = "withheld"
    product.project.save()
    assert inputs(product.version()) == []


def test_the_unverified_wait_for_a_moderator(product):
    feedback = product.correct(TRAIN, key=product.new_key("capture"))
    assert feedback.status == "processed"
    before = product.version()
    Feedback.objects.filter(pk=feedback.pk).update(status="flagged")
    feedback.refresh_from_db()
    review.accept(feedback, by="mia")
    processed(feedback)
    assert inputs(before) == []
    assert before.counts["left_out"] == {"unverified": 1}
    assert inputs(product.version()) == [TRAIN]


def test_the_latest_explicit_act_of_a_person_counts(product):
    shown = product.show(TRAIN, "neg")
    processed(product.react(shown, "up"))
    assert [row.output for row in datasets.rows(product.version())] == ["neg"]
    processed(product.react(shown, "correction", "pos"))
    processed(product.react(shown, "accepted"))
    assert [row.output for row in datasets.rows(product.version())] == ["pos"]


def test_acts_of_two_people_both_count(product):
    shown = product.show(TRAIN, "neg")
    processed(product.react(shown, "up", user="ann"))
    processed(product.react(shown, "accepted", user="ben"))
    assert [row.signal for row in datasets.rows(product.version())] in (
        ["up", "accepted"],
        ["accepted", "up"],
    )


def test_what_a_moderator_overturned_is_left_out(product):
    feedback = product.correct(TRAIN)
    before = product.version()
    review.reject(feedback, by="mia", reason="it was right")
    assert inputs(before) == [TRAIN]
    assert inputs(product.version()) == []


def test_a_moderators_own_correction_replaces_the_example(product):
    product.task.labels = ["neg", "pos", "so-so"]
    product.task.save()
    feedback = product.correct(TRAIN)
    product.version()
    review.accept(feedback, by="mia", corrected="so-so")
    processed(feedback)
    assert [row.output for row in datasets.rows(product.version())] == ["so-so"]


def silent(weight):
    product = Product(settings={"silence_weight": weight})
    shown_days_ago(product.show(TRAIN))
    return product


@pytest.mark.django_db
def test_silence_counts_by_its_weight():
    product = silent(0.25)
    product.add_corpus()
    run = product.train()
    (row,) = [row for row in datasets.rows(run.dataset_version) if row.source == "silence"]
    assert (row.weight, row.output) == (1.0, "neg")
    weights = run_weights.of_rows(run, run.dataset_version, [row])
    assert (weights.tolist(), run.weighing["silence"]) == ([0.25], 0.25)


@pytest.mark.django_db
def test_silence_without_weight_says_nothing():
    assert inputs(silent(0).version()) == []


@pytest.mark.django_db
def test_silence_that_is_switched_off_leaves_the_next_version():
    product = silent(0.25)
    assert inputs(product.version()) == [TRAIN]
    product.task.settings = {"silence_weight": 0}
    product.task.save()
    assert inputs(product.version()) == []


@pytest.mark.django_db
def test_a_reaction_breaks_silence():
    product = silent(0.25)
    product.version()
    processed(product.react(Example.objects.get().inference, "correction", "pos"))
    version = product.version()
    assert [row.source for row in datasets.rows(version)] == ["feedback"]
    assert version.counts["left_out"] == {}


@pytest.mark.django_db
def test_an_answer_just_shown_is_not_silence_yet():
    product = Product(settings={"silence_weight": 0.25})
    product.show(TRAIN)
    assert inputs(product.version()) == []


@pytest.mark.django_db
def test_silence_is_no_proof_and_never_held_out():
    product = Product(settings={"silence_weight": 0.25})
    shown_days_ago(product.show(HELD_OUT))
    version = product.version()
    assert inputs(version) == []
    assert version.counts["left_out"] == {"silent_holdout": 1}


@pytest.mark.django_db
def test_silence_of_who_withdrew_is_left_out():
    product = silent(0.25)
    consent.decide(project=product.project, user_id="ann", purpose="training", is_granted=False)
    assert inputs(product.version()) == []


def dataset_with(product, **settings):
    return Dataset.objects.create(
        project=product.project, task=product.task, name="special", settings=settings
    )


def test_sources_choose_the_train_side_only(product):
    product.add((TRAIN, "pos"), split="train")
    product.add((THIRD, "pos"), split="holdout")
    product.correct(OTHER)
    version = product.version(dataset_with(product, sources=["feedback"]))
    assert inputs(version, split="train") == [OTHER]
    assert inputs(version, split="holdout") == [THIRD]
    assert version.counts["left_out"] == {"not_in_dataset": 1}


def test_signals_choose_among_feedback_only(product):
    product.add((TRAIN, "pos"), split="train")
    product.approve(THIRD)
    product.correct(OTHER)
    version = product.version(dataset_with(product, signals=["correction"]))
    assert inputs(version) == sorted([TRAIN, OTHER])


def test_another_projects_examples_are_not_taken(product):
    Product("rival").correct(TRAIN)
    assert inputs(product.version()) == []
