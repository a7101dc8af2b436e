"""What was kept long enough goes, to the second, and nothing else does."""

import threading
import time
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from feedback import processing, review
from feedback.models import Contributor, DeadLetter, Example, Feedback, Image, Inference, Review
from privacy import consent, retention
from privacy.models import (
    DAYS_KEPT,
    AccessRecord,
    DataSubject,
    ErasureRequest,
    IdempotencyKey,
    Kept,
    Project,
    Purpose,
    RetentionRule,
    Upkeep,
)
from tests.training.builders import Product
from training import datasets
from training.models import DatasetVersion, LeftOut, Membership, VersionErasure

NIGHT = 7  # days kept by the rule of the tests
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _own_storage(settings, tmp_path):
    settings.STORAGE_URL = str(tmp_path / "storage")


@pytest.fixture
def product(db):
    return Product()


@pytest.fixture
def now(monkeypatch):
    """Stop the clock that borders are counted from."""
    now = timezone.now()
    monkeypatch.setattr(retention.timezone, "now", lambda: now)
    return now


def aged(rows, moment):
    rows.update(created_at=moment)


def grow_old(product, days=1_000):
    """Let time pass for all that the project has."""
    then = timezone.now() - timedelta(days=days)
    for rows in (Feedback, Inference, Example, DataSubject, Contributor, Image):
        rows.objects.update(created_at=then)
    DatasetVersion.objects.update(as_of=then)


@pytest.fixture
def _built(product):
    """Have a version, so that what is in none was asked about."""
    product.version()


def applied(project, **options):
    """Apply the rules; return how many rows of which kind and table went."""
    found = retention.apply(project, **options)
    return {(one.kind, one.label.split(".")[1]): one.number for one in found if one.number}


def rejected(product, text="a text"):
    feedback = product.correct(text)
    review.reject(feedback, by="mo", reason="wrong")
    return feedback


@pytest.mark.usefixtures("_built")
def test_it_works(product):
    product.correct("old")
    grow_old(product)
    product.correct("young")
    assert applied(product.project) == {("content", "Feedback"): 1}
    assert [row.inference.input for row in Feedback.objects.all()] == ["young"]
    assert Inference.objects.count() == Example.objects.count() == 1


@pytest.mark.usefixtures("_built")
def test_a_dry_run_counts_what_a_run_removes(product):
    for number in range(3):
        product.correct(f"text {number}")
        product.show(f"shown {number}")
        rejected(product, f"wrong {number}")
    product.add(("imported", "pos"))
    grow_old(product)
    Review.objects.update(decided_at=timezone.now() - timedelta(days=1_000))
    AccessRecord.objects.create(
        project=product.project, subject_digest=b"a", action="export", by="mo"
    )
    expected = applied(product.project, dry_run=True)
    assert applied(product.project, dry_run=True) == expected
    assert expected == {
        ("content", "Feedback"): 3,
        ("content", "Inference"): 3,
        ("content", "Example"): 1,
        ("rejected", "Feedback"): 3,
    }
    assert applied(product.project) == expected
    assert not Feedback.objects.exists()
    assert not Inference.objects.exists()
    assert not Example.objects.exists()


def test_of_an_act_nothing_stays(product):
    rejected(product)
    grow_old(product)
    Review.objects.update(decided_at=timezone.now() - timedelta(days=31))
    assert applied(product.project) == {("rejected", "Feedback"): 1}
    for model in (Feedback, Review, Example, Inference, Feedback.history, Review.history):
        assert not getattr(model, "objects", model).exists()


@pytest.mark.parametrize("seconds", [-1, 1])
@pytest.mark.usefixtures("_built")
def test_content_goes_at_the_border_to_the_second(product, now, seconds):
    product.correct("a text")
    border = now - timedelta(days=DAYS_KEPT[Kept.CONTENT])
    aged(Feedback.objects, border + seconds * SECOND)
    applied(product.project)
    assert Feedback.objects.exists() == (seconds > 0)


@pytest.mark.parametrize("seconds", [-1, 1])
def test_a_rejection_counts_from_its_decision(product, now, seconds):
    rejected(product)
    aged(Feedback.objects, now - timedelta(days=100))
    decided_at = now - timedelta(days=30) + seconds * SECOND
    Review.objects.update(decided_at=decided_at)
    applied(product.project)
    assert Feedback.objects.exists() == (seconds > 0)


