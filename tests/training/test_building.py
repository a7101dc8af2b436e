"""A version is built by what changed, and is what it would be if all were looked at again."""

import random
from contextlib import contextmanager
from itertools import islice

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from feedback import review
from feedback.models import Contributor, Example, Feedback
from privacy import consent
from tests.training.builders import (
    Product,
    built,
    erasing,
    inputs,
    processed,
    shown_days_ago,
    texts_of,
)
from training import checking, datasets
from training.datasets import building
from training.models import AnswerToCheck, Dataset, DatasetVersion, LeftOut, Membership
from training.near import question

SENTENCE = "the waiter forgot our soup twice, and the bread was cold"
TRAIN, OTHER, THIRD = islice(texts_of("train"), 3)
HELD_OUT = next(texts_of("holdout"))
TEXTS = [SENTENCE, f"{SENTENCE}!", f"{SENTENCE} already", TRAIN, OTHER, HELD_OUT]
PEOPLE = ["ann", "ben", "cat"]


@contextmanager
def held_open(statement, *parameters):
    """Change something in another session, which commits only after the block."""
    names = ("dbname", "user", "password", "host", "port")
    known = connection.get_connection_params()
    with psycopg.connect(**{name: known[name] for name in names if name in known}) as other:
        other.execute(statement, parameters)
        yield


class Acts:
    """Whatever may change what a dataset takes, at random."""

    def __init__(self, product, seed):
        self.product = product
        self.random = random.Random(seed)
        self.kinds = [
            *(self.add, self.correct, self.approve, self.vote_down, self.act_again, self.consent),
            *(self.fall_silent, self.set_standing, self.review, self.supersede, self.change_labels),
            *(self.draw, self.draw, self.check, self.undo, self.let_go),
        ]

    def one(self):
        self.random.choice(self.kinds)()

    def text(self):
        return self.random.choice(TEXTS)

    def person(self):
        return self.random.choice(PEOPLE)

    def any_of(self, rows):
        return rows.order_by("?").first() if rows.exists() else None

    def add(self):
        label, split = self.random.choice(["neg", "pos"]), self.random.choice(["train", "holdout"])
        self.product.add((self.text(), label), split=split)

    def correct(self):
        key = self.random.choice([None, None, self.product.new_key("capture")])
        processed(self.product.react(self.shown(), "correction", "pos", self.person(), key))

    def shown(self):
        return self.product.show(f"{self.text()} {self.random.randrange(3)}", user=self.person())

    def approve(self):
        signal = self.random.choice(["up", "accepted"])
        processed(self.product.react(self.shown(), signal, user=self.person()))

    def vote_down(self):
        self.product.react(self.shown(), "down", user=self.person())

    def act_again(self):
        earlier = Feedback.objects.order_by("pk").last()
        if earlier is not None:
            self.product.react(earlier.inference, self.random.choice(["up", "down"]), user="ann")
            processed(earlier)

    def consent(self):
        consent.decide(
            project=self.product.project,
            user_id=self.person(),
            purpose="training",
            is_granted=self.random.random() < 0.5,
        )

    def fall_silent(self):
        shown_days_ago(self.shown())

    def set_standing(self):
        standing = self.random.choice(["probation", "quarantined"])
        person = {"task": self.product.task, "user_id": self.person()}
        Contributor.objects.update_or_create(**person, defaults={"standing": standing})

    def review(self):
        rows = Feedback.objects.exclude(status__in=["pending", "failed"])
        row = rows.order_by("pk")[self.random.randrange(rows.count())] if rows else None
        if row is not None and self.random.random() < 0.5:
            review.reject(row, by="mia", reason="wrong")
        elif row is not None:
            review.accept(row, by="mia")
            processed(row)

    def supersede(self):
        newest = Example.objects.filter(superseded_at=None).order_by("-pk")[:1].values("pk")
        Example.objects.filter(pk__in=newest).update(superseded_at=timezone.now())

    def draw(self):
        shown = self.product.show(self.random.choice(TEXTS), user=self.person())
        AnswerToCheck.objects.create(
            task=self.product.task, inference=shown_days_ago(shown), is_random=True
        )

    def check(self):
        check = self.any_of(AnswerToCheck.objects.waiting())
        if check is not None:
            audit = checking.answer(check, by="mia", signal=self.random.choice(["up", "down"]))
            Feedback.objects.filter(pk=audit.pk).update(ready_at=timezone.now())
            if self.random.random() < 0.5:
                processed(audit)

    def undo(self):
        check = self.any_of(AnswerToCheck.objects.filter(feedback__status="pending"))
        if check is not None:
            checking.undo(check, by="mia")

    def let_go(self):
        AnswerToCheck.objects.filter(status="open").update(status="gone")

    def change_labels(self):
        task = self.product.task
        task.labels = ["neg", "pos"] if "so-so" in task.labels else ["neg", "pos", "so-so"]
        task.save()


