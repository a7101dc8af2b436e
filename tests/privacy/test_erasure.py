"""One person leaves: the tombstone, the steps, the receipt, and what a restore may not undo."""

import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.contrib.admin.models import LogEntry
from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from config import storage
from config.errors import Unavailable
from feedback import review
from feedback.models import Approval, Contributor, Example, Feedback, Inference, Review
from privacy import consent, erasure, erasure_log, holders, receipts, tombstones, verifying
from privacy.errors import Erased, ReceiptInvalid
from privacy.holders import Step
from privacy.management.commands import erase_subject
from privacy.models import DataSubject, ErasureRequest, Purpose, RetentionRule
from tests.commands import refused, run, succeed
from tests.product import Product, process

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def log(settings, tmp_path):
    """Begin each test with an empty log, and no files of other tests."""
    settings.STORAGE_URL = str(tmp_path / "storage")
    settings.ERASURE_LOG_URL = str(tmp_path / "log")
    return settings.ERASURE_LOG_URL


@pytest.fixture
def shop():
    product = Product()
    product.task()
    return product


def ask(product, user_id="ann"):
    return erasure.request(project=product.project, user_id=user_id, by="a test")


def erased(product, user_id="ann"):
    """Erase to the end; return the request."""
    asked = ask(product, user_id)
    while erasure.erase_next():
        pass
    asked.refresh_from_db()
    assert asked.status == "done", asked.error
    return asked


def test_it_works(shop):
    shop.correct("ann")
    shop.correct("bob", "bad tea")
    process()
    done = erased(shop)
    assert set(Feedback.objects.values_list("user_id", flat=True)) == {"bob"}
    assert not DataSubject.objects.filter(user_id="ann").exists()
    assert done.user_id is None
    assert done.receipt["removed"]["feedback.Feedback"] == 1
    assert receipts.verify(done.receipt)["erasure"] == str(done.uuid)
    assert verifying.left(done.receipt) == {}


def test_from_the_request_on_nothing_of_the_person_is_stored(shop):
    inference = shop.infer()
    ask(shop)
    answer = {"status": 403, "code": "privacy.erased"}
    body = {"inference_id": inference, "signal": "up", "user_id": "ann"}
    shop.refused("POST", "feedback/", body, **answer)
    shown = {"task": "mood", "input": "x y", "output": "pos", "user_id": "ann"}
    shop.refused("POST", "inferences/", shown, **answer)
    shop.refused("PUT", "privacy/subjects/ann/consents/training/", {"granted": True}, **answer)
    assert Feedback.objects.count() == 0
    assert Inference.objects.filter(user_id="ann").count() == 0


def test_one_item_of_a_batch_is_refused_and_the_others_stored(shop):
    ask(shop)
    items = [
        {"task": "mood", "input": "a b", "output": "pos", "signal": "up", "user_id": user}
        for user in ("ann", "bob")
    ]
    results = shop.post("feedback/batch/", {"items": items}, 200)["results"]
    assert [result["status"] for result in results] == [403, 201]
    assert results[0]["code"] == "privacy.erased"


def test_other_projects_and_other_people_are_not_refused(shop):
    other = Product("bakery")
    other.task()
    erased(shop)
    other.correct("ann")
    shop.correct("bob")


def test_the_tombstone_ends_by_the_projects_rule(shop):
    RetentionRule.objects.create(project=shop.project, kind="tombstone", days=7)
    asked = ask(shop)
    assert timedelta(days=6.9) < asked.tombstone_until - timezone.now() < timedelta(days=7)
    erased(shop)
    ErasureRequest.objects.update(tombstone_until=timezone.now())
    shop.correct("ann")


def test_asked_twice_it_is_one_erasure(shop):
    assert ask(shop) == ask(shop)
    assert len(list(erasure_log.entries())) == 1


def test_a_stranger_may_be_erased_before_they_come(shop):
    done = erased(shop, "nobody-yet")
    assert {label.partition(".")[0] for label in done.receipt["removed"]} == {"privacy"}
    with pytest.raises(Erased), transaction.atomic():
        consent.require(shop.project, "nobody-yet")


