"""One of two people leaves: nothing of them is anywhere, and nothing of the other changed."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.utils import timezone

from config import storage
from feedback import contributors, erasing, holdings, processing, review
from feedback.errors import TransitionRefused
from feedback.models import (
    Contributor,
    DeadLetter,
    Example,
    Feedback,
    Image,
    Inference,
    Review,
    Standing,
    Task,
)
from privacy import tombstones
from privacy.models import ErasureRequest, IdempotencyKey
from privacy.tombstones import WITHHELD
from tests.feedback.test_images import drawing, encoded
from tests.product import Product, answered, process, stored_text

pytestmark = pytest.mark.django_db
CANARY = "kestrel"
# What the engine and other apps take care of, and the shared sequence of things.
OTHERS_TABLES = {"privacy_erasurerequest", "privacy_datasubject", "privacy_idempotencykey"}


@pytest.fixture(autouse=True)
def _own_storage(settings, tmp_path):
    settings.STORAGE_URL = str(tmp_path / "storage")


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task(modality="text", labels=[])
    return shop


def infer(shop, user_id, text="why", output="because", **more):
    return shop.infer(text, output, user_id=user_id, **more)


def act(shop, user_id, inference, signal="correction", **more):
    body = {"inference_id": inference, "user_id": user_id, "signal": signal}
    if signal == "correction":
        body["corrected"] = "no, for another reason"
    return shop.post("feedback/", body | more, 201)["id"]


def upload(shop, user_id, data=None):
    file = SimpleUploadedFile("x.png", data or encoded(), "image/png")
    sent = shop.client.post("/api/v1/images/", {"file": file, "user_id": user_id})
    return Image.objects.get(uuid=answered(sent, 201)["id"])


def reviewed(number, **more):
    feedback = Feedback.objects.get(uuid=number)
    Feedback.objects.filter(pk=feedback.pk, status="pending").update(status="processed")
    feedback.refresh_from_db()
    return review.accept(feedback, by="lee", **more)


def request(shop, user_id="ann"):
    return ErasureRequest.objects.create(
        project=shop.project,
        subject_digest=tombstones.digest_of(shop.project, user_id),
        user_id=user_id,
        requested_by="test",
        tombstone_until=timezone.now() + timedelta(days=1),
    )


def rewriting():
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL emend.erasing = 'on'")


def erase(shop, user_id="ann"):
    """Take the steps of feedback; return the erasure with its counts."""
    erasure = request(shop, user_id)
    for step in holdings.HOLDINGS.steps:
        with transaction.atomic():
            rewriting()
            counts = step.run(erasure)
            erasure.steps[step.name] = {name: n for name, n in counts.items() if n}
            erasure.save()
    return erasure


def unlink(shop, user_id="ann", to=None):
    with transaction.atomic():
        rewriting()
        erasing.unlink(shop.project, user_id, to)


def rows_of_all():
    """Return the text of each row of each table."""
    with connection.cursor() as cursor:
        found = set()
        for table in set(connection.introspection.table_names(cursor)) - OTHERS_TABLES:
            cursor.execute(f'SELECT t::text FROM "{table}" AS t')  # noqa: S608
            found |= {(table, row) for (row,) in cursor.fetchall()}
    return found


def live_through(shop, user_id, word):
    """Do all that a person does, with a word of theirs in every field; return what hangs on it."""
    common = {"session_id": f"s-{word}", "metadata": {"page": word}}
    about = {"target": {"type": word, "id": word}, "model_version": word}
    shown = infer(shop, user_id, f"why {word}", f"because {word}", **common, **about)
    said = f"no, {word} for another reason"
    done = act(shop, user_id, shown, corrected=said, comment=f"{word} said so", **common)
    reviewed(done, reason=f"{word} is right", corrected=f"{word} indeed, and more", is_pinned=True)
    shop.correct(user_id, f"and {word}", output=f"so {word}", corrected=f"not so, {word}")
    process()
    refused = {"comment": word, "corrected": "\N{ZERO WIDTH SPACE}", **common}
    shop.post(
        "feedback/",
        {"inference_id": shown, "user_id": user_id, "signal": "correction"} | refused,
        None,
    )
    reviewed(done, reason=f"{word} again")
    process()
    image = upload(shop, user_id, encoded(drawing(shift=len(word))))
    task = Task.objects.get(project=shop.project)
    row = Contributor.objects.create(task=task, user_id=user_id, reason=word)
    contributors.hold(row, standing=Standing.QUARANTINED, by="lee", reason=f"{word} lies")
    DeadLetter.objects.create(**place(), project=shop.project, user_id=user_id, content=word)
    return shown, image


def place():
    return {
        "topic": "t",
        "partition": 0,
        "offset": DeadLetter.objects.count(),
        "sent_at": timezone.now(),
    }


def test_it_works(shop):
    infer(shop, "ann")
    act(shop, "ann", infer(shop, "ann", CANARY))
    erasure = erase(shop)
    assert erasure.steps["feedback.rows"] == {"feedback.Feedback": 1, "feedback.Inference": 2}
    assert CANARY not in stored_text()


def test_of_two_people_nothing_of_one_stays_and_nothing_of_the_other_changes(shop):
    live_through(shop, "bob", "heron")
    before = rows_of_all()
    live_through(shop, "ann", CANARY)
    assert stored_text().count(CANARY) > 20
    erase(shop)
    assert CANARY not in stored_text()
    assert set(holdings.people(shop.project)) == {
        (f"feedback.{name}", "bob")
        for name in ("Feedback", "Inference", "Image", "Contributor", "DeadLetter")
    }
    assert rows_of_all() == before


def test_another_project_is_not_touched(shop):
    stranger = Product("stranger")
    stranger.task(modality="text", labels=[])
    live_through(stranger, "ann", CANARY)
    before = rows_of_all()
    live_through(shop, "ann", "heron")
    erase(shop)
    assert rows_of_all() == before


@pytest.mark.parametrize("status", ["pending", "flagged", "rejected", "processed", "failed"])
def test_what_others_said_of_a_persons_answer_becomes_a_shell(shop, status):
    shown = infer(shop, "ann", CANARY, f"{CANARY}!", metadata={"a": CANARY})
    body = {"comment": CANARY, "metadata": {"b": CANARY}, "session_id": "of-bob"}
    done = act(shop, "bob", shown, corrected=f"not {CANARY}", **body)
    act(shop, "cleo", shown, "up", source="audit")
    reviewed(done, reason=CANARY, corrected=f"{CANARY}, rather")
    process()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = 'replica'")  # without triggers
        cursor.execute("UPDATE feedback SET status = %s", [status])
        cursor.execute("SET LOCAL session_replication_role = 'origin'")
    counts = erase(shop).steps["feedback.rows"]
    assert counts == {
        "feedback.Example": 2,
        "feedback.Feedback emptied": 2,
        "feedback.HistoricalReview": 1,
        "feedback.Approval": 1,
        "feedback.Inference emptied": 1,
        "feedback.Review": 1,
    }
    assert CANARY not in stored_text()
    shell = Feedback.objects.get(user_id="bob")
    assert (shell.status, shell.signal, shell.session_id) == ("erased", "correction", "of-bob")
    assert (shell.original, shell.corrected, shell.comment, shell.metadata) == (None, None, "", {})
    assert Feedback.history.filter(number=shell.pk).exists()  # it holds no content
    assert Feedback.objects.get(user_id="cleo").source == "audit"


def test_a_stub_is_without_content_and_person(shop):
    done = act(shop, "bob", infer(shop, "ann", CANARY))
    made = Inference.objects.get().created_at
    erase(shop)
    stub = Feedback.objects.get(uuid=done).inference
    assert (stub.user_id, stub.input, stub.output, stub.created_at) == (None, None, None, made)
    assert (bytes(stub.input_hash), stub.is_verified, stub.api_key_id) == (b"", False, None)


def test_a_shell_can_be_looked_at(shop, admin_client):
    act(shop, "bob", infer(shop, "ann"))
    erase(shop)
    for name, row in (("feedback", Feedback), ("inference", Inference)):
        for address in ("", f"{row.objects.get().pk}/change/"):
            page = admin_client.get(f"/admin/feedback/{name}/{address}", follow=True)
            assert page.status_code in {200, 404}, address  # inferences have no page of their own


def test_a_stub_goes_with_the_last_who_acted_on_it(shop):
    act(shop, "bob", infer(shop, "ann"))
    erase(shop)
    erase(shop, "bob")
    assert (Inference.objects.count(), Feedback.objects.count()) == (0, 0)


def test_a_shell_is_shown_and_decided_no_more(shop):
    done = act(shop, "bob", infer(shop, "ann"))
    erase(shop)
    assert shop.get(f"feedback/{done}/")["status"] == "erased"
    with pytest.raises(TransitionRefused):
        review.reject(Feedback.objects.get(), by="lee", reason="no")


def test_nobody_acts_on_a_stub(shop):
    shown = infer(shop, "ann")
    act(shop, "bob", shown)
    erase(shop)
    body = {"inference_id": shown, "user_id": "cleo", "signal": "up"}
    shop.refused("POST", "feedback/", body, status=400, code="api.malformed")
    assert Feedback.objects.count() == 1


def test_an_answer_that_followed_from_one_follows_from_none(shop):
    parent = infer(shop, "ann")
    infer(shop, "bob", parent_inference=parent)
    before = Inference.objects.get(user_id="bob")
    erase(shop)
    after = Inference.objects.get()
    assert (before.parent_id is None, after.parent_id, after.input) == (False, None, "why")


def test_what_others_were_shown_stays_and_may_be_silent_again(shop):
    shop.patch("tasks/mood/", {"settings": {"silence_hours": 24, "silence_weight": 0.25}})
    act(shop, "ann", infer(shop, "bob"), "up")
    Inference.objects.update(created_at=timezone.now() - timedelta(days=3))
    process()
    task = Task.objects.get()
    assert processing.add_silent_examples(task) == 0
    assert erase(shop).steps["feedback.rows"]["feedback.Feedback"] == 1
    task.refresh_from_db()
    assert processing.add_silent_examples(task) == 1
    assert Example.objects.get().inference.user_id == "bob"


def test_an_answer_without_a_person_is_of_the_only_one_who_acted_on_it(shop):
    shop.patch("tasks/mood/", {"settings": {"silence_hours": 24, "silence_weight": 0.25}})
    shown = infer(shop, None, f"I am {CANARY}")
    act(shop, "ann", shown, "regenerated")
    act(shop, "ann", shown)
    process()
    counts = erase(shop).steps["feedback.rows"]
    assert (counts["feedback.Feedback"], counts["feedback.Inference"]) == (2, 1)
    assert CANARY not in stored_text()


@pytest.mark.parametrize("other", ["bob", None, WITHHELD])
def test_an_answer_without_a_person_stays_where_another_acted_on_it(shop, other):
    shown = infer(shop, None)
    act(shop, "ann", shown)
    done = act(shop, "bob", shown, "up")
    Feedback.objects.filter(uuid=done).update(user_id=other)
    erase(shop)
    left = Feedback.objects.get()
    assert (str(left.uuid), left.status, left.original) == (done, "pending", "because")
    assert left.inference.output == "because"


@pytest.mark.django_db(transaction=True)
def test_an_answer_stays_on_which_another_acts_at_the_last_moment(shop, monkeypatch):
    monkeypatch.setattr(erasing, "_before_rows", [])  # these lock the answers, too
    own, shown = infer(shop, "ann", "own"), infer(shop, None)
    act(shop, "ann", shown)
    is_held = threading.Event()

    def beside_bob():
        act(shop, "bob", shown, "up")
        connection.close()

    def hold():
        with transaction.atomic(), ThreadPoolExecutor(1) as another:
            Inference.objects.select_for_update().get(uuid=own)
            is_held.set()
            time.sleep(0.3)  # the erasure waits for this one when bob acts on the next
            another.submit(beside_bob).result()
        connection.close()

    with ThreadPoolExecutor(1) as beside:
        held = beside.submit(hold)
        assert is_held.wait(10)
        erase(shop)
        held.result()
    left = Feedback.objects.get()
    assert (left.user_id, left.status, left.inference.output) == ("bob", "pending", "because")


def test_done_again_it_comes_to_the_same(shop):
    live_through(shop, "ann", CANARY)
    act(shop, "bob", infer(shop, "ann"))
    rows = holdings.HOLDINGS.steps[0]
    erasure = request(shop)
    came_to = []
    for _ in range(2):
        mark = transaction.savepoint()
        rewriting()
        came_to.append((rows.run(erasure), erasure.files))
        transaction.savepoint_rollback(mark)
        erasure.refresh_from_db()
    assert came_to[0] == came_to[1]
    assert came_to[0][0]["feedback.Inference emptied"] == 1


def test_who_is_not_here_leaves_nothing(shop):
    infer(shop, "bob")
    assert erase(shop).steps == {"feedback.rows": {}, "feedback.files": {}}
    erasure = request(shop)
    erasure.user_id = None
    assert erasing.erase_rows(erasure) == {}


def stored_files():
    return {name for name, _ in storage.digests("images")}


def test_pictures_go_with_what_was_left_of_them(shop):
    image = upload(shop, "ann")
    folder = Path(django_settings.STORAGE_URL) / "images" / image.sha256[:2]
    for suffix in ("removed", "x1y2z3"):
        (folder / f"{image.sha256}.{suffix}").write_bytes(b"a part")
    erasure = erase(shop)
    assert (erasure.files["images"], stored_files()) == ([image.sha256], set())
    assert erasure.steps["feedback.files"] == {"storage/images": 1}
    assert erasing.remove_files(erasure) == {"storage/images": 1}


def test_a_picture_that_another_has_too_stays(shop):
    stranger = Product("stranger")
    image = upload(shop, "ann")
    upload(stranger, "ann")
    erasure = erase(shop)
    assert (erasure.files["images"], stored_files()) == ([], {image.sha256})
    assert Image.objects.get().project == stranger.project


def test_a_picture_that_was_uploaded_again_stays(shop):
    upload(shop, "ann")
    erasure = request(shop)
    rewriting()
    erasing.erase_rows(erasure)
    image = upload(shop, "bob")
    assert erasing.remove_files(erasure) == {"storage/images": 0}
    assert (erasure.files["images"], stored_files()) == ([], {image.sha256})


@pytest.mark.parametrize(
    ("letter", "is_left"),
    [
        ({"content": '{"user_id": "ann"}'}, False),
        ({"content": '{"user_id":"ann"}'}, False),
        ({"content": '{"user_id": "bob", "signal": "ann"}'}, True),
        ({"content": '{"user_id": "a.n"}'}, True),
        ({"user_id": "ann"}, False),
        ({"content": '{"user_id": "anna"}'}, True),
        ({"user_id": "bob", "content": "ann"}, True),
    ],
)
def test_letters_that_name_a_person_go(shop, letter, is_left):
    DeadLetter.objects.create(**place(), **letter)
    erase(shop)
    assert DeadLetter.objects.exists() == is_left


def test_the_planner_keeps_no_samples_of_content(shop):
    live_through(shop, "ann", CANARY)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute("SELECT tablename, attname FROM pg_stats WHERE tablename LIKE 'feedback%'")
        sampled = set(cursor.fetchall())
    assert {("feedback", "user_id"), ("feedback_inference", "input_hash")} <= sampled
    content = {"input", "output", "rejected_output", "original", "corrected", "comment"}
    content |= {"metadata", "rejections", "content"}
    assert [name for _, name in sampled if name in content] == []


def test_a_copy_has_all_that_is_held(shop):
    shown, image = live_through(shop, "ann", CANARY)
    live_through(shop, "bob", "heron")
    copy = {section: list(rows) for section, rows in holdings.held(shop.project, "ann")}
    assert {section: len(rows) for section, rows in copy.items()} == holdings.counted(
        shop.project, "ann"
    )
    assert all(copy.values())
    first = copy["feedback"][0]
    assert (str(first["inference_id"]), first["task"]) == (shown, "mood")
    assert (first["original"], first["status"]) == (f"because {CANARY}", "processed")
    assert copy["reviews"][0]["reason"] == f"{CANARY} again"
    assert copy["images"][0]["sha256"] == image.sha256
    assert "heron" not in str(copy)
    assert "lee" not in str(copy["reviews"] + copy["review_history"] + copy["feedback_history"])


def test_letters_that_say_no_project_are_found_and_shown_to_nobody(shop):
    DeadLetter.objects.create(**place(), user_id="ann", content=CANARY)
    assert ("feedback.DeadLetter", "ann") in set(holdings.people(shop.project))
    copy = {section: list(rows) for section, rows in holdings.held(shop.project, "ann")}
    assert (copy["dead_letters"], CANARY in str(copy)) == ([], False)
    assert holdings.counted(shop.project, "ann")["dead_letters"] == 0


def test_who_is_unlinked_cannot_be_found(shop):
    shown = infer(shop, "ann", session_id="s1", metadata={"m": 1})
    done = act(shop, "ann", shown, comment="well", session_id="s1", metadata={"m": 1})
    image = upload(shop, "ann")
    Contributor.objects.create(task=Task.objects.get(), user_id="ann")
    DeadLetter.objects.create(**place(), project=shop.project, user_id="ann")
    process()
    unlink(shop)
    feedback = Feedback.objects.get(uuid=done)
    assert list(holdings.people(shop.project)) == []
    for row in (feedback, feedback.inference):
        assert (row.user_id, row.session_id, row.metadata) == (None, "", {})
        assert bytes(row.fingerprint) == b""
    assert (feedback.comment, feedback.act_hash) == ("", None)
    assert (feedback.status, feedback.corrected) == ("processed", "no, for another reason")
    assert Example.objects.get().superseded_at is None
    assert Image.objects.get().sha256 == image.sha256
    assert not Contributor.history.exists()


def test_who_refuses_training_goes_on_to_without_a_name(shop):
    act(shop, "ann", infer(shop, "ann"))
    unlink(shop, to=WITHHELD)
    assert (Feedback.objects.get().user_id, Inference.objects.get().user_id) == (WITHHELD, WITHHELD)
    assert list(holdings.people(shop.project)) == []


def test_what_acts_of_an_unlinked_person_hang_on_leads_nowhere(shop):
    """An answer that was stored without a person has a session and a target all the same."""
    about = {"session_id": "s1", "metadata": {"m": 1}, "target": {"type": "order", "id": "7"}}
    alone, shared = (infer(shop, None, text, **about) for text in ("alone", "shared"))
    for shown in (alone, shared):
        act(shop, "ann", shown, session_id="s1")
    act(shop, "bob", shared, "up")
    unlink(shop, to=WITHHELD)
    row = Inference.objects.get(uuid=alone)
    assert (row.user_id, row.session_id, row.metadata, row.target_id) == (WITHHELD, "", {}, "")
    row = Inference.objects.get(uuid=shared)
    assert (row.user_id, row.session_id, row.metadata, row.target_id) == (None, "s1", {"m": 1}, "7")


def test_no_stored_answer_leads_to_what_was_unlinked(shop):
    shown = infer(shop, "ann")
    body = {"inference_id": shown, "user_id": "ann", "signal": "up"}
    shop.post("feedback/", body, 201, Idempotency_Key="one")
    shop.post("feedback/", body | {"user_id": "bob"}, 201, Idempotency_Key="two")
    upload(shop, "ann")
    unlink(shop)
    kept = IdempotencyKey.objects.get()
    assert kept.body["id"] == str(Feedback.objects.exclude(user_id=None).get().uuid)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("standing", "is_held", "is_left"),
    [
        (Standing.QUARANTINED, False, True),
        (Standing.TRUSTED, True, True),
        (Standing.TRUSTED, False, False),
        (Standing.PROBATION, False, False),
    ],
)
def test_nobody_clears_themselves_by_being_unlinked(shop, standing, is_held, is_left):
    task = Task.objects.get()
    figures = {"honesty": 0.1, "evidence": 3.0, "acts": 20, "agreed": 2, "disagreed": 18}
    row = Contributor.objects.create(
        task=task, user_id="eve", standing=standing, is_held=is_held, trust=0.05, **figures
    )
    act(shop, "eve", infer(shop, "eve"))
    unlink(shop, "eve")
    assert Contributor.history.exists() == is_left
    left = Contributor.objects.filter(pk=row.pk).values(*figures, "standing", "trust", "is_held")
    emptied = {"honesty": None, "evidence": None, "acts": 0, "agreed": 0, "disagreed": 0}
    kept = {"standing": standing, "trust": 0.05, "is_held": is_held}
    assert list(left) == ([emptied | kept] if is_left else [])
    with connection.cursor() as cursor:  # nothing was changed in one transaction with the acts
        cursor.execute(
            "SELECT xmin::text FROM feedback_contributor INTERSECT SELECT xmin::text FROM feedback"
        )
        assert cursor.fetchall() == []
    erase(shop, "eve")
    assert not Contributor.objects.exists()


def test_what_may_still_say_whose_it_is_is_emptied(shop):
    quoted = infer(shop, "anna", "I am Anna, why")
    bobs = act(shop, "bob", quoted)
    infer(shop, "anna", "anna alone")
    plain = infer(shop, "anna", "the annals of a plan")
    quoting = act(shop, "anna", plain, corrected="says anna.")
    kept = act(shop, "anna", plain, corrected="says nobody in particular")
    other = act(shop, "bob", infer(shop, "bob", "where is anna"))
    unlink(shop, "anna")
    assert {str(row.uuid) for row in Feedback.objects.filter(status="erased")} == {bobs, quoting}
    assert {str(row.uuid) for row in Feedback.objects.exclude(status="erased")} == {kept, other}
    inputs = Inference.objects.order_by("pk").values_list("input", flat=True)
    assert list(inputs) == [None, "the annals of a plan", "where is anna"]


def test_what_is_sensitive_is_emptied(shop):
    act(shop, "ann", infer(shop, "ann"))
    Feedback.objects.update(flags=["feedback.sensitive"])
    act(shop, "ann", infer(shop, "ann", "other"))
    Inference.objects.filter(input="other").update(is_sensitive=True)
    third = act(shop, "ann", infer(shop, "ann", "third"))
    unlink(shop)
    assert [str(row.uuid) for row in Feedback.objects.exclude(status="erased")] == [third]
    assert Inference.objects.filter(input=None).count() == 1


@pytest.mark.parametrize(
    ("user_id", "text", "is_found"),
    [
        ("a.b|c", "by a.b|c!", True),
        ("a.b|c", "by axb|c", False),
        ("user7", "auser7 of user70", False),
        ("user7", "of user7", True),
        ("5", "5 stars", False),
        ("20260", "20260 stars", False),
        ("up", "thumbs up", False),
        ("x-1+y@z", "X-1+Y@Z", True),
    ],
)
def test_a_user_id_is_found_as_a_word(shop, user_id, text, is_found):
    act(shop, user_id, infer(shop, user_id), comment=text)
    Feedback.objects.update(comment=text)
    Feedback.objects.update(flags=[])
    feedback, answers = erasing.identifying(shop.project, user_id)
    assert (len(feedback), answers) == (int(is_found), [])


def test_who_is_unlinked_has_no_transaction_in_common_with_their_rows(shop):
    for text in ("one", "two"):
        act(shop, "ann", infer(shop, "ann", text), comment="well")
        process()
    Feedback.objects.filter(inference__input="two").update(error="x")
    before = list(Feedback.objects.order_by("pk").values_list("touched", flat=True))
    with transaction.atomic():
        rewriting()
        tombstones.newest_transaction()
        erasing.unlink(shop.project, "ann", None)
    assert list(Feedback.objects.order_by("pk").values_list("touched", flat=True)) == before


def test_an_act_that_was_outdone_stays_so_without_a_name(shop):
    shown = infer(shop, "ann")
    first = act(shop, "ann", shown, corrected="one reason")
    last = act(shop, "ann", shown, corrected="another reason")
    process()
    unlink(shop)
    current = Example.objects.filter(superseded_at=None)
    assert [str(row.feedback.uuid) for row in current] == [last]
    assert str(Example.objects.exclude(superseded_at=None).get().feedback.uuid) == first


@pytest.mark.django_db(transaction=True)
def test_who_has_a_row_in_hand_is_waited_for(shop):
    done = act(shop, "ann", infer(shop, "ann"))
    is_held, order = threading.Event(), []

    def hold():
        with transaction.atomic():
            Feedback.objects.select_for_update().get(uuid=done)
            is_held.set()
            time.sleep(0.5)
            order.append("worker")
        connection.close()

    with ThreadPoolExecutor(1) as beside:
        held = beside.submit(hold)
        assert is_held.wait(10)
        erase(shop)
        order.append("erasure")
        held.result()
    assert (order, Feedback.objects.count()) == (["worker", "erasure"], 0)


def test_a_worker_has_nothing_to_do_with_what_is_gone(shop):
    act(shop, "ann", infer(shop, "ann"))
    act(shop, "bob", infer(shop, "bob"))
    claimed = processing.claim("process.text")
    erase(shop)
    assert (len(claimed.numbers), processing.process(claimed)) == (2, 1)
    assert (Review.objects.count(), Example.objects.get().feedback.user_id) == (0, "bob")