@pytest.mark.parametrize("seconds", [-1, 1])
def test_failed_feedback_counts_from_its_discard(product, now, monkeypatch, seconds):
    feedback = product.correct("a text")
    review.accept(feedback, by="mo")
    Review.objects.update(decided_at=now - timedelta(days=100))
    Feedback.objects.update(status="failed", created_at=now - timedelta(days=100))
    discarded_at = now - timedelta(days=30) + seconds * SECOND
    with monkeypatch.context() as patch:
        patch.setattr(timezone, "now", lambda: discarded_at)
        review.discard(feedback, by="mo", reason="the label is gone")
    applied(product.project)
    assert Feedback.objects.exists() == (seconds > 0)


def test_what_was_refused_at_the_door_counts_from_its_capture(product):
    feedback = product.correct("a text")
    Feedback.objects.filter(pk=feedback.pk).delete()
    feedback.status = "rejected"
    feedback.created_at = timezone.now() - timedelta(days=31)
    Feedback.objects.bulk_create([feedback])  # which writes no history, as capture does
    assert applied(product.project) == {("rejected", "Feedback"): 1}


def test_what_a_version_takes_stays(product):
    product.correct("a text")
    product.version()
    grow_old(product)
    assert applied(product.project) == {}
    assert Feedback.objects.count() == 1


@pytest.mark.parametrize(("days", "stays"), [(179, True), (181, False)])
def test_what_no_version_takes_any_more_counts_from_the_one_that_did_not(product, days, stays):
    product.correct("a text", user="ann")
    product.correct("other", user="ben")
    product.version()
    consent.decide(
        project=product.project, user_id="ann", purpose=Purpose.TRAINING, is_granted=False
    )
    product.version()
    grow_old(product)
    DatasetVersion.objects.update(as_of=timezone.now() - timedelta(days=days))
    applied(product.project)
    assert Feedback.objects.filter(user_id="ann").exists() == stays
    assert Feedback.objects.filter(user_id="ben").exists()


def test_versions_say_what_they_are_without_it(product):
    for user in ("ann", "ben", "cem"):
        product.correct(f"a text of {user}", user=user)
    first = product.version()
    for user in ("ann", "ben"):
        consent.decide(
            project=product.project, user_id=user, purpose=Purpose.TRAINING, is_granted=False
        )
    product.version()
    grow_old(product)
    assert applied(product.project) == {("content", "Feedback"): 2}
    for version in DatasetVersion.objects.all():
        assert datasets.rebuild(version) == version.current_hash
    first.refresh_from_db()
    assert first.current_hash != first.content_hash
    assert VersionErasure.objects.filter(dataset_version=first).count() == 1
    assert product.version().counts["total"] == 1


def test_rejected_feedback_leaves_the_version_that_takes_it(product):
    feedback = product.correct("a text")
    product.correct("other")
    version = product.version()
    review.reject(feedback, by="mo", reason="wrong")
    Review.objects.update(decided_at=timezone.now() - timedelta(days=31))
    Feedback.objects.update(created_at=timezone.now() - timedelta(days=31))
    assert applied(product.project) == {("rejected", "Feedback"): 1}
    version.refresh_from_db()
    assert datasets.rebuild(version) == version.current_hash
    assert Membership.objects.count() == 1


def test_pending_and_flagged_feedback_counts_from_its_capture(product):
    product.react(product.show("pending"), "correction", "pos")
    feedback = product.react(product.show("flagged"), "down")
    assert feedback.status == "flagged"
    grow_old(product)
    assert applied(product.project) == {("content", "Feedback"): 2}


def test_a_pinned_case_stays(product):
    feedback = product.correct("a text")
    review.accept(feedback, by="mo", is_pinned=True)
    processing.process_queue("process.text")
    grow_old(product)
    assert applied(product.project) == {}


def test_what_waits_for_the_first_version_stays(product):
    product.correct("a text")
    product.add(("imported", "pos"))
    grow_old(product)
    assert applied(product.project) == {}
    product.version()
    assert applied(product.project) == {}
    assert Membership.objects.count() == 2