def test_neither_receipt_nor_log_nor_record_holds_the_user_id(shop, log):
    shop.correct("ann-of-all-people")
    done = erased(shop, "ann-of-all-people")
    files = [path.read_text() for path in Path(log).rglob("*") if path.is_file()]
    assert len(files) == 1
    record = json.dumps([done.receipt, done.steps, done.requested_by])
    assert "ann-of-all-people" not in record + files[0]
    assert verifying.search("ann-of-all-people") == {}


def away(*_):
    raise Unavailable


def test_without_its_log_nothing_begins(shop, monkeypatch):
    shop.correct("ann")
    monkeypatch.setattr(erasure_log, "write", away)
    with pytest.raises(Unavailable):
        ask(shop)
    assert not ErasureRequest.objects.exists()
    shop.correct("ann", "another soup")


def test_an_erasure_waits_for_what_was_on_its_way(shop):
    """A transaction that does not see the tombstone ends before anything is removed."""
    asked = ask(shop)
    horizon = tombstones.newest_transaction()
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT pg_current_xact_id()")
            later = tombstones.newest_transaction()
            tombstones.wait_for_writers(horizon)  # it began later
            assert _old(later) == 1
            cursor.execute("COMMIT")
        tombstones.wait_for_writers(later)
    finally:
        other.close()
    assert asked.status == "running"


def _old(horizon):
    with connection.cursor() as cursor:
        cursor.execute(tombstones._OLD_TRANSACTIONS, [horizon])
        return cursor.fetchone()[0]


def test_the_storing_statement_itself_refuses(shop):
    """Whoever looked before the tombstone was there does not store after it."""
    ask(shop)
    digest = tombstones.digest_of(shop.project, "ann")
    with pytest.raises(IntegrityError, match="does not let this be stored"):
        refuse_in_sql(shop, [], [digest])


def refuse_in_sql(product, people, digests):
    with connection.cursor() as cursor:
        parameters = [product.project.pk, people, digests]
        cursor.execute("SELECT emend_refuse(%s, %s, %s)", parameters)


def test_the_storing_statement_refuses_who_withdrew_collection(shop):
    consent.decide(
        project=shop.project, user_id="ann", purpose=Purpose.COLLECTION, is_granted=False
    )
    with pytest.raises(IntegrityError, match="does not let this be stored"):
        refuse_in_sql(shop, ["ann"], [])


def test_what_is_left_fails_the_erasure_and_it_can_be_tried_again(shop, monkeypatch):
    shop.correct("ann")
    monkeypatch.setattr(holders, "people", lambda project: [("somewhere", "ann")])
    asked = ask(shop)
    erasure.erase_next()
    asked.refresh_from_db()
    assert (asked.status, asked.error) == ("failed", "privacy.not_erased: somewhere: 1")
    assert asked.user_id == "ann"
    monkeypatch.undo()
    assert ask(shop) == asked
    erasure.erase_next()
    asked.refresh_from_db()
    assert asked.status == "done"
    assert asked.receipt["removed"]["feedback.Feedback"] == 1  # what the first try removed


def test_steps_that_are_done_are_not_done_again(shop, monkeypatch):
    done = []
    broken = {"is": True}

    def second(_request):
        if broken["is"]:
            raise OperationalError("the database is away")
        return {"b": 2}

    steps = [
        Step("one", "One", lambda _request: done.append(1) or {"a": 1}),
        Step("two", "Two", second, is_atomic=False),
    ]
    monkeypatch.setattr(holders, "steps", lambda: steps)
    monkeypatch.setattr(holders, "people", lambda _project: [])
    asked = ask(shop)
    with pytest.raises(OperationalError):
        erasure.erase_next()
    asked.refresh_from_db()
    assert erasure.progress(asked) == (0.4, "Two")
    broken["is"] = False
    ErasureRequest.objects.update(lease_until=None)
    erasure.erase_next()
    asked.refresh_from_db()
    assert done == [1]
    assert asked.receipt["removed"] == {"a": 1, "b": 2}