def looked_at_again(dataset):
    """Build another dataset of the same kind, which has nothing to build upon."""
    return Dataset.objects.create(
        project=dataset.project,
        task=dataset.task,
        purpose=dataset.purpose,
        settings=dataset.settings,
        name=f"fresh-{Dataset.objects.count()}",
    )


def says(version):
    """Return all that a version says of what is in it and what is not."""
    left_out = LeftOut.objects.of_version(version).values_list("example", "reason")
    members = Membership.objects.of_version(version).values_list("example", "split")
    counts = {k: v for k, v in version.counts.items() if k not in {"added", "removed"}}
    source = {k: v for k, v in version.feedback_source.items() if k.startswith("by_")}
    return version.content_hash, counts, source, set(left_out), set(members)


SEEDS = [("train", 0), ("train", 1), ("train", 2), ("preference", 3), ("eval", 4), ("unpaired", 5)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("purpose", "seed"), SEEDS)
def test_what_changed_makes_the_same_version_as_all(purpose, seed):
    product = Product(settings={"silence_weight": 0.5})
    dataset = Dataset.objects.create(
        project=product.project, task=product.task, purpose=purpose, name="mine"
    )
    acts = Acts(product, seed)
    for _ in range(6):
        for _ in range(acts.random.randrange(1, 5)):
            acts.one()
        version = product.version(dataset)
        assert says(version) == says(product.version(looked_at_again(dataset)))
        assert datasets.rebuild(version) == version.content_hash


