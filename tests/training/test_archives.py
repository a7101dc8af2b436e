"""What promoted models learned from is written down once, whole, and found by its people."""

import gzip
from datetime import timedelta
from itertools import islice
from uuid import uuid4

import pytest
from django.utils import timezone

from config import storage
from config.errors import FileDamaged, FileMissing
from feedback import review
from feedback.models import Example, Feedback, Inference
from privacy import erasure, retention, subjects, tombstones, verifying
from privacy.models import DataSubject, ErasureRequest, Kept, RetentionRule
from tests.training.builders import Product, texts_of
from training import archives, datasets, orphans, rollouts, tasks
from training.formats import jsonl
from training.models import Archive, ModelErasure, ModelVersion


@pytest.fixture(autouse=True)
def _own_storage(settings, tmp_path):
    settings.STORAGE_URL = str(tmp_path / "storage")
    settings.ERASURE_LOG_URL = str(tmp_path / "log")


def promoted(product, *users):
    """Promote a model that learned from these people's corrections."""
    for user in users:
        product.correct(f"a text of {user}", user=user)
    model = product.register()
    datasets.build_next()
    rollouts.promote(model)
    return ModelVersion.objects.get(pk=model.pk)


def holding(product, user):
    return archives.holding(product.project, tombstones.digest_of(product.project, user))


def version_of(model):
    version = model.run.dataset_version
    version.refresh_from_db()
    return version


def test_it_works(product):
    product.add(("one", "pos"), ("two", "neg"), split="train")
    product.add(("three", "pos"), split="holdout")
    model = promoted(product, "ann")
    assert archives.waiting_seconds() == 0.0
    tasks.archive.run()
    assert archives.waiting_seconds() is None
    assert list(archives.rows(model)) == list(datasets.rows(version_of(model)))
    assert {row.split for row in archives.rows(model)} == {"train", "holdout"}


def test_rows_are_archived_in_parts(product, monkeypatch):
    monkeypatch.setattr(archives, "PART_ROWS", 2)
    product.add(*((f"text {number}", "pos") for number in range(5)), split="train")
    model = promoted(product)
    archives.archive_next()
    assert [row.part for row in model.archives.order_by("part")] == [0, 1, 2]
    assert list(archives.rows(model)) == list(datasets.rows(version_of(model)))


def test_an_archive_is_the_same_bytes_each_time(product):
    product.add(("one", "pos"), ("two", "neg"), split="train")
    model = promoted(product)
    archives.archive_next()
    before = [row.sha256 for row in model.archives.all()]
    assert before == archives.remove(model.archives.all())
    archives.archive_next()
    assert [row.sha256 for row in model.archives.all()] == before


def test_a_version_without_rows_is_archived_too(product):
    model = promoted(product)
    archives.archive_next()
    assert archives.waiting_seconds() is None
    assert list(archives.rows(model)) == []


def test_only_what_was_promoted_is_archived(product):
    product.add(("one", "pos"), split="train")
    product.register()
    datasets.build_next()
    assert archives.archive_next() is None


def test_a_champion_that_was_replaced_is_archived_too(product):
    product.add(("one", "pos"), split="train")
    first, second = promoted(product), promoted(product)
    tasks.archive.run()
    assert set(Archive.objects.values_list("model_version", flat=True)) == {first.pk, second.pk}
    (_, digest) = Archive.objects.order_by("pk").values_list("pk", "sha256")[0]
    assert archives.remove(first.archives.all()) == []  # the other names the same file
    assert storage.get(digest, archives.FOLDER)


def test_what_is_not_archived_cannot_be_read(product):
    with pytest.raises(FileMissing):
        list(archives.rows(promoted(product)))


def test_a_changed_file_is_refused(product, settings, tmp_path):
    product.add(("one", "pos"), split="train")
    model = promoted(product)
    archives.archive_next()
    digest = model.archives.get().sha256
    (tmp_path / "storage" / "archives" / digest[:2] / digest).write_bytes(b"changed")
    with pytest.raises(FileDamaged):
        list(archives.rows(model))


def test_an_archive_is_found_by_who_is_in_it(product):
    model = promoted(product, "ann", "ben")
    other = Product("other")
    promoted(other, "ann")
    tasks.archive.run()
    assert [row.model_version for row in holding(product, "ann")] == [model]
    assert not holding(product, "cem").exists()


def test_who_was_shown_the_answer_is_in_it(product):
    answer = product.show("a text", user="ann")
    product.react(answer, "correction", "pos", user="ben")
    promoted(product, "cem")
    archives.archive_next()
    assert holding(product, "ann").exists()
    assert holding(product, "ben").exists()


