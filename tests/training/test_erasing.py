"""A person leaves: versions, models and files are as if that person had never been there."""

import os
import threading
import time
from datetime import timedelta
from itertools import count, islice
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from config import leases, storage
from config.errors import FileMissing, LeaseLost, WorkerDied
from feedback import erasing as feedback_erasing
from feedback.models import Contributor, Example, Feedback, Inference
from feedback.processing import examples as silence
from privacy import consent, erasure, retention, subjects, verifying
from privacy.errors import NotErased
from privacy.models import Consent, ErasureRequest
from tests.commands import run
from tests.training.builders import GOOD, Product, erasing, processed, side_of, texts_of
from training import (
    archives,
    datasets,
    gates,
    holdings,
    lineage,
    orphans,
    rollouts,
    runs,
    slices,
    tasks,
)
from training.erasing import examples, expire, proven, retraining
from training.errors import NoModel, NothingToRollBack, Withdrawn
from training.models import (
    Archive,
    Dataset,
    DatasetVersion,
    GateResult,
    LeftOut,
    Membership,
    ModelAlias,
    ModelCredit,
    ModelErasure,
    ModelVersion,
    Prediction,
    Run,
    Shard,
    VersionErasure,
)
from training.rollouts import Plan
from training.serializers import model_document, version_document

LONG = "the waiter forgot our soup twice and the bread was cold before we began to eat {}"


@pytest.fixture(autouse=True)
def _gates_let_pass(monkeypatch):
    """Let whatever was trained serve: gates have tests of their own."""
    monkeypatch.setattr(rollouts, "_require_passed", lambda _model: None)


def asked_for(product, user="eve"):
    return erasure.request(project=product.project, user_id=user, by="mia")


def carry_out(request, *names):
    """Do what training does of an erasure, or some steps of it."""
    for step in holdings.HOLDINGS.steps:
        if not names or step.name in names:
            erasure._perform(step, request)
    return request


def erased(product, user="eve"):
    """Erase a person from training, and from what training is made of."""
    request = carry_out(asked_for(product, user))
    with erasing():
        Feedback.objects.filter(project=product.project, user_id=user).delete()
        Contributor.objects.filter(task=product.task, user_id=user).delete()
    return request


def variant(side, skip=0):
    """Return a long sentence of that side of the split; all are nearly the same."""
    return next(
        islice((text for n in count() if side_of(text := LONG.format(n)) == side), skip, None)
    )


def say(product, user, number, *, start=0):
    """Let a person correct answers, each about something else."""
    for n, text in enumerate(islice(texts_of("train"), start, start + number)):
        labels = ("pos", "neg") if n % 2 else ("neg", "pos")
        product.correct(f"{text} {GOOD[n % 6]}", *labels, user)


def world(slug, *, has_eve=True, **task):
    """Make a product that people correct; without her it is as if eve had never been there."""
    product = Product(slug, **task)
    product.add_corpus()
    say(product, "ann", 8)
    if has_eve:
        say(product, "eve", 12, start=4)
    say(product, "ben", 5, start=20)
    return product


def champion(product, **options):
    model = product.train(**options).model_version
    rollouts.promote(model)
    return model


def serving_hash(product):
    return gates.champion_of(product.task).weights_hash


def is_there(digest, folder="artifacts"):
    try:
        storage.get(digest, folder)
    except FileMissing:
        return False
    return True


@pytest.mark.django_db
def test_it_works():
    ours, theirs = world("ours"), world("theirs", has_eve=False)
    old, other = champion(ours), champion(theirs)
    assert old.weights_hash != other.weights_hash
    request = erased(ours)
    assert serving_hash(ours) == other.weights_hash
    assert not is_there(old.weights_hash)
    old.refresh_from_db()
    assert old.withdrawn_at is not None
    version = old.run.dataset_version
    assert proven(request) == {
        "versions": [
            {
                "dataset": "mood-train",
                "version": 1,
                "rows": 12,
                "content_hash": version.content_hash,
                "current_hash": datasets.rebuild(version),
            }
        ],
        "models": [
            {
                "task": "mood",
                "version": 1,
                "weights_hash": old.weights_hash,
                "fate": "replaced",
                "method": "exact",
                "replacement": {"version": 2, "weights_hash": other.weights_hash},
            }
        ],
    }


def both(act, **task):
    """Make two products, act in one with eve and in the other without; return both."""
    found = []
    for slug, has_eve in (("ours", True), ("theirs", False)):
        product = world(slug, has_eve=has_eve, **task)
        act(product, has_eve=has_eve)
        found.append(product)
    return found


def known_contributors(product, **_):
    for user, trust in (("ann", 0.5), ("eve", 0.9), ("ben", 0.8)):
        Contributor.objects.create(task=product.task, user_id=user, standing="trusted", trust=trust)


