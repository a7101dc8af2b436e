"""A body in: one stored row, or a refusal that stored nothing; never personal data as sent."""

import logging
import threading

import pytest
from django.db import connection

from config import embedded
from feedback.models import Feedback, Inference
from privacy.models import ApiKey
from tests.product import Product, stored_text

pytestmark = pytest.mark.django_db
CANARIES = {
    "EMAIL": "ann.canary@example.org",
    "PHONE": "+49 1512 3456789",
    "CREDIT_CARD": "4111 1111 1111 1111",
    "IBAN": "DE89 3704 0044 0532 0130 00",
    "IP_ADDRESS": "203.0.113.77",
}


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task(correction_types=["label"], settings={"max_characters": 500})
    return shop


def react(shop, status=201, **more):
    body = {"inference_id": shop.infer(), "signal": "up", "user_id": "ann"} | more
    return shop.post("feedback/", body, status)


def rejected(shop, **more):
    """Send what validation refuses; return the codes and check that the row was kept."""
    answer = react(shop, 422, **more)
    assert answer["code"] == "feedback.rejected"
    row = shop.get(f"feedback/{answer['id']}/")
    assert row["status"] == "rejected"
    assert row["rejections"] == answer["errors"]
    return [problem["code"] for problem in answer["errors"]]


def test_it_works(shop):
    inference = shop.infer()
    body = {"inference_id": inference, "signal": "correction", "corrected": "neg"}
    receipt = shop.post("feedback/", body | {"user_id": "ann", "correction_type": "label"}, 201)
    assert receipt["created_at"]
    assert receipt | {"id": 0, "created_at": 0} == {
        "id": 0,
        "inference_id": inference,
        "task": "mood",
        "status": "pending",
        "flags": [],
        "quality": 1.0,
        "redactions": {},
        "created_at": 0,
    }
    row = shop.get(f"feedback/{receipt['id']}/")
    shown = {"input": "good soup", "original": "pos", "corrected": "neg", "user_id": "ann"}
    assert row | receipt | shown == row
    assert row["diff"] == [{"op": "replace", "path": "", "value": "neg"}]
    assert (row["review"], row["example_ids"], row["processed_at"]) == (None, [], None)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"signal": "correction", "corrected": "pos"}, "feedback.no_change"),
        ({"signal": "correction"}, "feedback.empty"),
        ({"signal": "edited", "corrected": None}, "feedback.empty"),
        ({"signal": "correction", "corrected": "blue"}, "feedback.schema_mismatch"),
        ({"signal": "correction", "corrected": {"a": 1}}, "feedback.schema_mismatch"),
        ({"signal": "up", "corrected": "neg"}, "feedback.schema_mismatch"),
        ({"signal": "up", "comment": "so good " * 63}, "feedback.too_long"),
    ],
)
def test_validation_refuses_with_its_reason_and_keeps_the_row(shop, sent, code):
    assert rejected(shop, **sent) == [code]


def test_saying_the_same_again_is_a_duplicate(shop):
    inference = shop.infer()
    react(shop, inference_id=inference)
    assert rejected(shop, inference_id=inference) == ["feedback.duplicate"]
    react(shop, inference_id=inference, user_id="bob")
    react(shop, inference_id=inference, signal="correction", corrected="neg")


def test_only_what_was_said_last_is_a_duplicate(shop):
    inference = shop.infer()
    for signal in ("up", "down", "up"):
        react(shop, inference_id=inference, signal=signal)
    assert rejected(shop, inference_id=inference) == ["feedback.duplicate"]
    item = {"inference_id": inference, "user_id": "ann"}
    items = [item | {"signal": signal} for signal in ("down", "down", "up", "up", "down")]
    results = shop.post("feedback/batch/", {"items": items}, 200)["results"]
    assert [result["status"] for result in results] == [201, 422, 201, 422, 201]
    assert list(Feedback.objects.order_by("number").values_list("signal", "status"))[-1] == (
        "down",
        "flagged",
    )


@pytest.mark.parametrize("said", ["my password is hunter22x", "api_key=Zx81Kd02Lm55Qp77Rt93"])
def test_what_remains_in_the_answer_makes_its_feedback_sensitive(shop, said):
    inference = shop.infer(text=said)
    assert react(shop, inference_id=inference)["flags"] == ["feedback.sensitive"]
    body = {"task": "mood", "input": said, "output": "pos", "signal": "up", "user_id": "ann"}
    assert shop.post("feedback/", body, 201)["flags"] == ["feedback.sensitive"]