def test_what_was_outdone_waits_for_no_version(product):
    product.correct("a text")
    Example.objects.update(superseded_at=timezone.now())
    grow_old(product)
    assert applied(product.project) == {("content", "Feedback"): 1}


@pytest.mark.parametrize(("reason", "stays"), [("near_holdout", True), ("quarantined", False)])
def test_what_was_left_out_and_guards_stays(product, reason, stays):
    version = product.version()
    product.correct("a text")
    left_out = LeftOut.objects.create(
        dataset=version.dataset, example=Example.objects.get(), reason=reason, since_version=1
    )
    grow_old(product)
    applied(product.project)
    assert Feedback.objects.exists() == stays
    if stays:
        LeftOut.objects.filter(pk=left_out.pk).update(until_version=2)
        assert applied(product.project) == {("content", "Feedback"): 1}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_pinned", [False, True])
def test_who_reviews_an_act_ends_first(is_pinned):
    product = Product()
    product.version()
    feedback = product.correct("a text")
    grow_old(product)
    is_held = threading.Event()

    def decide():
        with transaction.atomic():
            Feedback.objects.select_for_update().get(pk=feedback.pk)
            is_held.set()
            time.sleep(0.5)
            Example.objects.update(is_pinned=is_pinned)
        connection.close()

    moderator = threading.Thread(target=decide)
    moderator.start()
    is_held.wait(10)
    retention.apply(product.project)
    moderator.join()
    assert Feedback.objects.exists() == Example.objects.exists() == is_pinned


@pytest.mark.usefixtures("_built")
def test_an_answer_with_a_young_act_stays(product):
    answer = product.show("a text")
    product.react(answer, "correction", "pos", user="ann")
    grow_old(product)
    product.react(answer, "correction", "pos", user="ben")
    assert applied(product.project) == {("content", "Feedback"): 1}
    assert [row.user_id for row in answer.feedback.all()] == ["ben"]


def test_what_was_made_of_an_answer_has_no_parent_then(product):
    parent = product.show("first")
    grow_old(product)
    child = product.show("second")
    Inference.objects.filter(pk=child.pk).update(parent=parent)
    assert applied(product.project) == {("content", "Inference"): 1}
    child.refresh_from_db()
    assert child.parent is None


@pytest.mark.usefixtures("_built")
def test_a_projects_own_rule_counts(product):
    RetentionRule.objects.create(project=product.project, kind=Kept.CONTENT, days=NIGHT)
    product.correct("a text")
    grow_old(product, days=NIGHT + 1)
    assert applied(product.project) == {("content", "Feedback"): 1}


@pytest.mark.usefixtures("_built")
def test_another_project_stays_untouched(product):
    other = Product("other")
    for each in (product, other):
        each.correct("a text")
        each.show("shown")
        rejected(each, "wrong")
        each.add(("imported", "pos"))
    grow_old(product)
    Review.objects.update(decided_at=timezone.now() - timedelta(days=1_000))
    counted = (Feedback, Inference)
    before = [list(model.objects.filter(project=other.project).values()) for model in counted]
    applied(product.project)
    assert [
        list(model.objects.filter(project=other.project).values()) for model in counted
    ] == before
    assert not Feedback.objects.filter(project=product.project).exists()
    assert Example.objects.filter(task=other.task).count() == 3


def test_rows_go_in_chunks(product, monkeypatch):
    monkeypatch.setattr(retention, "CHUNK_ROWS", 2)
    monkeypatch.setattr(retention, "LOOK_ROWS", 4)
    for number in range(7):
        product.show(f"text {number}")
    grow_old(product)
    chunks = []
    remove = retention._remove_chunk
    monkeypatch.setattr(
        retention, "_remove_chunk", lambda *a: chunks.append(remove(*a)) or chunks[-1]
    )
    assert applied(product.project) == {("content", "Inference"): 7}
    assert chunks == [2, 2, 2, 1]


def test_a_rule_that_removes_nothing_ends(product, monkeypatch):
    idle = retention.Rule(
        Kept.CONTENT, lambda border: Inference.objects.filter(project=border.project), print
    )
    monkeypatch.setattr(retention, "_rules", [idle])
    product.show("a text")
    assert applied(product.project) == {("content", "Inference"): 1}