@pytest.mark.django_db
def test_trust_counts_as_recorded_and_caps_are_computed_anew():
    ours, theirs = both(known_contributors, settings={"trust": True})
    old, other = champion(ours), champion(theirs)
    assert old.run.weighing["largest_share"] != other.run.weighing["largest_share"]
    Contributor.objects.filter(user_id="ann").update(trust=0.1)
    for contributor in Contributor.objects.filter(user_id="ben"):
        contributor.trust = 0.2
        contributor.save()  # decided since: the retrain goes by what the run went by
    erased(ours)
    assert serving_hash(ours) == other.weights_hash
    new = gates.champion_of(ours.task).run
    assert new.weighing["largest_share"] == other.run.weighing["largest_share"]


@pytest.mark.django_db
def test_strata_are_computed_anew():
    ours, theirs = world("ours"), world("theirs", has_eve=False)
    models = []
    for product in (ours, theirs):
        chosen = {"is_balanced": True}
        dataset = Dataset.objects.create(
            project=product.project, task=product.task, name="even", settings=chosen
        )
        models.append(champion(product, dataset=dataset))
    erased(ours)
    assert serving_hash(ours) == models[1].weights_hash
    line = gates.champion_of(ours.task).run.dataset
    assert (line.name, line.settings, line.purpose) == ("even-without-erased", chosen, "train")


def holds_out(product, *, has_eve):
    """Let eve's row of the holdout keep ann's out of training."""
    if has_eve:
        product.correct(variant("holdout"), user="eve")
    product.correct(variant("train"), user="ann")


@pytest.mark.django_db
def test_what_was_like_a_held_out_row_of_the_person_is_trained_on():
    ours, theirs = both(holds_out)
    old, other = champion(ours), champion(theirs)
    left_out = LeftOut.objects.of_version(old.run.dataset_version)
    assert [row.reason for row in left_out] == ["near_holdout"]
    erased(ours)
    assert serving_hash(ours) == other.weights_hash
    version = gates.champion_of(ours.task).run.dataset_version
    assert version.content_hash == other.run.dataset_version.content_hash
    assert version.counts["left_out"] == {}


@pytest.mark.django_db
def test_who_had_only_a_held_out_row_is_unlearned_too():
    ours, theirs = world("ours", has_eve=False), world("theirs", has_eve=False)
    holds_out(ours, has_eve=True)
    holds_out(theirs, has_eve=False)
    old, other = champion(ours), champion(theirs)
    assert Example.objects.get(feedback__user_id="eve").split == "holdout"
    assert old.weights_hash != other.weights_hash
    request = erased(ours)
    assert serving_hash(ours) == other.weights_hash
    assert [row["fate"] for row in proven(request)["models"]] == ["replaced"]


@pytest.mark.django_db
def test_a_held_out_row_that_pushed_nobody_else_out_changes_no_model():
    ours = world("ours", has_eve=False)
    for side in ("holdout", "train"):
        ours.correct(variant(side), user="eve")
    old = champion(ours)
    assert LeftOut.objects.get(reason="near_holdout").holdout_example.feedback.user_id == "eve"
    erased(ours)
    assert gates.champion_of(ours.task) == old


@pytest.mark.django_db
def test_what_others_decided_stands_as_it_was():
    def quarantine(product, **_):
        Contributor.objects.create(task=product.task, user_id="ben", standing="quarantined")

    ours, theirs = both(quarantine)
    old, other = champion(ours), champion(theirs)
    Contributor.objects.filter(user_id="ben").update(standing="probation")
    Feedback.objects.filter(user_id="ben").update(status="processed", flags=[])
    erased(ours)
    new = gates.champion_of(ours.task)
    assert new.weights_hash == other.weights_hash
    assert new.run.dataset_version.counts["left_out"] == {"quarantined": 5}
    assert old.run.dataset_version.counts["left_out"] == {"quarantined": 5}


@pytest.mark.django_db
def test_who_withdrew_since_is_not_trained_on():
    ours, theirs = world("ours"), world("theirs", has_eve=False)
    champion(ours)
    for product in (ours, theirs):
        consent.decide(project=product.project, user_id="ben", purpose="training", is_granted=False)
    other = champion(theirs)
    erased(ours)
    assert serving_hash(ours) == other.weights_hash


@pytest.mark.django_db
def test_who_refused_when_the_model_was_trained_stays_out_of_it():
    ours, theirs = world("ours"), world("theirs", has_eve=False)
    models = []
    for product in (ours, theirs):
        version = product.version()
        for is_granted in (False, True):
            consent.decide(
                project=product.project, user_id="ben", purpose="training", is_granted=is_granted
            )
            if not is_granted:
                models.append(champion(product, version=version))
    erased(ours)
    assert serving_hash(ours) == models[1].weights_hash