@pytest.mark.parametrize(
    ("sent", "flag"),
    [
        ({"signal": "down"}, "feedback.no_fix"),
        ({"comment": "<script>alert(1)</script>"}, "feedback.markup"),
    ],
)
def test_what_a_person_should_see_is_flagged(shop, sent, flag):
    receipt = react(shop, **sent)
    assert (receipt["status"], receipt["flags"]) == ("flagged", [flag])
    assert receipt["quality"] < 1


def test_another_answer_to_the_same_input_is_a_contradiction(shop):
    shop.task(slug="tone", labels=["a", "b", "c"])
    body = {"task": "tone", "output": "a", "signal": "correction"}
    ann = body | {"input": "Good  SOUP", "corrected": "b", "user_id": "ann"}
    assert shop.post("feedback/", ann, 201)["flags"] == []
    agreed = body | {"input": "good soup", "corrected": "b", "user_id": "bob"}
    assert shop.post("feedback/", agreed, 201)["flags"] == []
    differs = body | {"input": "good soup ", "corrected": "c", "user_id": "eve"}
    assert shop.post("feedback/", differs, 201)["flags"] == ["feedback.contradiction"]
    elsewhere = body | {"input": "good stew", "corrected": "c", "user_id": "eve"}
    assert shop.post("feedback/", elsewhere, 201)["flags"] == []


def test_changing_ones_mind_is_no_contradiction(shop):
    shop.task(slug="tone", labels=["a", "b", "c"])
    body = {"task": "tone", "input": "x", "output": "a", "signal": "correction", "user_id": "ann"}
    shop.post("feedback/", body | {"corrected": "b"}, 201)
    assert shop.post("feedback/", body | {"corrected": "c"}, 201)["flags"] == []


def test_another_project_contradicts_nobody(shop):
    other = Product("other")
    other.task(labels=["neg", "pos", "odd"])
    shop.correct("ann")
    assert other.correct("bob", corrected="odd")["flags"] == []


def test_an_inference_is_made_on_the_way(shop):
    row = shop.correct("ann", metadata={"seat": "window"}, session_id="s1")
    inference = Inference.objects.get()
    assert row["inference_id"] == str(inference.uuid)
    assert (inference.input, inference.output, inference.user_id) == ("good soup", "pos", "ann")
    assert (inference.metadata, inference.session_id) == ({}, "s1")


def test_a_refused_type_leaves_no_inference_behind(shop):
    body = {"task": "mood", "input": "x", "output": "pos", "signal": "up"}
    wrong = body | {"correction_type": "panel"}
    shop.refused("POST", "feedback/", wrong, status=400, code="api.malformed")
    assert not Inference.objects.exists()


def test_an_inference_has_a_target_and_a_parent(shop):
    target = {"type": "scene", "id": "s-7"}
    story = shop.infer("story", target={"type": "comic", "id": "c-1"})
    scene = shop.infer("scene", parent_inference=story, target=target, confidence=0.5)
    row = react(shop, inference_id=scene)
    react(shop, inference_id=story)
    assert str(Inference.objects.get(uuid=scene).parent.uuid) == story
    (found,) = shop.get("feedback/?target=scene:s-7")["results"]
    assert found["id"] == row["id"]


@pytest.mark.parametrize("confidence", [-0.1, 1.1, "1", True])
def test_a_confidence_is_a_probability(shop, confidence):
    body = {"task": "mood", "input": "x", "output": "pos", "confidence": confidence}
    document = shop.refused("POST", "inferences/", body, status=400, code="api.malformed")
    assert document["errors"][0]["pointer"] == "/confidence"


def test_a_parent_is_of_the_same_project(shop):
    other = Product("other")
    other.task()
    body = {"task": "mood", "input": "x", "output": "pos", "parent_inference": other.infer()}
    document = shop.refused("POST", "inferences/", body, status=400, code="api.malformed")
    assert document["errors"][0]["pointer"] == "/parent_inference"


def test_filters_narrow_the_list(shop):
    up = react(shop)
    down = react(shop, signal="down", user_id="bob")
    for query, expected in [
        ("signal=up", [up]),
        ("status=flagged", [down]),
        ("user_id=bob", [down]),
        ("task=mood", [down, up]),
        ("task=other", []),
        ("since=2000-01-01T00:00:00Z", [down, up]),
        ("since=2999-01-01T00:00:00Z", []),
        ("since=2999-01-01T00:00:00%2B23:42", []),
    ]:
        found = shop.get(f"feedback/?{query}")["results"]
        assert [row["id"] for row in found] == [row["id"] for row in expected], query