def test_what_counts_all_that_it_ever_did_counts_once_after_a_retry(shop, monkeypatch):
    removed = iter([{"a": 1}, {"a": 2}, {}])
    steps = [
        Step("rows", "Rows", lambda _request: next(removed)),
        Step("files", "Files", lambda _request: {"b": 2}, is_atomic=False),
    ]
    left = iter([[("somewhere", "ann")]] * 2)
    monkeypatch.setattr(holders, "steps", lambda: steps)
    monkeypatch.setattr(holders, "people", lambda _project: next(left, []))
    for status in ("failed", "failed", "done"):
        asked = ask(shop)
        erasure.erase_next()
        asked.refresh_from_db()
        assert asked.status == status
    assert asked.receipt["removed"] == {"a": 3, "b": 2}


def test_of_one_project_one_erasure_at_a_time(shop):
    first, second = ask(shop), ask(shop, "bob")
    assert list(erasure.executable()) == [first]
    erasure.erase_next()
    assert list(erasure.executable()) == [second]


def test_a_changed_receipt_is_refused(shop):
    receipt = erased(shop).receipt
    with pytest.raises(ReceiptInvalid, match="something else"):
        receipts.verify(receipt | {"removed": {"feedback.Feedback": 7}})


def test_a_receipt_of_another_installation_is_refused(shop, settings):
    receipt = erased(shop).receipt
    settings.ERASURE_KEY = "another"
    with pytest.raises(ReceiptInvalid, match="another key"):
        receipts.verify(receipt)


@pytest.mark.parametrize("junk", [None, [], {}, {"type": receipts.TYPE, "signature": {"value": 1}}])
def test_what_is_no_receipt_is_refused(junk):
    with pytest.raises(ReceiptInvalid):
        receipts.verify(junk)


def test_the_command_erases_and_writes_the_receipt(shop, tmp_path):
    shop.correct("ann")
    place = tmp_path / "receipt.json"
    status, printed, _ = run("erase_subject", "ann", "--project", "shop", "--receipt", place)
    assert (status, printed.strip()) == (0, str(place))
    assert json.loads(place.read_text())["removed"]["feedback.Feedback"] == 1
    assert "Nothing is left" in succeed("verify_erasure", place)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ann", "--project", "nowhere"], "no project nowhere"),
        (["a nn", "--project", "shop"], "user_id has"),
    ],
)
def test_the_command_says_what_is_wrong(shop, tmp_path, words, said):
    assert said in refused("erase_subject", *words, "--receipt", tmp_path / "r.json")


def test_the_command_carries_out_what_stands_before_it(shop, tmp_path, monkeypatch):
    def waits(_seconds):
        pytest.fail("it waits for a worker")

    first = ask(shop)
    monkeypatch.setattr(erase_subject, "time", SimpleNamespace(sleep=waits))
    place = tmp_path / "receipt.json"
    assert run("erase_subject", "bob", "--project", "shop", "--receipt", place)[0] == 0
    first.refresh_from_db()
    assert first.status == "done"


def test_the_command_says_that_the_log_is_away(shop, tmp_path, monkeypatch):
    monkeypatch.setattr(erasure_log, "write", away)
    words = ["ann", "--project", "shop", "--receipt", tmp_path / "r.json"]
    assert refused("erase_subject", *words) == Unavailable.title
    assert not ErasureRequest.objects.exists()


def test_the_command_says_that_the_storage_is_away(shop, tmp_path, monkeypatch):
    steps = [Step("one", "One", away, is_atomic=False)]
    monkeypatch.setattr(holders, "steps", lambda: steps)
    words = ["ann", "--project", "shop", "--receipt", tmp_path / "r.json"]
    assert refused("erase_subject", *words) == Unavailable.title
    assert ErasureRequest.objects.get().status == "running"
    ErasureRequest.objects.update(lease_until=None)
    assert refused("replay_erasures") == Unavailable.title


def test_verification_finds_a_restored_row(shop, tmp_path):
    shop.correct("ann")
    place = tmp_path / "receipt.json"
    run("erase_subject", "ann", "--project", "shop", "--receipt", place)
    DataSubject.objects.create(project=shop.project, user_id="ann")
    status, printed, _ = run("verify_erasure", place)
    assert status == 1
    assert "privacy.DataSubject stands of the person" in printed