@pytest.mark.django_db
def test_two_versions_later_both_are_without_the_person():
    ours, theirs = world("ours"), world("theirs", has_eve=False)
    for product in (ours, theirs):
        product.version()
        say(product, "ann", 3, start=40)
        product.version()
        say(product, "ben", 3, start=50)
        champion(product, seed=3)
    erased(ours)
    assert serving_hash(ours) == serving_hash(theirs)
    mine = ours.dataset.versions.order_by("version")
    for version, clean in zip(mine, theirs.dataset.versions.order_by("version"), strict=True):
        assert version.current_hash == datasets.rebuild(version) == clean.content_hash
        assert version.content_hash != version.current_hash
    assert VersionErasure.objects.count() == 3


@pytest.mark.django_db
def test_the_next_version_is_as_if_the_person_had_never_been_there():
    ours, theirs = world("ours"), world("theirs", has_eve=False)
    for product in (ours, theirs):
        product.version()
    erased(ours)
    versions = [product.version() for product in (ours, theirs)]
    assert versions[0].content_hash == versions[1].content_hash
    assert versions[0].counts["total"] == versions[1].counts["total"]


@pytest.mark.django_db
def test_a_twin_of_somebody_else_keeps_row_and_file():
    ours = Product()
    ours.add_corpus()
    say(ours, "ann", 6)
    say(ours, "eve", 6)
    ours.task.settings = {"trust": False}
    ours.task.save()
    old = champion(ours)
    request = erased(ours)
    new = gates.champion_of(ours.task)
    assert (new.version, new.weights_hash) == (2, old.weights_hash)
    assert is_there(new.weights_hash)
    assert request.files["artifacts"] == []
    version = DatasetVersion.objects.get(pk=old.run.dataset_version_id)
    assert version.current_hash == version.content_hash == datasets.rebuild(version)
    assert VersionErasure.objects.get(dataset_version=version).rows == 6


@pytest.mark.django_db
def test_a_model_that_never_served_is_only_removed():
    ours = world("ours")
    old = ours.train().model_version
    ModelAlias.objects.all().delete()
    request = erased(ours)
    fate = ModelErasure.objects.get()
    assert (fate.fate, fate.replacement, ModelVersion.objects.count()) == ("removed", None, 1)
    assert proven(request)["models"][0]["method"] is None
    assert request.files["artifacts"] == [old.weights_hash]
    assert not is_there(old.weights_hash)


@pytest.mark.django_db
def test_who_taught_nothing_changes_no_model():
    ours = world("ours", has_eve=False)
    old = champion(ours)
    ours.correct(next(texts_of("train")), user="eve")
    request = erased(ours)
    assert gates.champion_of(ours.task) == old
    assert proven(request) == {"versions": [], "models": []}
    assert is_there(old.weights_hash)


@pytest.mark.django_db
def test_champion_and_challenger_are_replaced_and_their_canary_ends():
    ours = world("ours")
    first, second = champion(ours), ours.train(seed=1).model_version
    ModelAlias.objects.update_or_create(
        task=ours.task, name="challenger", defaults={"model_version": second}
    )
    canary = rollouts.start(second, Plan(share=0.5))
    request = erased(ours)
    canary.refresh_from_db()
    assert (canary.status, canary.decision) == (
        "aborted",
        f"{first}: it had learned from an erased person",
    )
    aliases = dict(ModelAlias.objects.values_list("name", "model_version__version"))
    assert aliases == {"champion": 3, "challenger": 4}
    assert [row["fate"] for row in proven(request)["models"]] == ["replaced"] * 2
    why = ModelAlias.history.filter(name="champion").latest().history_change_reason
    assert why == "in the place of v1: it had learned from an erased person"


@pytest.mark.django_db
def test_a_model_that_only_a_canary_serves_serves_no_more():
    ours = world("ours", has_eve=False)
    champion(ours)
    say(ours, "eve", 4, start=30)
    second = ours.train().model_version
    canary = rollouts.start(second, Plan(share=0.5))
    ModelAlias.objects.filter(name="challenger").delete()
    request = asked_for(ours)
    carry_out(request, "training.examples")
    rollouts.look_at_due()
    with pytest.raises(Withdrawn):
        rollouts.advance(canary)
    carry_out(request, "training.retrain", "training.files")
    canary.refresh_from_db()
    assert canary.status == "aborted"
    assert ModelErasure.objects.get().fate == "removed"


@pytest.mark.django_db
def test_nobody_brings_a_withdrawn_model_back():
    ours = world("ours", has_eve=False)
    clean = champion(ours)
    say(ours, "eve", 4, start=30)
    second = champion(ours)
    erased(ours)
    third = gates.champion_of(ours.task)
    assert third.version == 3
    with pytest.raises(Withdrawn, match="mood v2: it had learned from an erased person"):
        rollouts.promote(second)
    with pytest.raises(Withdrawn):
        rollouts.start(second, Plan())
    assert rollouts.rollback(ours.task).model_version == clean
    with pytest.raises(NothingToRollBack):
        rollouts.rollback(ours.task)
    rollouts.promote(third)
    assert rollouts.rollback(ours.task).model_version == clean