def test_a_time_has_any_offset(shop):
    told = react(shop, occurred_at="2026-01-02T00:00:00+23:42")
    assert shop.get(f"feedback/{told['id']}/")["occurred_at"] == "2026-01-01T00:18:00Z"
    for time, found in (("0001-01-01T00:00:00%2B23:42", 1), ("9999-12-31T23:59:59-23:42", 0)):
        assert len(shop.get(f"feedback/?since={time}")["results"]) == found


@pytest.mark.parametrize("kind", CANARIES)
def test_personal_data_never_reaches_a_table_or_a_log(shop, caplog, kind):
    caplog.set_level(logging.INFO)
    secret = CANARIES[kind]
    told = f"call {secret} now"
    inference = shop.infer({"a": told, f"key {secret}": "x"}, metadata={f"m {secret}": [told]})
    more = {"comment": told, "metadata": {"deep": [{told: told}]}}
    receipt = react(shop, inference_id=inference, **more)
    assert receipt["redactions"][kind] >= 2
    react(shop, 422, signal="correction", corrected=told)
    react(shop, 422, signal="correction", corrected={"boxes": [told]})
    shop.correct("bob", told, comment=told)
    shop.client.get("/api/v1/feedback/", {"task": told})
    stored = stored_text()
    row = shop.get(f"feedback/{receipt['id']}/")
    assert row["comment"] == f"call [{kind}] now"
    log = embedded.data_dir() / "logs" / "postgres.log"
    for text in (stored, caplog.text, log.read_text()):
        assert secret not in text
        assert secret.replace(" ", "") not in text


def test_labels_of_boxes_are_no_personal_data(shop):
    settings = {"redact_terms": ["Acme"]}
    shop.task(slug="page", modality="layout", labels=["Acme logo", "x"], settings=settings)
    box = {"id": "Acme 1", "label": "Acme logo", "bbox": [1, 1, 5, 5]}
    body = {"task": "page", "input": {"page": {"width": 9, "height": 9}}, "signal": "correction"}
    body |= {"output": {"boxes": [box]}, "corrected": {"boxes": [box | {"label": "x"}]}}
    row = shop.get(f"feedback/{shop.post('feedback/', body, 201)['id']}/")
    (before,), (after,) = row["original"]["boxes"], row["corrected"]["boxes"]
    assert (before["label"], after["label"]) == ("Acme logo", "x")
    assert before["id"] == after["id"] != box["id"]


def test_a_label_is_no_personal_data(shop):
    shop.task(slug="who", labels=["ann@example.org", "bob@example.org"])
    body = {"task": "who", "input": "x", "output": "ann@example.org", "signal": "correction"}
    row = shop.post("feedback/", body | {"corrected": "bob@example.org"}, 201)
    assert row["redactions"] == {}
    assert shop.get(f"feedback/{row['id']}/")["corrected"] == "bob@example.org"


@pytest.mark.parametrize("user_id", ["ann", "ann@example.org", "auth0|7", "+49-151", "x" * 128])
def test_a_person_is_found_by_the_id_the_product_gave(shop, user_id):
    row = shop.correct(user_id)
    assert shop.get(f"feedback/{row['id']}/")["user_id"] == user_id


def test_a_batch_answers_in_order_and_one_bad_item_harms_no_other(shop):
    shop.put("privacy/subjects/gone/consents/collection/", {"granted": False})
    inference = shop.infer()
    good = {"inference_id": inference, "signal": "up", "user_id": "ann"}
    items = [
        good,
        good | {"inference_id": "7"},
        good | {"signal": "down", "user_id": "bob"},
        good | {"user_id": "gone"},
        good | {"signal": "correction", "corrected": "pos"},
        good | {"user_id": "cid", "comment": "x" * 70_000},
        good | {"user_id": "dan"},
    ]
    answer = shop.post("feedback/batch/", {"items": items}, 200)
    assert [r["status"] for r in answer["results"]] == [201, 400, 201, 403, 422, 400, 201]
    counts = {name: answer[name] for name in ("created", "flagged", "rejected", "failed")}
    assert counts == {"created": 3, "flagged": 1, "rejected": 1, "failed": 3}
    assert Feedback.objects.count() == 4
    assert [r.get("code") for r in answer["results"]][1:6:2] == [
        "api.malformed",
        "privacy.opted_out",
        "api.malformed",
    ]