def test_it_is_found_after_its_content_expired(product):
    model = promoted(product, "ann")
    archives.archive_next()
    before = list(archives.rows(model))
    RetentionRule.objects.create(project=product.project, kind=Kept.REJECTED, days=0)
    review.reject(Feedback.objects.get(), by="mo", reason="wrong")
    retention.apply(product.project)
    assert not Example.objects.exists()
    assert list(archives.rows(model)) == before
    assert list(holding(product, "ann")) == list(model.archives.all())


def test_only_parts_with_who_wants_no_link_are_read(product, monkeypatch):
    monkeypatch.setattr(archives, "PART_ROWS", 1)
    promoted(product, "ann", "ben", "cem")
    archives.archive_next()
    before = set(Archive.objects.values_list("sha256", flat=True))
    (hers,) = holding(product, "ann")
    read, get = [], storage.get

    def read_and_tell(digest, folder="artifacts", **options):
        read.extend([digest] if folder == archives.FOLDER else [])
        return get(digest, folder, **options)

    monkeypatch.setattr(storage, "get", read_and_tell)
    subjects.anonymise(product.project, "ann")
    assert read == [hers.sha256]
    assert len(before.intersection(Archive.objects.values_list("sha256", flat=True))) == 2
    assert not holding(product, "ann").exists()


def test_a_model_that_is_about_to_be_withdrawn_is_not_archived(product):
    model = promoted(product, "ann")
    ModelErasure.objects.create(model_version=model, erasure=uuid4())
    assert archives.waiting_seconds() is None
    archives.write(model, model.run.dataset_version)
    assert not Archive.objects.exists()


def test_archives_go_by_their_age(product):
    product.add(("one", "pos"), split="train")
    model = promoted(product)
    archives.archive_next()
    then = timezone.now() - timedelta(days=365)
    Archive.objects.update(created_at=then + timedelta(minutes=1))
    retention.apply(product.project)
    assert Archive.objects.exists()
    Archive.objects.update(created_at=then)
    ModelVersion.objects.update(created_at=then)
    retention.apply(product.project)
    assert not Archive.objects.exists()
    assert archives.waiting_seconds() is None  # and is not written again
    assert orphans.NAMED_BY["archives"]
    assert model.archives.count() == 0


def test_a_projects_rule_says_how_long(product):
    RetentionRule.objects.create(project=product.project, kind=Kept.ARCHIVES, days=3)
    model = promoted(product)
    ModelVersion.objects.filter(pk=model.pk).update(created_at=timezone.now() - timedelta(days=4))
    assert archives.waiting_seconds() is None


@pytest.fixture
def _gates_let_pass(monkeypatch):
    monkeypatch.setattr(rollouts, "_require_passed", lambda _model: None)


def expire(product, *users):
    """Let the content of people go from the tables by the rule for rejected feedback."""
    RetentionRule.objects.get_or_create(project=product.project, kind=Kept.REJECTED, days=0)
    for feedback in Feedback.objects.filter(user_id__in=users):
        review.reject(feedback, by="mo", reason="wrong")
    retention.apply(product.project)
    assert not Feedback.objects.filter(user_id__in=users).exists()


def erased(product, user):
    erasure.request(project=product.project, user_id=user, by="mo")
    done = erasure.erase_next()
    assert done.status == "done", done.error
    return done


def inputs_of(model):
    return [row.input for row in archives.rows(model)]


def text_of(side, skip=0):
    """Return a text on that side of the split."""
    return next(islice(texts_of(side), skip, None))