@pytest.mark.django_db
def test_two_who_leave_one_after_the_other():
    ours = world("ours")
    say(ours, "dan", 7, start=60)
    theirs = world("theirs", has_eve=False)
    old, other = champion(ours), champion(theirs)
    first = erased(ours)
    between = gates.champion_of(ours.task)
    second = erased(ours, "dan")
    assert serving_hash(ours) == other.weights_hash
    assert [row["fate"] for row in proven(first)["models"]] == ["replaced"]
    told = {row["version"]: row["replacement"]["version"] for row in proven(second)["models"]}
    assert told == {1: 2, 2: 3}
    files = [request.files["artifacts"] for request in (first, second)]
    assert files == [[old.weights_hash], [between.weights_hash]]
    replaced = second.steps["training.retrain"]
    assert replaced == {"training.ModelVersion replaced": 1}
    named = {version.name for version in DatasetVersion.objects.filter(dataset__task=ours.task)}
    assert named == {"mood-train", "mood-train-without-erased"}
    for version in DatasetVersion.objects.filter(dataset__task=ours.task):
        assert datasets.rebuild(version) == version.current_hash
    assert not is_there(old.weights_hash)
    assert not is_there(between.weights_hash)


@pytest.mark.django_db(transaction=True)
def test_who_asks_before_another_is_erased_is_told_of_the_model_that_both_taught():
    ours = world("ours")
    say(ours, "dan", 7, start=60)
    old = champion(ours)
    first, second = asked_for(ours), asked_for(ours, "dan")
    while erasure.erase_next():
        pass
    new = gates.champion_of(ours.task)
    for request in (first, second):
        request.refresh_from_db()
        (model,) = request.receipt["models"]
        assert (model["weights_hash"], model["fate"]) == (old.weights_hash, "replaced")
        assert model["replacement"]["weights_hash"] == new.weights_hash
    removed = [request.receipt["removed"] for request in (first, second)]
    assert [counts.get("storage/artifacts") for counts in removed] == [1, None]


@pytest.mark.django_db
def test_what_cannot_be_trained_without_the_person_serves_no_more():
    ours = Product()
    ours.add(*((text, "pos") for text in islice(texts_of("train"), 3)), split="train")
    ours.add(("lovely tea", "pos"), ("rude waiter", "neg"), ("stale bread", "neg"), split="holdout")
    ours.correct(list(islice(texts_of("train"), 9))[-1], "neg", "pos", "eve")
    old = champion(ours)
    request = erased(ours)
    with pytest.raises(NoModel):
        rollouts.rollback(ours.task)
    fate = ModelErasure.objects.get()
    assert (fate.fate, fate.replacement) == ("withdrawn", None)
    assert fate.run.error.startswith("training.data_unfit")
    assert request.steps["training.retrain"] == {"training.ModelVersion withdrawn": 1}
    assert not is_there(old.weights_hash)


@pytest.mark.django_db
def test_lists_name_nothing_of_the_person():
    ours = world("ours")
    old = champion(ours)
    said = {str(row.uuid): row.user_id for row in Feedback.objects.all()}
    GateResult.objects.filter(name="seen_cases").update(details={"n": 2, "flips": [None, *said]})
    ModelCredit.objects.get_or_create(model_version=old)
    request = erased(ours)
    others = [uuid for uuid, user in said.items() if user != "eve"]
    version = DatasetVersion.objects.get(pk=old.run.dataset_version_id)
    assert sorted(version.feedback_source["added"]) == sorted(others)
    flips = GateResult.objects.get(name="seen_cases", run=old.run).details["flips"]
    assert flips == [None, *others]
    assert not ModelCredit.objects.filter(model_version=old).exists()
    assert request.steps["training.examples"]["training.ModelCredit"] == 1


@pytest.mark.django_db
def test_what_others_said_of_the_persons_answers_goes_too():
    ours = world("ours", has_eve=False)
    shown = ours.show(list(islice(texts_of("train"), 40))[-1], user="eve")
    Prediction.objects.create(inference=shown, model_version=ours.register())
    by_ann = processed(ours.react(shown, "correction", "pos", user="ann"))
    ours.version()
    request = asked_for(ours)
    carry_out(request)
    assert not Example.objects.filter(feedback=by_ann).exists()
    assert not Prediction.objects.filter(inference=shown).exists()
    assert Feedback.objects.filter(pk=by_ann.pk).exists()
    assert request.steps["training.examples"]["training.Prediction"] == 1