def test_a_broken_item_of_a_batch_is_refused_alone(shop):
    good = b'{"inference_id": "%s", "signal": "up", "user_id": "u%d"}'
    inference = shop.infer().encode()
    nul = b'{"inference_id": "%s", "signal": "up", "comment": "\\u0000"}' % inference
    items = [good % (inference, 1), nul, b"[" * 50 + b"]" * 50, b"7", good % (inference, 2)]
    answer = shop.post("feedback/batch/", b'{"items": [' + b", ".join(items) + b"]}", 200)
    assert [result["status"] for result in answer["results"]] == [201, 400, 400, 400, 201]
    assert answer["results"][1]["errors"][0]["pointer"] == "/comment"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"items": {}}', b'{"items": []}', b'{"items": [{}], "more": 1}'],
)
def test_a_batch_without_a_sound_envelope_is_refused_whole(shop, body):
    shop.refused("POST", "feedback/batch/", body, status=400, code="api.malformed")


def test_a_batch_holds_a_thousand_items(shop):
    shop.refused(
        "POST", "feedback/batch/", {"items": [{}] * 1_001}, status=400, code="api.malformed"
    )
    answer = shop.post("feedback/batch/", {"items": [{}] * 1_000}, 200)
    assert answer["failed"] == 1_000


def test_the_same_item_twice_in_a_batch_is_stored_once(shop):
    item = {"inference_id": shop.infer(), "signal": "up", "user_id": "ann"}
    item["id"] = "6f1f6e2c-95a5-4f0a-9a36-0a4b0a9f6f5e"
    answer = shop.post("feedback/batch/", {"items": [item, item]}, 200)
    assert [result["status"] for result in answer["results"]] == [201, 200]
    assert Feedback.objects.count() == 1


def test_a_task_has_a_name_of_its_own(shop):
    task = {"slug": "mood", "modality": "classification", "labels": ["a", "b"]}
    shop.refused("POST", "tasks/", task, status=409, code="feedback.task_exists")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"labels": ["pos"]}, "/labels"),
        ({"labels": ["pos", "pos"]}, "/labels"),
        ({"labels": ["pos", ""]}, "/labels/1"),
        ({"settings": {"more": 1}}, "/settings/more"),
        ({"settings": {"silence_weight": 2}}, "/settings/silence_weight"),
        ({"retrain_after_examples": 2**40}, "/retrain_after_examples"),
        ({"slug": "other"}, "/slug"),
    ],
)
def test_a_task_is_changed_within_its_rules(shop, change, pointer):
    document = shop.refused("PATCH", "tasks/mood/", change, status=400, code="api.malformed")
    assert document["errors"][0]["pointer"] == pointer
    shop.patch("tasks/mood/", {"labels": ["neg", "pos", "odd"], "retrain_every_hours": None})
    assert shop.get("tasks/mood/")["labels"] == ["neg", "pos", "odd"]


def test_a_setting_that_is_not_named_stays_as_it_is(shop):
    shop.patch("tasks/mood/", {"settings": {"silence_weight": 0.5}})
    settings = shop.patch("tasks/mood/", {"retrain_every_hours": 24})["settings"]
    assert (settings["max_characters"], settings["silence_weight"]) == (500, 0.5)
    assert shop.project.tasks.get().settings == {"max_characters": 500, "silence_weight": 0.5}


@pytest.mark.django_db(transaction=True)
def test_batches_that_bring_the_same_people_in_another_order_are_all_stored(shop):
    def item(number, batch):
        return {
            "task": "mood",
            "input": f"soup {number} of batch {batch}",
            "output": "pos",
            "signal": "up",
            "user_id": f"user-{number}",
        }

    answers = []

    def send(batch):
        numbers = range(30) if batch % 2 else reversed(range(30))
        body = {"items": [item(number, batch) for number in numbers]}
        try:
            answers.append(shop.send("POST", "feedback/batch/", body).json())
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=[batch]) for batch in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.get("created") for answer in answers] == [30] * 6


@pytest.mark.parametrize("column", ["revoked_at", "expires_at"])
def test_a_remembered_key_is_refused_as_soon_as_it_has_ended(shop, column):
    body = {"task": "mood", "input": "x", "output": "pos"}
    act = body | {"signal": "up", "user_id": "ann"}
    shop.post("feedback/", act, 201, Idempotency_Key="again")
    ApiKey.objects.update(**{column: "2020-01-01T00:00:00Z"})
    for path, sent in [
        ("inferences/", body),
        ("feedback/", act),
        ("feedback/batch/", {"items": [act]}),
    ]:
        shop.refused("POST", path, sent, status=401, code="api.unauthenticated")
    replay = {"status": 401, "code": "api.unauthenticated", "Idempotency_Key": "again"}
    shop.refused("POST", "feedback/", act, **replay)
    assert Feedback.objects.count() == Inference.objects.count() == 1