STATEMENTS = {
    "status": "UPDATE feedback SET status = 'flagged' WHERE status = 'processed'",
    "who": "UPDATE feedback SET user_id = NULL",
    "vouched": "UPDATE feedback SET is_verified = false",
    "review": "UPDATE feedback_review SET decision = 'escalate'",
    "standing": "UPDATE feedback_contributor SET standing = 'quarantined'",
    "superseded": "UPDATE feedback_example SET superseded_at = now()",
    "consent": "UPDATE privacy_consent SET is_granted = false",
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", STATEMENTS.keys() - {"consent"})
def test_what_another_session_commits_after_a_build_is_in_the_next(name):
    product = Product()
    product.correct(TRAIN)
    review.accept(processed(product.correct(OTHER, user="ben")), by="mia")
    processed(Feedback.objects.last())
    Contributor.objects.create(task=product.task, user_id="ann")
    Feedback.objects.filter(review=None).update(is_verified=name != "review")
    with held_open(STATEMENTS[name]):
        product.version()
    version = product.version()
    assert says(version) == says(product.version(looked_at_again(product.dataset)))


@pytest.mark.django_db(transaction=True)
def test_what_the_slice_takes_and_lets_go_changes_the_next_version():
    product = Product()
    product.add((TRAIN, "pos"), (OTHER, "pos"))
    shown = shown_days_ago(product.show(TRAIN))
    assert inputs(product.version()) == [TRAIN, OTHER]
    check = AnswerToCheck.objects.create(task=product.task, inference=shown, is_random=True)
    assert inputs(product.version()) == [OTHER]
    checking.answer(check, by="mia", signal="down")
    checking.undo(check, by="mia")
    assert inputs(product.version()) == [OTHER]
    AnswerToCheck.objects.update(status="gone")
    assert inputs(product.version()) == [TRAIN, OTHER]


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_acts_of_one_person_leave_the_latest():
    product = Product()
    shown = product.show(TRAIN, "neg")
    first, second = product.react(shown, "up"), product.react(shown, "correction", "pos")
    processed(first)
    Feedback.objects.filter(pk=second.pk).update(status="processed")
    product.version()
    assert second.pk > first.pk
    version = product.version()
    assert says(version) == says(product.version(looked_at_again(product.dataset)))


@pytest.mark.django_db(transaction=True)
def test_who_withdraws_while_a_version_is_built_is_not_in_it(monkeypatch):
    product = Product()
    product.correct(TRAIN)
    product.correct(OTHER, user="ben")
    consent.decide(project=product.project, user_id="ann", purpose="training", is_granted=True)
    advance = building._advance

    def withdrawn_after(*args, since):
        has_changed = advance(*args, since=since)
        if since is None:
            with held_open(STATEMENTS["consent"]):
                pass
        return has_changed

    monkeypatch.setattr(building, "_advance", withdrawn_after)
    version = product.version()
    assert inputs(version) == [OTHER]
    assert version.counts["left_out"] == {"consent_withdrawn": 1}


@pytest.mark.django_db(transaction=True)
def test_what_was_touched_and_stays_is_not_summed_again(monkeypatch):
    """Who withdraws consent would wait for it."""
    product = Product()
    review.accept(product.correct(TRAIN), by="mia")
    processed(Feedback.objects.get())
    Contributor.objects.create(task=product.task, user_id="ann")
    advance, identify, looks, sums = building._advance, building._identify, [], []

    def quarantined_after(*args, since):
        looks.append(advance(*args, since=since))
        if since is None:
            with held_open(STATEMENTS["standing"]):
                pass
        return looks[-1]

    monkeypatch.setattr(building, "_advance", quarantined_after)
    monkeypatch.setattr(building, "_identify", lambda *args: sums.append(identify(*args)))
    assert inputs(product.version()) == [TRAIN]
    assert (looks, len(sums)) == ([True, False], 1)


def test_a_version_of_other_rules_is_built_of_all_rows(product):
    product.correct(TRAIN)
    product.version()
    Example.objects.update(touched=0)
    product.task.labels = ["neg", "so-so"]
    product.task.save()
    assert product.version().counts["left_out"] == {"label_gone": 1}


def test_a_row_that_nothing_touched_is_not_looked_at(product):
    product.add((TRAIN, "pos"))
    first = product.version()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # no trigger fires
        cursor.execute("UPDATE feedback_example SET superseded_at = now(), touched = 0")
        cursor.execute("SET LOCAL session_replication_role = origin")
    assert product.version().content_hash == first.content_hash


def test_an_old_copy_of_a_row_does_not_hide_that_it_was_touched(product):
    copy = product.correct(TRAIN)
    product.version()
    Feedback.objects.filter(pk=copy.pk).update(is_verified=False)
    is_verified_now = Feedback.objects.get(pk=copy.pk)
    is_verified_now.touched = copy.touched
    is_verified_now.save()
    assert inputs(product.version()) == []


def test_another_database_says_nothing_of_this_ones_transactions(product):
    product.add((TRAIN, "pos"))
    version = product.version()
    version.cluster = 1
    version.seen_to = 2**62
    version.save()
    product.add((OTHER, "pos"))
    assert inputs(product.version()) == [TRAIN, OTHER]


def test_a_new_row_of_the_holdout_takes_all_that_is_like_it_from_the_train_side(product):
    alike = [f"{SENTENCE} on day {n}" for n in range(40)]
    product.add(*((text, "neg") for text in alike), split="train")
    assert len(inputs(product.version())) == 40
    product.add((SENTENCE, "neg"), split="holdout")
    version = product.version()
    assert inputs(version) == [SENTENCE]
    assert version.counts["left_out"] == {"near_holdout": 40}


@pytest.mark.parametrize("is_lost", [True, False])
def test_files_of_what_is_alike_may_be_lost(product, settings, tmp_path, is_lost):
    product.add((SENTENCE, "neg"), split="train")
    product.version()
    if is_lost:
        settings.DATA_DIR = tmp_path
    product.add((f"{SENTENCE}!", "neg"), split="holdout")
    assert inputs(product.version()) == [f"{SENTENCE}!"]


def test_two_machines_may_build_in_turn(product, settings, tmp_path):
    own, other = settings.DATA_DIR, tmp_path
    product.add((TRAIN, "neg"), split="train")
    product.version()
    settings.DATA_DIR = other
    product.add((SENTENCE, "neg"), split="train")
    product.version()
    settings.DATA_DIR = own
    product.add((f"{SENTENCE}!", "neg"), split="holdout")
    assert inputs(product.version(), split="train") == [TRAIN]


def test_files_of_a_build_that_died_are_not_believed(product, settings, tmp_path):
    own, other = settings.DATA_DIR, tmp_path
    product.add((TRAIN, "neg"), split="train")
    product.version()
    requested = datasets.request_version(product.dataset)
    with pytest.MonkeyPatch.context() as patch:  # this machine dies when its files are written
        patch.setattr(building, "_identify", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            datasets.build_next()
    settings.DATA_DIR = other
    DatasetVersion.objects.update(lease_until=None)
    product.add((SENTENCE, "neg"), split="train")
    built(requested)
    settings.DATA_DIR = own
    product.add((f"{SENTENCE}!", "neg"), split="holdout")
    assert inputs(product.version(), split="train") == [TRAIN]


def test_too_many_alike_to_compare_is_said_of_a_version(product, monkeypatch):
    product.add((SENTENCE, "neg"), split="holdout")
    product.add((f"{SENTENCE} already", "neg"), (f"{SENTENCE}!", "neg"), split="train")
    assert product.version().is_compared
    monkeypatch.setattr(question, "CROWD_PAIRS", 0)
    monkeypatch.setattr(question, "MOST_PAIRS", 0)
    monkeypatch.setattr(question, "LEADING_ROWS", 0)
    version = product.version(looked_at_again(product.dataset))
    assert not version.is_compared
    assert inputs(version, split="train") == [f"{SENTENCE} already"]
    assert version.counts["left_out"] == {"near_holdout": 1}


def test_counts_of_a_whole_build_are_of_what_is_there(product):
    product.add((TRAIN, "neg"), (OTHER, "pos"))
    product.version()
    with erasing():
        Example.objects.filter(input=TRAIN).delete()
    product.task.labels = ["neg", "pos", "so-so"]
    product.task.save()
    version = product.version()
    assert (version.counts["total"], version.counts["labels"]) == (1, {"pos": 1})
    assert datasets.rebuild(version) == version.content_hash


STOLEN = """
    INSERT INTO training_membership (dataset_id, example_id, row_hash, split, since_version)
    SELECT %s, id, 'x', 'train', 1 FROM feedback_example"""


@pytest.mark.parametrize("who", ["ann", "ben"])
def test_no_statement_takes_a_row_of_who_opted_out(product, who):
    shown = product.show(TRAIN, user="ann")
    processed(product.react(shown, "correction", "pos", user="ben"))
    consent.decide(project=product.project, user_id=who, purpose="training", is_granted=False)
    refuses_to_take(product)


def test_no_statement_takes_the_silence_of_who_opted_out(product):
    shown = product.show(TRAIN, user="ann")
    Example.objects.create(
        task=product.task,
        inference=shown,
        source="silence",
        split="train",
        input=TRAIN,
        output="pos",
        input_hash=b"",
        base_weight=1,
    )
    consent.decide(project=product.project, user_id="ann", purpose="training", is_granted=False)
    refuses_to_take(product)


def test_no_statement_takes_a_row_of_who_has_not_opted_in(product):
    product.correct(TRAIN)
    product.project.consent_default = "withheld"
    product.project.save()
    refuses_to_take(product)


def refuses_to_take(product):
    refused = pytest.raises(IntegrityError, match="does not permit")
    with connection.cursor() as cursor, refused, transaction.atomic():
        cursor.execute(STOLEN, [product.dataset.pk])


@pytest.mark.parametrize(
    "change", ["example_id = example_id + 1", "until_version = NULL", "split = 'holdout'"]
)
def test_no_statement_changes_what_a_membership_says(product, change):
    product.correct(TRAIN)
    product.version()
    Membership.objects.update(until_version=9)
    refused = pytest.raises(IntegrityError, match="only ends")
    with connection.cursor() as cursor, refused, transaction.atomic():
        cursor.execute(f"UPDATE training_membership SET {change}")  # noqa: S608


def test_a_time_may_part_the_sides(product):
    product.add((TRAIN, "pos"))
    Example.objects.update(created_at="2026-01-01T00:00:00Z")
    product.add((OTHER, "pos"), (SENTENCE, "pos"), split="train")
    settings = {"holdout_from": "2026-06-01T18:00:00+18:00"}
    dataset = Dataset.objects.create(
        project=product.project, task=product.task, settings=settings, name="by-time"
    )
    version = product.version(dataset)
    assert inputs(version, split="train") == [TRAIN]
    assert inputs(version, split="holdout") == sorted([OTHER, SENTENCE])


def test_by_time_too_the_holdout_wins(product):
    product.add((TRAIN, "pos"))
    Example.objects.update(created_at="2026-01-01T00:00:00Z")
    product.add((TRAIN, "neg"))
    dataset = Dataset.objects.create(
        project=product.project,
        task=product.task,
        settings={"holdout_from": "2026-06-01T00:00:00Z"},
        name="by-time",
    )
    version = product.version(dataset)
    assert inputs(version, split="train") == []
    assert version.counts["left_out"] == {"in_holdout": 1}