@pytest.mark.django_db
def test_files_of_rows_that_others_added_stay():
    ours = world("ours", has_eve=False)
    ours.version()
    say(ours, "eve", 4, start=30)
    old = champion(ours)
    kept, gone = Shard.objects.order_by("version").values_list("sha256", flat=True)
    archive = storage.put(b"rows", "archives")
    Archive.objects.create(
        dataset_version=old.run.dataset_version, model_version=old, part=0, sha256=archive
    )
    left_over = f"{gone}.removed"
    place = next(Path(settings.STORAGE_URL).glob(f"shards/*/{gone}"))
    place.with_name(left_over).write_bytes(place.read_bytes())
    request = erased(ours)
    assert request.files == {
        "archives": [archive],
        "artifacts": [old.weights_hash],
        "shards": [gone],
    }
    assert is_there(kept, "shards")
    assert left_over not in dict(storage.digests("shards"))
    for folder, digests in request.files.items():
        assert not any(is_there(digest, folder) for digest in digests)
    assert request.steps["training.files"] == {
        "storage/archives": 1,
        "storage/artifacts": 1,
        "storage/shards": 1,
    }
    assert Shard.objects.filter(dataset=ours.dataset).count() == 2


class Cut(BaseException):
    """The process ends here."""


CUTS = {
    "examples": (examples, "_forget_shards", 1),
    "retrain, no version": (datasets.building, "fill_as", 1),
    "retrain, not trained": (runs, "train", 1),
    "retrain, not judged": (gates, "judge_run", 1),
    "retrain, not replaced": (rollouts, "replace", 1),
    "retrain, some replaced": (rollouts, "replace", 2),
    "files, not withdrawn": (orphans, "named", 1),
    "files, some removed": (orphans, "erase", 2),
    "files, not noted": (orphans, "remove_from", 3),
}


DONE = {
    "training.examples": {
        "feedback.Example": 12,
        "training.DatasetVersion changed": 2,
        "training.Membership": 12,
        "training.ModelCredit": 2,
    },
    "training.retrain": {"training.ModelVersion replaced": 1},
    "training.files": {"storage/artifacts": 2, "storage/shards": 1},
}


@pytest.mark.django_db
@pytest.mark.parametrize("place", CUTS)
def test_a_cut_anywhere_comes_to_the_same_counts(place, monkeypatch):
    module, name, when = CUTS[place]
    ours = world("ours")
    champion(ours)
    say(ours, "ann", 2, start=40)
    champion(ours)
    request = asked_for(ours)
    calls, real = count(1), getattr(module, name)

    def cut(*args, **options):
        if next(calls) == when:
            raise Cut
        return real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, cut)
        with pytest.raises(Cut):
            carry_out(request)
    Run.objects.update(lease_until=None)
    request = ErasureRequest.objects.get(pk=request.pk)
    left = [step.name for step in holdings.HOLDINGS.steps if step.name not in request.steps]
    carry_out(request, *left)
    assert request.steps == DONE
    assert {folder: len(names) for folder, names in request.files.items()} == {
        "archives": 0,
        "artifacts": 2,
        "shards": 1,
    }
    fates = [row["fate"] for row in proven(request)["models"]]
    assert fates == ["removed", "replaced"]
    assert ModelVersion.objects.count() == 3
    assert runs.rebuild(gates.champion_of(ours.task)) == serving_hash(ours)


@pytest.mark.django_db
def test_a_run_under_way_begins_again():
    ours, theirs = world("ours"), world("theirs", has_eve=False)
    ours.version()
    begun = runs.request(ours.task, version=DatasetVersion.objects.get())
    claimed = runs.claim()
    model = runs.train(claimed)
    request = asked_for(ours)
    carry_out(request)
    assert tasks.execute(claimed) is False
    assert request.files["artifacts"] == [model.weights_hash]
    tasks.execute_runs.run()
    begun.refresh_from_db()
    assert begun.model_version.weights_hash == theirs.train().model_version.weights_hash
    assert not is_there(model.weights_hash)
    assert not begun.model_version.erasures.exists()


@pytest.mark.django_db
def test_what_is_in_a_version_stays_there(product):
    product.add(("good soup", "pos"), split="train")
    product.version()
    with pytest.raises(IntegrityError, match="only an erasure"), transaction.atomic():
        Membership.objects.all().delete()
    with erasing():
        assert Membership.objects.all().delete()[0] == 1


@pytest.mark.django_db
def test_another_projects_rows_are_as_they_were():
    ours, theirs = world("ours"), world("theirs")
    champion(ours)
    other = champion(theirs)
    before = [list(m.objects.order_by("pk").values()) for m in (Example, Membership)]
    erased(ours)
    mine = {e.pk for e in Example.objects.filter(task=theirs.task)}
    assert [row for row in before[0] if row["task_id"] == theirs.task.pk] == list(
        Example.objects.filter(pk__in=mine).order_by("pk").values()
    )
    assert [row for row in before[1] if row["dataset_id"] == theirs.dataset.pk] == list(
        Membership.objects.filter(dataset=theirs.dataset).order_by("pk").values()
    )
    assert gates.champion_of(theirs.task) == other
    assert other.run.dataset_version.erasures.count() == 0


@pytest.mark.django_db
def test_rebuild_names_the_erasures():
    ours = world("ours")
    champion(ours)
    request = erased(ours)
    for named in (("dataset", "mood-train", 1), ("model", "mood", 1)):
        ended, _, said = run("rebuild", *named)
        assert ended == 3
        assert said.endswith(f"so this is its hash now: erasure {request.uuid}.")


