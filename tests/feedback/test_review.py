"""What a moderator may decide, what follows, and what of it stays on record."""

from itertools import product

import pytest
from django.db import IntegrityError, connection, transaction

from feedback import review
from feedback.errors import ReviewInvalid, TransitionRefused
from feedback.models import CONTENT, TRANSITIONS, Approval, Example, Feedback, Review, Status
from tests.product import Product, process, stored_text
from tests.training.builders import taken

pytestmark = pytest.mark.django_db
STATUSES = Status.values


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


@pytest.fixture
def flagged(shop):
    body = {"inference_id": shop.infer(), "signal": "down", "user_id": "ann"}
    return Feedback.objects.get(uuid=shop.post("feedback/", body, 201)["id"])


def in_status(shop, status):
    """Make a row of that status: rows are born with any, only changes are guarded."""
    row = Feedback.objects.get(uuid=shop.correct("ann")["id"])
    fields = {f.attname: getattr(row, f.attname) for f in row._meta.concrete_fields}
    Feedback.objects.filter(pk=row.pk).delete()
    return Feedback.objects.create(**fields | {"status": status})


def trainable():
    return list(taken().values_list("output", flat=True))


def refused(sql, parameters=()):
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def test_it_works(shop, flagged):
    body = {"decision": "accept", "moderator": "mo", "corrected": "neg", "reason": "plain"}
    row = shop.post(f"feedback/{flagged.uuid}/review/", body, 200)
    assert row["status"] == "pending"
    assert row["review"] | {"at": 0} == {
        "decision": "accept",
        "reason": "plain",
        "corrected": "neg",
        "pinned": False,
        "moderator": "mo",
        "at": 0,
    }
    process()
    row = shop.get(f"feedback/{flagged.uuid}/")
    assert (row["status"], len(row["example_ids"])) == ("processed", 1)
    assert trainable() == ["neg"]


@pytest.mark.parametrize("source", STATUSES)
@pytest.mark.parametrize("target", STATUSES)
def test_only_the_tables_transitions_are_allowed(shop, source, target):
    row = in_status(shop, source)
    sql = "UPDATE feedback SET status = %s WHERE number = %s"
    if target in TRANSITIONS.get(source, set()) or target == source:
        Approval.objects.create(feedback=row, moderator="mo", answer_hash=b"")
        with connection.cursor() as cursor:
            cursor.execute(sql, [target, row.pk])
        assert Feedback.objects.get().status == target
        return
    with pytest.raises(TransitionRefused):
        row.move_to(target)
    refused(sql, [target, row.pk])


@pytest.mark.parametrize(
    ("status", "decision", "after"),
    [
        ("flagged", "accept", "pending"),
        ("flagged", "reject", "rejected"),
        ("flagged", "escalate", "flagged"),
        ("rejected", "accept", "pending"),
        ("rejected", "reject", "rejected"),
        ("rejected", "escalate", "flagged"),
        ("processed", "accept", "pending"),
        ("processed", "reject", "rejected"),
        ("processed", "escalate", "flagged"),
        ("failed", "accept", "pending"),
    ],
)
def test_a_decision_leads_on_and_may_be_revised(shop, status, decision, after):
    row = in_status(shop, status)
    body = {"decision": decision, "moderator": "mo", "reason": "because"}
    assert shop.post(f"feedback/{row.uuid}/review/", body, 200)["status"] == after