@pytest.mark.django_db(transaction=True)
def test_an_erasure_finds_what_expired_and_leaves_others_what_expired():
    product = Product()
    for number, user in enumerate(("ann", "ben", "cem")):
        product.correct(text_of("holdout", number), user=user)
    model = promoted(product)
    archives.archive_next()
    (digest,) = model.archives.values_list("sha256", flat=True)
    before = {row.input: row for row in archives.rows(model)}
    expire(product, "ann", "ben")
    assert inputs_of(model) == list(before)
    done = erased(product, "ann")
    assert done.receipt["removed"]["storage/archives"] == 1
    with pytest.raises(FileMissing):
        storage.get(digest, archives.FOLDER)
    tasks.archive.run()
    gone = text_of("holdout", 0)
    assert list(archives.rows(model)) == [row for text, row in before.items() if text != gone]
    assert not holding(product, "ann").exists()
    assert holding(product, "ben").exists()
    erased(product, "ben")
    assert inputs_of(model) == [text_of("holdout", 2)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_gates_let_pass")
def test_a_model_that_learned_from_what_expired_is_replaced():
    product = Product()
    product.add_corpus()
    for number, user in enumerate(("ann", "eve", "eve")):
        product.correct(text_of("train", number), user=user)
    product.correct(text_of("holdout"), user="ben")
    old = product.train().model_version
    rollouts.promote(old)
    archives.archive_next()
    expire(product, "eve")
    done = erased(product, "eve")
    (fate,) = done.receipt["models"]
    assert (fate["weights_hash"], fate["fate"]) == (old.weights_hash, "replaced")
    assert fate["replacement"]["weights_hash"] != old.weights_hash
    old.refresh_from_db()
    assert old.withdrawn_at is not None
    assert not old.archives.exists()


@pytest.mark.django_db(transaction=True)
def test_who_wants_no_link_leaves_others_what_expired():
    product = Product()
    for number, user in enumerate(("anna", "anna", "anna", "ben")):
        product.correct(text_of("holdout", number), user=user)
    model = promoted(product)
    archives.archive_next()
    before = inputs_of(model)
    quoting, expired, _ = Feedback.objects.filter(user_id="anna").order_by("pk")
    Feedback.objects.filter(pk=quoting.pk).update(comment="by anna")
    Feedback.objects.filter(pk=expired.pk).update(user_id="nobody")
    expire(product, "nobody", "ben")
    assert inputs_of(model) == before
    subjects.anonymise(product.project, "anna")
    # Of what expired nobody can say any more whether it names her.
    assert set(inputs_of(model)) == {text_of("holdout", 2), text_of("holdout", 3)}
    assert not holding(product, "anna").exists()
    assert holding(product, "ben").exists()


@pytest.mark.django_db(transaction=True)
def test_a_twin_speaks_in_the_place_of_who_left():
    product = Product()
    for user in ("ann", "ben"):
        product.correct(text_of("holdout"), user=user)
    model = promoted(product)
    archives.archive_next()
    (row,) = archives.rows(model)
    spoke = Feedback.objects.get(uuid=row.feedback_id)
    erased(product, spoke.user_id)
    (row,) = archives.rows(model)
    assert row.feedback_id == str(Feedback.objects.get().uuid)
    other = Feedback.objects.get().user_id
    assert holding(product, other).exists()
    assert not holding(product, spoke.user_id).exists()


@pytest.mark.django_db(transaction=True)
def test_a_file_that_does_not_say_whose_its_rows_are_is_written_anew(monkeypatch):
    product = Product()
    for number, user in enumerate(("ann", "ben")):
        product.correct(text_of("holdout", number), user=user)
    model = promoted(product)
    archives.archive_next()
    part = model.archives.get()
    lines = [{**line, "subjects": None} for line in archives._read(part)]
    for line in lines:
        del line["subjects"]
    data = gzip.compress(b"".join(jsonl.lines(lines)), mtime=0)
    Archive.objects.update(sha256=storage.put(data, archives.FOLDER))
    assert len(inputs_of(model)) == 2
    erased(product, "ann")
    assert not model.archives.exists()
    tasks.archive.run()
    assert inputs_of(model) == [text_of("holdout", 1)]


@pytest.mark.django_db(transaction=True)
def test_an_archive_that_is_back_is_found_where_nobody_knows_the_name():
    product = Product()
    for number, user in enumerate(("ann", "ben")):
        product.correct(text_of("holdout", number), user=user)
    model = promoted(product)
    archives.archive_next()
    before, (part,) = inputs_of(model), Archive.objects.values()
    data = storage.get(part["sha256"], archives.FOLDER)
    expire(product, "ann")
    done = erased(product, "ann")
    assert verifying.left(done.receipt) == {}

    storage.put(data, archives.FOLDER)
    Archive.objects.update(sha256=part["sha256"], subjects=part["subjects"])
    assert inputs_of(model) == before
    assert verifying.left(done.receipt) == {"training.Archive": 1}
    # Who came anew may stand in an archive that was made after that.
    Archive.objects.update(created_at=done.tombstone_until + timedelta(days=1))
    assert "training.Archive" not in verifying.left(done.receipt)
    Archive.objects.update(created_at=part["created_at"])

    # As a restore leaves it: neither the erasure is known nor the person.
    ErasureRequest.objects.all()._raw_delete("default")
    Inference.objects.filter(user_id="ann").delete()
    assert not DataSubject.objects.filter(user_id="ann").exists()
    (begun,) = erasure.replay()
    assert begun.user_id is None
    assert erasure.erase_next().status == "done"
    assert inputs_of(model) == [text_of("holdout", 1)]
    assert not holding(product, "ann").exists()
    with pytest.raises(FileMissing):
        storage.get(part["sha256"], archives.FOLDER)
    assert verifying.left(done.receipt) == {}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_gates_let_pass")
def test_the_archive_of_a_withdrawn_model_is_found():
    product = Product()
    product.add_corpus()
    product.correct(text_of("train"), user="eve")
    old = product.train().model_version
    rollouts.promote(old)
    archives.archive_next()
    (part,) = Archive.objects.values()
    data = storage.get(part["sha256"], archives.FOLDER)
    done = erased(product, "eve")
    assert verifying.left(done.receipt) == {}
    storage.put(data, archives.FOLDER)
    Archive.objects.create(**part | {"subjects": []})
    assert verifying.left(done.receipt) == {"training.Archive": 1}