@pytest.mark.django_db
def test_lineage_goes_on_without_what_is_gone():
    ours = world("ours")
    old = champion(ours)
    rows = list(datasets.rows(old.run.dataset_version))
    theirs = Feedback.objects.filter(user_id="eve").first()
    carry_out(asked_for(ours))
    assert lineage.of_version(old.run.dataset_version)["is_touched_by_erasure"]
    assert lineage.of_model(old)["feedback"]["count"] > 0
    assert lineage.of_feedback(theirs)["examples"] == []
    facts = slices.facts_of(rows, ["place"])
    assert facts.columns["month"].count(None) == 12


@pytest.mark.django_db
def test_what_became_of_each_act_is_held():
    ours = world("ours")
    ours.version()
    documents = list(dict(holdings.HOLDINGS.held(ours.project, "eve"))["lineage"])
    assert len(documents) == 12
    assert documents[0]["dataset_versions"][0]["dataset"] == "mood-train"
    assert "became" in documents[0]


@pytest.mark.django_db
def test_who_wants_no_link_leaves_what_may_tell_whose_it_is(
    django_capture_on_commit_callbacks, monkeypatch
):
    monkeypatch.delattr(feedback_erasing, "_PICTURED")  # nobody looks through all pictures for it
    ours = world("ours", has_eve=False)
    say(ours, "evelyn", 12, start=4)
    version = ours.version()
    (gone,) = Shard.objects.values_list("sha256", flat=True)
    one = Feedback.objects.filter(user_id="evelyn").first()
    Feedback.objects.filter(pk=one.pk).update(comment="write to evelyn")
    with django_capture_on_commit_callbacks(execute=True), erasing():
        holdings.HOLDINGS.unlink(ours.project, "evelyn", None)
    version.refresh_from_db()
    assert (version.rules, version.current_hash) == ("", datasets.rebuild(version))
    assert [row.rows for row in VersionErasure.objects.all()] == [1]
    assert not Example.objects.filter(feedback=one).exists()
    assert Example.objects.filter(feedback__user_id="evelyn").count() == 11
    assert not is_there(gone, "shards")


@pytest.mark.django_db
def test_a_line_with_a_version_asked_for_by_hand_is_left_alone():
    ours = world("ours")
    champion(ours)
    taken = Dataset.objects.create(
        project=ours.project, task=ours.task, name="mood-train-without-erased"
    )
    datasets.request_version(taken)
    erased(ours)
    name = gates.champion_of(ours.task).run.dataset.name
    assert name == "mood-train-without-erased-2"


@pytest.mark.django_db
def test_a_moderator_records_a_decision(admin_client, admin_user):
    ours = world("ours")
    champion(ours)
    erased(ours)
    row = ModelErasure.objects.get()
    page = f"/admin/training/modelerasure/{row.pk}/change/"
    assert "an exact retrain without that person" in admin_client.get(page).content.decode()
    admin_client.post(page, {"decision": "The old one was kept for no audit."})
    row.refresh_from_db()
    assert (row.decision, row.decided_by) == (
        "The old one was kept for no audit.",
        admin_user.get_username(),
    )
    assert row.decided_at is not None
    said = admin_client.get(f"/admin/training/modelversion/{row.model_version_id}/change/")
    assert str(row.erasure) in said.content.decode()


@pytest.mark.django_db
def test_documents_say_what_an_erasure_took():
    ours = world("ours")
    champion(ours)
    request = erased(ours)
    version = version_document(DatasetVersion.objects.get(name="mood-train"))
    assert [(str(row["id"]), row["rows"]) for row in version["erasures"]] == [(request.uuid, 12)]
    model = model_document(ModelVersion.objects.get(version=1))
    assert model["withdrawn_at"] is not None
    assert [(str(row["id"]), row["fate"], row["replacement"]) for row in model["erasures"]] == [
        (request.uuid, "replaced", 2)
    ]


@pytest.mark.django_db
def test_what_expires_leaves_versions_and_no_model():
    ours = world("ours")
    model = champion(ours)
    cause = uuid4()
    keys = list(Example.objects.filter(feedback__user_id="eve").values_list("pk", flat=True))
    for some in (keys[:5], keys[5:]):
        with transaction.atomic():
            expire(some, cause)
    version = DatasetVersion.objects.get()
    assert version.current_hash == datasets.rebuild(version) != version.content_hash
    assert (version.rules, version.erasures.get().rows) == ("", 12)
    assert not model.erasures.exists()
    assert gates.champion_of(ours.task) == model