@pytest.mark.parametrize(
    ("status", "decision"),
    [
        *product(["pending", "erased"], ["accept", "reject", "escalate"]),
        *product(["failed"], ["reject", "escalate"]),
    ],
)
def test_what_is_not_in_anybodys_hands_cannot_be_decided(shop, status, decision):
    row = in_status(shop, status)
    body = {"decision": decision, "moderator": "mo", "reason": "because"}
    path = f"feedback/{row.uuid}/review/"
    shop.refused("POST", path, body, status=409, code="feedback.transition_refused")
    assert Feedback.objects.get().status == status
    assert not Review.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"decision": "accept"},
        {"decision": "maybe", "moderator": "mo"},
        {"decision": "accept", "moderator": ""},
        {"decision": "accept", "moderator": "mo", "pinned": 1},
    ],
)
def test_a_malformed_decision_is_refused(shop, flagged, body):
    path = f"feedback/{flagged.uuid}/review/"
    shop.refused("POST", path, body, status=400, code="api.malformed")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"decision": "reject"}, "/reason"),
        ({"decision": "reject", "reason": " "}, "/reason"),
        ({"decision": "accept", "corrected": "blue"}, "/corrected"),
        ({"decision": "accept", "corrected": {"a": 1}}, "/corrected"),
    ],
)
def test_an_invalid_decision_changes_nothing(shop, flagged, body, pointer):
    path = f"feedback/{flagged.uuid}/review/"
    code = "feedback.review_invalid"
    body = body | {"moderator": "mo"}
    document = shop.refused("POST", path, body, status=422, code=code)
    assert document["errors"][0]["pointer"] == pointer
    flagged.refresh_from_db()
    assert (flagged.status, Review.objects.count()) == ("flagged", 0)


def test_what_a_moderator_writes_is_redacted(flagged):
    canary = "ann.canary@example.org"
    review.reject(flagged, by="mo", reason=f"she wrote from {canary}")
    assert Review.objects.get().reason == "she wrote from [EMAIL]"
    with pytest.raises(ReviewInvalid):
        review.accept(flagged, by="mo", corrected=canary)
    assert canary not in stored_text()


def test_a_reason_that_grows_by_redaction_still_fits(flagged):
    review.reject(flagged, by="mo", reason=" ".join(["a@b.co"] * 71))
    assert len(Review.objects.get().reason) <= 500


def test_a_revised_decision_changes_the_example(shop, flagged):
    review.accept(flagged, by="mo", corrected="neg")
    process()
    assert trainable() == ["neg"]
    review.reject(flagged, by="lou", reason="unclear")
    assert trainable() == []
    review.accept(flagged, by="mo", corrected="neg")
    process()
    assert trainable() == ["neg"]


def test_a_correction_to_what_the_model_said_is_refused(flagged):
    with pytest.raises(ReviewInvalid) as refused:
        review.accept(flagged, by="mo", corrected=flagged.original)
    assert refused.value.errors[0].code == "feedback.no_change"


@pytest.fixture
def story(shop):
    """Return a thumbs down on a text."""
    shop.task(slug="story", modality="text", labels=[], settings={"max_characters": 40})
    body = {"task": "story", "input": "Say it.", "output": "Ask ann@example.org."}
    row = shop.post("feedback/", body | {"signal": "down", "user_id": "ann"}, 201)
    return Feedback.objects.get(uuid=row["id"])


@pytest.mark.parametrize(
    ("corrected", "codes"),
    [
        ("", ["feedback.empty"]),
        (" \n", ["feedback.empty"]),
        ({}, ["feedback.empty"]),
        (["text"], ["feedback.schema_mismatch"]),
        ("asdfghjkl", ["feedback.gibberish"]),
        ("so " * 14, ["feedback.too_long"]),
        ("asdf " * 9, ["feedback.gibberish", "feedback.too_long"]),
        ("Ask bob@example.org.", ["feedback.no_change"]),
    ],
)
def test_a_moderators_correction_is_refused_like_any_other(shop, story, corrected, codes):
    body = {"decision": "accept", "moderator": "mo", "corrected": corrected}
    path, code = f"feedback/{story.uuid}/review/", "feedback.review_invalid"
    document = shop.refused("POST", path, body, status=422, code=code)
    assert [error["code"] for error in document["errors"]] == codes
    assert {error["pointer"] for error in document["errors"]} == {"/corrected"}
    story.refresh_from_db()
    assert (story.status, Review.objects.count()) == ("flagged", 0)


def test_flags_do_not_stop_a_moderator(story):
    review.accept(story, by="mo", corrected="It is <b>this</b>.")
    assert Review.objects.get().corrected == "It is <b>this</b>."