def test_verification_finds_history_whose_row_is_gone(shop):
    receipt = erased(shop).receipt
    subject = consent.decide(
        project=shop.project, user_id="bob", purpose=Purpose.TRAINING, is_granted=True
    )
    assert verifying.left(receipt) == {}
    subject.consents.all()._raw_delete("default")
    assert verifying.left(receipt) == {"privacy.HistoricalConsent": 1}


def test_history_of_another_project_is_not_this_ones(shop):
    receipt = erased(shop).receipt
    other = Product("bakery")
    other.task()
    other.correct("bob")
    process()
    subject = consent.decide(
        project=other.project, user_id="bob", purpose=Purpose.TRAINING, is_granted=True
    )
    subject.consents.all()._raw_delete("default")
    review.accept(Feedback.objects.get(), by="lee")
    Review.objects.all()._raw_delete("default")
    assert verifying.left(receipt) == {}
    there = verifying.ownerless(other.project)
    assert there == {"privacy.HistoricalConsent": 1, "feedback.HistoricalReview": 1}
    for rows in (Example, Approval, Feedback):
        rows.objects.all()._raw_delete("default")  # nobody can tell whose review it was
    assert verifying.left(receipt) == {"feedback.HistoricalReview": 1}


def test_a_text_is_found_wherever_it_stands(shop):
    shop.correct("bob", 'the "Zephyrine" soup')
    storage.put(b"the zephyrine weights")
    found = verifying.search("Zephyrine")
    assert found["feedback_inference"] == 1
    assert found["storage/artifacts"] == 1
    assert verifying.search('the "Zephyrine" soup')["feedback_inference"] == 1


def test_the_planners_samples_are_cleared(shop):
    for number in range(30):
        shop.correct("ann", f"the quixotic soup {number % 3}")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE feedback_inference ALTER COLUMN session_id SET STATISTICS 100")
        cursor.execute("UPDATE feedback_inference SET session_id = 'quixotic'")
        cursor.execute("ANALYZE feedback_inference")
    assert verifying.search("quixotic")["pg_stats"] >= 1
    erased(shop)
    assert verifying.search("quixotic") == {}


def test_a_restored_person_is_erased_again(shop):
    shop.correct("ann")
    first = erased(shop)
    ErasureRequest.objects.all()._raw_delete("default")  # a backup from before the erasure
    shop.correct("ann")
    assert "Replayed 1 erasures." in succeed("replay_erasures")
    again = ErasureRequest.objects.get()
    assert again.uuid == first.uuid
    assert again.receipt["removed"]["feedback.Feedback"] == 1
    assert verifying.left(first.receipt) == {}


def test_rows_that_came_back_beside_their_tombstone_are_erased_again(shop):
    done = erased(shop)
    DataSubject.objects.create(project=shop.project, user_id="ann")
    succeed("replay_erasures")
    assert not DataSubject.objects.filter(user_id="ann").exists()
    done.refresh_from_db()
    assert done.status == "done"


def test_a_row_from_before_that_came_back_beside_who_came_anew_is_erased(shop):
    shop.correct("ann")
    old = Feedback.objects.values("created_at").get()
    erased(shop)
    ErasureRequest.objects.update(tombstone_until=timezone.now())
    shop.correct("ann", "another soup")
    assert "Replayed 0 erasures." in succeed("replay_erasures")
    Feedback.objects.update(**old)
    assert "Replayed 1 erasures." in succeed("replay_erasures")
    assert not Feedback.objects.exists()


def test_who_came_back_after_the_tombstone_stays(shop):
    erased(shop)
    ErasureRequest.objects.update(tombstone_until=timezone.now())
    shop.correct("ann")
    assert "Replayed 0 erasures." in succeed("replay_erasures")
    assert DataSubject.objects.filter(user_id="ann").exists()