@pytest.mark.django_db
def test_a_run_that_fails_whatever_is_done_ends_the_erasure_as_failed(monkeypatch):
    ours = world("ours")
    champion(ours)
    request = asked_for(ours)
    carry_out(request, "training.examples")

    def die_often(run):
        claimed = runs.claim(Run.objects.filter(pk=run.pk))
        runs.finish(claimed, "failed", WorkerDied("It died."))

    with monkeypatch.context() as patch:
        patch.setattr(retraining, "_go_on", die_often)
        with pytest.raises(NotErased, match="mood v1 cannot be trained again"):
            carry_out(request, "training.retrain")
    assert ModelErasure.objects.get().fate == "pending"
    carry_out(request, "training.retrain", "training.files")
    assert ModelErasure.objects.get().fate == "replaced"


@pytest.mark.django_db(transaction=True)
def test_what_becomes_an_example_between_the_steps_goes_as_all_else():
    ours, theirs = world("ours"), world("theirs", has_eve=False)
    shown = ours.show(list(islice(texts_of("train"), 40))[-1], user="eve")
    late = ours.react(shown, "correction", "pos", user="ann")
    champion(theirs)
    request = leases.claim(ErasureRequest.objects.filter(pk=asked_for(ours).pk))
    steps = erasure.steps()
    names = [step.name for step in steps]
    assert names.index("feedback.rows") < names.index("training.retrain")
    for step in steps[: names.index("feedback.rows")]:
        erasure._perform(step, request)
    assert processed(late).status == "processed"
    # So that a version takes it, as it takes what somebody did with a picture of hers.
    Consent.objects.update(is_granted=True)
    champion(ours)
    version = DatasetVersion.objects.get(dataset=ours.dataset)
    (shard,) = Shard.objects.filter(dataset=ours.dataset).values_list("sha256", flat=True)
    for step in steps[names.index("feedback.rows") :]:
        erasure._perform(step, request)
    version.refresh_from_db()
    assert version.current_hash == datasets.rebuild(version) != version.content_hash
    assert (version.erasures.get().rows, is_there(shard, "shards")) == (1, False)
    assert serving_hash(ours) == serving_hash(theirs)
    assert request.receipt["models"][0]["fate"] == "replaced"
    assert "feedback.Example" in request.steps["feedback.rows"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("act", ["erase", "unlink"])
def test_who_processes_an_act_ends_first(act):
    ours = Product()
    act_of_eve = ours.correct("a text", user="evelyn")
    is_held, ended = threading.Event(), []

    def process_slowly():
        with transaction.atomic():
            Feedback.objects.select_for_update().get(pk=act_of_eve.pk)
            is_held.set()
            time.sleep(0.5)
            Example.objects.filter(feedback=act_of_eve).update(superseded_at=timezone.now())
            ended.append("worker")

    worker = threading.Thread(target=in_a_session, args=[process_slowly])
    worker.start()
    is_held.wait(10)
    if act == "erase":
        carry_out(asked_for(ours, "evelyn"), "training.examples")
    else:
        Feedback.objects.update(comment="evelyn")
        subjects.anonymise(ours.project, "evelyn")
    worker.join()
    assert (ended, Example.objects.count()) == (["worker"], 0)


@pytest.mark.django_db(transaction=True)
def test_a_whole_erasure_says_so_in_its_receipt():
    ours, theirs = world("ours"), world("theirs", has_eve=False)
    champion(ours)
    other = champion(theirs)
    request = erasure.erase_next(only=asked_for(ours))
    request.refresh_from_db()
    assert (request.status, request.error) == ("done", "")
    (model,) = request.receipt["models"]
    assert (model["fate"], model["replacement"]["weights_hash"]) == ("replaced", other.weights_hash)
    assert request.receipt["versions"] == proven(request)["versions"]
    assert "eve" not in str(request.receipt)
    versions = [product.version() for product in (ours, theirs)]
    assert versions[0].content_hash == versions[1].content_hash


@pytest.mark.django_db(transaction=True)
def test_a_build_under_way_ends_before_its_rows_are_taken_out(monkeypatch):
    ours = world("ours")
    first = ours.version()
    say(ours, "ann", 2, start=40)
    request, fill = asked_for(ours), datasets.building.fill
    eraser = threading.Thread(target=in_a_session, args=[carry_out, request, "training.examples"])

    def fill_slowly(version):
        fill(version)
        eraser.start()
        eraser.join(0.5)
        assert eraser.is_alive()

    monkeypatch.setattr(datasets.building, "fill", fill_slowly)
    second = ours.version()
    eraser.join()
    for version in (first, second):
        version.refresh_from_db()
        assert version.current_hash == datasets.rebuild(version)
    assert (first.erasures.get().rows, second.erasures.count()) == (12, 0)
    assert second.rules == ""


def in_a_session(act, *args):
    try:
        act(*args)
    finally:
        connection.close()


@pytest.mark.django_db
def test_gates_and_runs_forget_what_metadata_called_slices():
    ours = world("ours")
    model = champion(ours)
    run = model.run
    run.weighing |= {"strata": {"topic 1, place Zyx": 0.5, "topic 2, place other": 2.0}}
    run.save()
    gate = run.gate_results.get(name="slices")
    gate.reason = "Worst: place Zyx, -3.0 points on 40 cases."
    gate.details = {"slices": [{"by": "topic", "value": "1"}, {"by": "place", "value": "Zyx"}]}
    gate.save()
    carry_out(asked_for(ours), "training.examples")
    gate.refresh_from_db()
    run.refresh_from_db()
    assert gate.reason == "Worst: place no. 2, -3.0 points on 40 cases."
    assert [listed["value"] for listed in gate.details["slices"]] == ["1", "no. 2"]
    assert run.weighing["strata"] == {"stratum 1": 0.5, "stratum 2": 2.0}


@pytest.mark.django_db
def test_two_workers_queue_one_run():
    ours = world("ours")
    champion(ours)
    request = carry_out(asked_for(ours), "training.examples")
    one, other = ModelErasure.objects.get(), ModelErasure.objects.get()
    begun = retraining._run_of(request, one, None)
    assert retraining._run_of(request, other, None) == begun
    assert retraining._run_of(request, other, begun) != begun


@pytest.mark.django_db
def test_a_worker_that_lost_the_erasure_replaces_nothing(monkeypatch):
    ours = world("ours")
    old = champion(ours)
    request = carry_out(asked_for(ours), "training.examples")

    go_on = retraining._go_on

    def be_overtaken(run):
        ErasureRequest.objects.update(attempts=request.attempts + 1)
        go_on(run)

    monkeypatch.setattr(retraining, "_go_on", be_overtaken)
    with pytest.raises(LeaseLost):
        retraining.retrain(request)
    row = ModelErasure.objects.get()
    assert (gates.champion_of(ours.task), row.fate) == (old, "pending")
    with pytest.raises(LeaseLost):
        retraining._run_of(request, row, row.run)
    assert Run.objects.filter(replacing__isnull=False).count() == 1


@pytest.mark.django_db(transaction=True)
def test_who_stores_a_file_elsewhere_is_waited_for(monkeypatch):
    ours, theirs = world("ours"), world("theirs", has_eve=False)
    champion(theirs)
    is_stored, stored, real = threading.Event(), [], archives._fill

    def fill_slowly(archive, lines):
        real(archive, lines)
        stored.append(archive.sha256)
        place = next(Path(settings.STORAGE_URL).glob(f"archives/*/{archive.sha256}"))
        then = time.time() - 120
        os.utime(place, (then, then))
        is_stored.set()
        time.sleep(0.5)

    monkeypatch.setattr(archives, "_fill", fill_slowly)
    writer = threading.Thread(target=in_a_session, args=[archives.archive_next])
    writer.start()
    is_stored.wait(10)
    done = erasure.erase_next(only=asked_for(ours))
    assert (done.status, Archive.objects.count()) == ("done", 1)
    assert is_there(stored[0], "archives")
    writer.join()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("others_act", [False, True])
def test_silence_of_an_answer_that_went_is_no_example(others_act):
    ours = Product()
    theirs, kept = ours.show("a text", user="eve"), ours.show("another text", user="bob")
    drafts = [silence._silent(ours.task, answer) for answer in (theirs, kept)]
    if others_act:
        ours.react(theirs, "correction", "pos", user="bob")
    erasure.erase_next(only=asked_for(ours))
    assert silence._store(drafts) == 1
    assert Example.objects.get().inference == kept


@pytest.mark.django_db(transaction=True)
def test_retention_is_not_held_up_by_the_line_without_erased_people():
    ours = world("ours")
    champion(ours)
    erasure.erase_next(only=asked_for(ours))
    assert gates.champion_of(ours.task).run.dataset.name == "mood-train-without-erased"
    consent.decide(project=ours.project, user_id="ben", purpose="training", is_granted=False)
    ours.version()
    then = timezone.now() - timedelta(days=400)
    DatasetVersion.objects.update(as_of=then)
    for model in (Example, Feedback, Inference):
        model.objects.update(created_at=then)
    retention.apply(ours.project)
    assert set(Feedback.objects.values_list("user_id", flat=True)) == {"ann"}
    serving = gates.champion_of(ours.task)
    version = serving.run.dataset_version
    assert version.current_hash == datasets.rebuild(version) != version.content_hash
    assert serving.withdrawn_at is None


@pytest.mark.django_db(transaction=True)
def test_what_is_back_is_found():
    ours = world("ours")
    old = champion(ours)
    shard = Shard.objects.get()
    rows = storage.get(shard.sha256, "shards")
    done = erasure.erase_next(only=asked_for(ours))
    assert verifying.left(done.receipt) == {}
    storage.put(rows, "shards")
    Shard.objects.filter(dataset=shard.dataset, version=1).update(sha256=shard.sha256)
    assert verifying.left(done.receipt) == {"training.Shard": 1}
    Shard.objects.all().delete()
    ModelVersion.objects.filter(pk=old.pk).update(withdrawn_at=None)
    assert verifying.left(done.receipt) == {
        "training.ModelVersion withdrawn": 1,
        "storage/shards": 1,
    }