@pytest.mark.usefixtures("_built")
def test_what_became_used_since_it_was_found_stays(product, monkeypatch):
    product.correct("a text")
    grow_old(product)
    hold = retention._chunks

    def chunks(rows):
        found = list(hold(rows))
        product.version()
        yield from found[:1]

    monkeypatch.setattr(retention, "_chunks", chunks)
    assert applied(product.project) == {}
    assert Feedback.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_build_that_is_under_way_ends_first():
    product = Product()
    product.version()
    product.correct("a text")
    grow_old(product)
    requested = datasets.request_version(product.dataset)
    is_building, ended = threading.Event(), []

    def build():
        with transaction.atomic():
            DatasetVersion.objects.select_for_update().get(pk=requested.pk)
            is_building.set()
            time.sleep(0.5)
            ended.append("build")
        connection.close()

    builder = threading.Thread(target=build)
    builder.start()
    is_building.wait()
    assert applied(product.project) == {("content", "Feedback"): 1}
    assert ended == ["build"]
    builder.join()


def test_history_stays_append_only(product):
    product.correct("a text")
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM privacy_historicalproject")


@pytest.mark.parametrize(
    ("kind", "model", "fields"),
    [
        (
            Kept.IDEMPOTENCY,
            IdempotencyKey,
            {"key_digest": b"a", "fingerprint": b"b", "status_code": 201, "body": {}},
        ),
        (
            Kept.ACCESS_LOG,
            AccessRecord,
            {"subject_digest": b"a", "action": "export", "by": "mo"},
        ),
        (
            Kept.DEAD_LETTERS,
            DeadLetter,
            {"topic": "t", "partition": 0, "offset": 1, "sent_at": timezone.now()},
        ),
    ],
)
@pytest.mark.parametrize("seconds", [-1, 1])
def test_rows_go_by_their_age(product, now, kind, model, fields, seconds):
    created_at = now - timedelta(days=DAYS_KEPT[kind]) + seconds * SECOND
    model.objects.create(project=product.project, created_at=created_at, **fields)
    applied(product.project)
    assert model.objects.exists() == (seconds > 0)


def test_a_letter_of_no_project_goes_by_the_default(product):
    letter = {"topic": "t", "partition": 0, "sent_at": timezone.now()}
    RetentionRule.objects.create(project=product.project, kind=Kept.DEAD_LETTERS, days=1)
    for offset, days in enumerate((29, 31)):
        created_at = timezone.now() - timedelta(days=days)
        DeadLetter.objects.create(offset=offset, created_at=created_at, **letter)
    assert applied(product.project) == {("dead_letters", "DeadLetter"): 1}


@pytest.mark.usefixtures("_built")
def test_who_left_nothing_and_said_nothing_is_forgotten(product):
    product.correct("a text", user="ann")
    product.correct("a text", user="ben")
    consent.decide(
        project=product.project, user_id="ben", purpose=Purpose.TRAINING, is_granted=False
    )
    Contributor.objects.create(task=product.task, user_id="ann")
    Contributor.objects.create(task=product.task, user_id="ben", is_held=True)
    for left in ("Feedback", "Contributor", "DataSubject"):
        grow_old(product)
        removed = applied(product.project)
        assert ("content", left) in removed
    assert applied(product.project) == {}
    assert [person.user_id for person in DataSubject.objects.all()] == ["ben"]
    assert [person.user_id for person in Contributor.objects.all()] == ["ben"]


def test_a_picture_goes_after_all_that_names_it(product):
    fields = {"is_verified": True, "sha256": "0" * 64, "media_type": "image/png"}
    fields |= {"width": 1, "height": 1, "difference_hash": 0}
    images = [Image.objects.create(project=product.project, **fields) for _ in range(2)]
    answer = product.show("a text")
    product.task.modality = "image"
    product.task.save()
    Inference.objects.filter(pk=answer.pk).update(output={"image": str(images[0].uuid)})
    grow_old(product)
    removed = applied(product.project)
    assert removed == {("content", "Image"): 1, ("content", "Inference"): 1}
    assert ("content", "Image") in applied(product.project)
    assert not Image.objects.exists()


def erasing(product):
    """Return the erasure of somebody, which is under way."""
    return ErasureRequest.objects.create(
        project=product.project,
        subject_digest=b"a",
        requested_by="mo",
        tombstone_until=timezone.now(),
    )