def test_a_moderator_may_accept_what_validation_took_for_gibberish(shop, story):
    body = {"inference_id": str(story.inference.uuid), "signal": "correction", "user_id": "bob"}
    row = shop.post("feedback/", body | {"corrected": "asdfghjkl"}, 422)
    review.accept(Feedback.objects.get(uuid=row["id"]), by="mo")
    process()
    assert trainable() == ["asdfghjkl"]


def test_failed_feedback_may_be_mended(shop):
    row = in_status(shop, "failed")
    review.accept(row, by="mo", corrected="neg")
    process()
    assert trainable() == ["neg"]


def test_an_unverified_act_teaches_only_once_accepted(shop):
    row = Feedback.objects.get(uuid=shop.capture_key().correct("ann")["id"])
    process()
    assert trainable() == []
    review.accept(Feedback.objects.get(pk=row.pk), by="mo")
    process()
    assert trainable() == ["neg"]


def test_earlier_decisions_stay_in_history(flagged):
    review.accept(flagged, by="mo", corrected="neg", reason="first")
    process()
    first = Example.objects.get().review_history_id
    review.reject(flagged, by="lou", reason="second")
    past = Review.history.order_by("history_id")
    told = list(past.values_list("decision", "moderator", "reason"))
    assert told == [("accept", "mo", "first"), ("reject", "lou", "second")]
    assert past.first().pk == first


def test_statuses_that_a_person_changed_stay_in_history(flagged):
    review.accept(flagged, by="mo", corrected="neg")
    process()
    review.reject(flagged, by="lou", reason="no")
    past = Feedback.history.order_by("history_id")
    told = list(past.values_list("status", "history_change_reason"))
    assert told == [
        ("pending", "accept by mo"),
        ("flagged", "reopened"),
        ("rejected", "reject by lou"),
    ]


def test_a_pinned_case_is_marked_on_its_example(shop, flagged):
    body = {"decision": "accept", "moderator": "mo", "corrected": "neg", "pinned": True}
    shop.post(f"feedback/{flagged.uuid}/review/", body, 200)
    process()
    assert Example.objects.get().is_pinned


@pytest.mark.parametrize(
    "table",
    ["feedback_historicalfeedback", "feedback_historicalreview", "feedback_historicaltask"],
)
def test_history_is_never_rewritten(flagged, table):
    review.accept(flagged, by="mo", corrected="neg", reason="first")
    refused(f"UPDATE {table} SET history_date = now()")  # noqa: S608
    refused(f"DELETE FROM {table}")  # noqa: S608
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute("SET LOCAL emend.erasing = 'on'")
        cursor.execute(f"DELETE FROM {table}")  # noqa: S608


def test_content_is_not_in_history(shop):
    words = ["input-word", "comment-word", "metadata-word", "session-word", "person-word"]
    body = {"inference_id": shop.infer("input-word"), "signal": "down", "comment": "comment-word"}
    body |= {"user_id": "person-word", "session_id": "session-word"}
    row = shop.post("feedback/", body | {"metadata": {"a": "metadata-word"}}, 201)
    row = Feedback.objects.get(uuid=row["id"])
    review.accept(row, by="mo", corrected="neg")
    with connection.cursor() as cursor:
        for table in ("feedback_historicalfeedback", "feedback_historicalreview"):
            cursor.execute(f"SELECT string_agg(t::text, ' ') FROM {table} AS t")  # noqa: S608
            (text,) = cursor.fetchone()
            assert text
            assert not [word for word in [*words, "neg"] if word in text]
    names = {field.name for field in Feedback.history.model._meta.get_fields()}
    assert not names & {*CONTENT, "user_id"}


def test_feedback_that_failed_may_be_tried_again(shop):
    row = in_status(shop, "failed")
    review.retry(row, by="mo")
    assert (row.status, row.attempts, row.error) == ("pending", 0, "")
    process()
    row.refresh_from_db()
    assert row.status == "processed"


@pytest.mark.parametrize("status", [s for s in STATUSES if s != "failed"])
def test_only_what_failed_may_be_tried_again(shop, status):
    row = in_status(shop, status)
    with pytest.raises(TransitionRefused):
        review.retry(row, by="mo")