def test_a_defect_fails_one_erasure_and_holds_up_nobody(shop, monkeypatch):
    first, second = ask(shop), ask(shop, "bob")

    def stumble(_request):
        raise ValueError("something that ann said")

    monkeypatch.setattr(holders, "steps", lambda: [Step("one", "One", stumble)])
    with pytest.raises(ValueError, match="ann said"):
        erasure.erase_next()
    first.refresh_from_db()
    assert (first.status, first.error) == ("failed", "api.internal: ValueError")
    assert list(erasure.executable()) == [second]


def test_a_failed_erasure_refuses_beyond_the_tombstones_time(shop):
    ask(shop)
    ErasureRequest.objects.update(status="failed", tombstone_until=timezone.now())
    shop.refused(
        "POST",
        "feedback/",
        {"task": "mood", "input": "a b", "output": "pos", "signal": "up", "user_id": "ann"},
        status=403,
        code="privacy.erased",
    )


def test_who_is_back_is_erased_again_when_asked(shop):
    done = erased(shop)
    DataSubject.objects.create(project=shop.project, user_id="ann")
    assert ask(shop) == done
    erasure.erase_next()
    assert not DataSubject.objects.filter(user_id="ann").exists()


@pytest.mark.parametrize("model", [Feedback, Inference])
def test_rows_that_are_back_without_the_person_are_erased_again_when_asked(shop, model):
    done = erased(shop)
    shop.correct("bob")
    model.objects.update(user_id="ann")
    assert ask(shop) == done
    erasure.erase_next()
    assert not model.objects.filter(user_id="ann").exists()


def test_asked_again_a_finished_erasure_stays_so(shop):
    shop.correct("ann")
    done = erased(shop)
    assert (ask(shop), ask(shop).status) == (done, "done")


def test_a_replay_forgets_which_transaction_was_waited_for(shop):
    """In another server their numbers are lower for years."""
    asked = ask(shop)
    ErasureRequest.objects.update(horizon=10**15)
    erasure.replay()
    asked.refresh_from_db()
    assert asked.horizon is None


def test_a_replay_lets_an_erasure_under_way_go_on(shop):
    asked = ask(shop)
    ErasureRequest.objects.update(steps={"one": {"a": 1}}, files={"images": ["x"]})
    erasure.replay()
    asked.refresh_from_db()
    assert (asked.steps, asked.files) == ({"one": {"a": 1}}, {"images": ["x"]})


def test_entries_of_another_key_keep_no_others_from_being_replayed(shop, settings):
    erased(shop)
    settings.ERASURE_KEY = "another"
    erased(shop, "bob")
    ErasureRequest.objects.all()._raw_delete("default")
    DataSubject.objects.create(project=shop.project, user_id="bob")
    assert "1 entries were written with another" in refused("replay_erasures")
    assert ErasureRequest.objects.filter(user_id="bob").exists()


def test_what_removed_files_were_called_is_not_kept(shop):
    done = erased(shop)
    assert done.files == {}


def test_the_admins_log_forgets_people_and_no_other_row_of_that_name(shop, admin_user):
    task = shop.project.tasks.get()
    subject = DataSubject.objects.create(project=shop.project, user_id="mood")
    for row in (task, subject):
        LogEntry.objects.log_actions(admin_user.pk, [row], action_flag=2, single_object=True)
    erased(shop, "mood")
    assert sorted(LogEntry.objects.values_list("object_repr", flat=True)) == ["", "mood"]


def test_the_admins_log_keeps_another_projects_people_of_that_name(shop, admin_user):
    other = Product("bakery")
    other.task()
    for product in (shop, other):
        product.correct("ann")
        Contributor.objects.create(task=product.project.tasks.get(), user_id="ann")
    rows = [*DataSubject.objects.all(), *Contributor.objects.all()]
    LogEntry.objects.log_actions(admin_user.pk, rows, action_flag=2)
    erased(shop)
    named = LogEntry.objects.exclude(object_repr="").values_list("object_id", flat=True)
    theirs = [DataSubject.objects.get(), Contributor.objects.get()]
    assert sorted(named) == sorted(str(row.pk) for row in theirs)
    assert LogEntry.objects.filter(object_repr="").count() == 2