def test_while_somebody_is_erased_only_what_no_erasure_proves_goes(product):
    product.show("a text")
    grow_old(product)
    AccessRecord.objects.create(
        project=product.project,
        subject_digest=b"a",
        action="export",
        by="mo",
        created_at=timezone.now() - timedelta(days=1_000),
    )
    erasure = erasing(product)
    retention.apply_due()
    assert not AccessRecord.objects.exists()
    assert Inference.objects.exists()
    assert retention.waiting_seconds() is None
    ErasureRequest.objects.filter(pk=erasure.pk).update(status="done")
    assert retention.waiting_seconds() == 0.0
    assert applied(product.project) == {("content", "Inference"): 1}


def test_an_erasure_that_ends_meanwhile_leaves_the_rest_due(product, monkeypatch):
    erasing(product)
    monkeypatch.setattr(
        retention, "apply", lambda _project: ErasureRequest.objects.update(status="done")
    )
    retention.apply_due()
    assert retention.waiting_seconds() == 0.0


def test_rules_that_wait_for_days_are_said(product, caplog):
    def told():
        caplog.clear()
        retention.apply_due()
        return [message for message in caplog.messages if "waiting" in message]

    assert told() == []
    erasing(product)
    Upkeep.objects.update(done_at=timezone.now() - timedelta(days=3, hours=1))
    assert told() == ["retention.waiting project=shop days=3"]
    assert told() == []  # once a day
    Upkeep.objects.filter(task__endswith="in part").delete()
    ErasureRequest.objects.update(status="done")
    retention.apply_due()
    assert told() == []


def test_rules_that_were_never_applied_are_said(product, caplog):
    Project.objects.update(created_at=timezone.now() - timedelta(days=5))
    product.project.refresh_from_db()
    erasing(product)
    retention.apply_due()
    assert "retention.waiting project=shop days=5" in caplog.messages


def test_what_fewer_days_would_remove_is_counted(product):
    for number in range(3):
        product.show(f"text {number}")
    grow_old(product, days=20)
    product.show("young")

    def counted(days):
        return {
            table: n
            for table, n in retention.would_go(product.project, Kept.CONTENT, days).items()
            if n
        }

    assert counted(19) == {"feedback.Inference": 3}
    assert counted(21) == {}
    assert retention.would_go(product.project, Kept.TOMBSTONE, 1) == {}


def test_the_rules_are_applied_once_a_day(product):
    product.show("a text")
    grow_old(product)
    retention.apply_due()
    assert not Inference.objects.exists()
    assert retention.waiting_seconds() is None
    Upkeep.objects.update(done_at=timezone.now() - timedelta(hours=25))
    assert retention.waiting_seconds() == 0.0


def test_sessions_that_ended_go(product):
    for days in (-1, 1):
        Session.objects.create(
            session_key=f"key {days}", expire_date=timezone.now() + timedelta(days=days)
        )
    retention.apply_due()
    assert [row.session_key for row in Session.objects.all()] == ["key 1"]


def test_a_century_is_the_longest(product):
    RetentionRule.objects.create(project=product.project, kind=Kept.CONTENT, days=2_147_483_647)
    product.show("a text")
    grow_old(product)
    assert applied(product.project) == {}


def told(*arguments, **options):
    out = StringIO()
    call_command("apply_retention", *arguments, stdout=out, **options)
    return out.getvalue()


def test_the_command_says_what_would_go(product):
    product.show("a text")
    grow_old(product)
    lines = told("--dry-run", "--project", "shop").splitlines()
    cells = [line.split() for line in lines]
    assert cells[0] == ["project", "kind", "what", "days", "from", "before", "rows"]
    assert [row[-1] for row in cells if row[2] == "feedback.Inference"] == ["1"]
    assert Inference.objects.count() == 1
    told()
    assert not Inference.objects.exists()


def test_the_command_says_what_waits_for_an_erasure(product):
    product.show("a text")
    grow_old(product)
    erasing(product)
    err = StringIO()
    assert "access_log" in told(stderr=err)
    assert "Somebody of shop is being erased" in err.getvalue()
    assert Inference.objects.exists()


def test_the_command_knows_its_projects(product):
    with pytest.raises(CommandError, match="no project nix"):
        told("--project", "nix")
