"""Events of a topic: read in both modes, stored once, kept as letters where they cannot be.

The broker is librdkafka's own, in a process of its own.
"""

import subprocess
import sys
import time
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from config import json
from config.errors import Malformed, Unavailable
from feedback import kafka
from feedback.events import read_event
from feedback.intake import Ending
from feedback.models import DeadLetter, Feedback, Inference
from privacy.models import StaffProject
from tests.config.test_up import ROOT
from tests.mock_kafka import PARTITIONS
from tests.processes import Processes, wait_until
from tests.product import Product, stored_text

BINARY = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/shop", "ce_type": "emend.feedback"}
STRUCTURED = {"content-type": "application/cloudevents+json"}
ATTRIBUTES = {name.removeprefix("ce_"): value for name, value in BINARY.items()}
TIME = "2026-01-05T10:00:00Z"
EVENTS, BAD = 600, 6


def act(n=0, **changes):
    body = {"task": "mood", "input": f"good soup {n}", "output": "pos", "user_id": f"user-{n % 70}"}
    return body | {"signal": "correction", "corrected": "neg"} | changes


@pytest.fixture(scope="module")
def broker():
    command = [sys.executable, ROOT / "tests" / "mock_kafka.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield process.stdout.readline().strip()
        process.kill()


@pytest.fixture
def shop(db):
    shop = Product("shop")
    shop.task()
    return shop


@pytest.fixture
def topic(broker):
    return Topic(broker)


class Topic:
    """A topic of a test's own, and the group of its name: what was sent, how far it is read."""

    def __init__(self, broker):
        self.broker, self.name = broker, f"acts-{uuid4()}"
        self.producer = Producer({"bootstrap.servers": broker})
        self.sent = 0

    def send(self, body, *, partition=0, **headers):
        """Send a body, or bytes as they are, in binary mode; an id is made where none is given."""
        self.sent += 1
        value = body if isinstance(body, bytes) else json.dumps(body)
        headers = BINARY | {"ce_id": f"{self.sent}"} | headers
        self.producer.produce(self.name, value, partition=partition, headers=headers)
        assert self.producer.flush(10) == 0

    def committed(self):
        """Return the offsets that the group has committed, by partition."""
        group = Consumer({"bootstrap.servers": self.broker, "group.id": self.name})
        places = [TopicPartition(self.name, number) for number in range(PARTITIONS)]
        offsets = {p.partition: p.offset for p in group.committed(places, timeout=10)}
        group.close()
        return {partition: offset for partition, offset in offsets.items() if offset > 0}

    def read(self):
        """Return how many messages are committed."""
        return sum(self.committed().values())


class Reader:
    """A consumer in this process, a step at a time."""

    def __init__(self, topic, shop):
        group = {
            "group.id": topic.name,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
        self.consumer = Consumer({"bootstrap.servers": topic.broker} | group)
        self.stream = kafka.Stream(self.consumer, shop.project)
        # Not subscribed: a group takes seconds to come together.
        places = [TopicPartition(topic.name, number, 0) for number in range(PARTITIONS)]
        self.consumer.assign(places)

    def read(self, is_so):
        """Step until it is so."""
        deadline = time.monotonic() + 30
        while not is_so():
            assert time.monotonic() < deadline
            self.stream.step(Soon())


class Soon(Ending):
    """An end that comes when somebody would wait; it leaves the signals of the tests alone."""

    def __init__(self):
        self.is_near = False

    def wait(self, seconds):
        self.is_near = True


@pytest.fixture
def reader(topic, shop):
    reader = Reader(topic, shop)
    yield reader
    reader.consumer.close()


def letters():
    return list(DeadLetter.objects.order_by("partition", "offset"))


@pytest.mark.django_db(transaction=True)
def test_it_works(topic, broker, monkeypatch):
    """Kill the consumer twice on its way: each event is one row or one letter."""
    shop = Product("shop")
    shop.task()
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", broker)
    monkeypatch.setenv("KAFKA_OPTIONS", '{"session.timeout.ms": 5000}')
    processes = Processes()
    try:
        for part in range(2):
            send_part(topic, part)
            processes.kill(consume(processes, topic, until=has_more_than(part * 198)))
        send_part(topic, 2)
        consumer = consume(processes, topic, until=lambda: topic.read() == EVENTS)
        consumer.terminate()
        assert consumer.wait(30) == 0
    finally:
        processes.end()
    assert Feedback.objects.count() == EVENTS - BAD
    assert [letter.code for letter in letters()] == ["api.malformed"] * BAD


def send_part(topic, part):
    """Send two hundred events, two of them cut off."""
    for n in range(part * 200, part * 200 + 200):
        is_bad = n % 100 == 99
        topic.send(b'{"signal"' if is_bad else act(n), partition=n % PARTITIONS)


def has_more_than(rows):
    return lambda: Feedback.objects.count() > rows


def consume(processes, topic, *, until):
    """Start a consumer; return it when it is so."""
    command = [sys.executable, "manage.py", "consume_kafka", "--project", "shop"]
    command += ["--topic", topic.name, "--group", topic.name]
    process = processes._start("kafka", command)
    wait_until(until, tell=lambda: processes.log(process))
    return process


def test_an_event_becomes_feedback(topic, shop, reader):
    topic.send(act(), ce_time=TIME)
    reader.read(Feedback.objects.exists)
    row = Feedback.objects.get()
    assert (row.user_id, row.corrected, row.source) == ("user-0", "neg", "user")
    assert (row.is_verified, row.api_key) == (True, None)
    assert row.occurred_at.isoformat() == "2026-01-05T10:00:00+00:00"
    assert topic.committed() == {0: 1}


def test_the_body_has_its_own_id_and_time(topic, shop, reader):
    id_ = str(uuid4())
    topic.send(act(id=id_, occurred_at="2025-01-01T00:00:00Z"), ce_time=TIME)
    reader.read(Feedback.objects.exists)
    row = Feedback.objects.get()
    assert (str(row.uuid), row.occurred_at.year) == (id_, 2025)


def test_a_structured_event_is_the_same_event(topic, shop, reader):
    topic.send(act(), ce_id="one")
    event = ATTRIBUTES | {"id": "one", "data": act()}
    topic.producer.produce(topic.name, json.dumps(event), partition=0, headers=STRUCTURED)
    topic.send(act(2))
    reader.read(lambda: Feedback.objects.count() == 2)
    assert (letters(), topic.committed()) == ([], {0: 3})


def test_an_inference_and_the_act_on_it_come_together(topic, shop, reader):
    id_ = str(uuid4())
    said = {"inference_id": id_, "signal": "up", "user_id": "ann"}
    topic.send(said)
    topic.send(
        {"id": id_, "task": "mood", "input": "x", "output": "pos"}, ce_type="emend.inference"
    )
    reader.read(Feedback.objects.exists)
    assert Feedback.objects.get().inference == Inference.objects.get(uuid=id_)


def test_an_act_waits_for_its_inference_and_nobody_for_it(topic, shop, reader):
    id_ = str(uuid4())
    topic.send({"inference_id": id_, "signal": "up", "user_id": "ann"})
    topic.send(act(1))
    reader.read(Feedback.objects.exists)
    assert (letters(), topic.committed()) == ([], {})
    shop.infer(id=id_)
    reader.read(lambda: Feedback.objects.count() == 2)
    assert (letters(), topic.committed()) == ([], {0: 2})


def test_an_act_whose_inference_never_comes_becomes_a_letter(topic, shop, reader, monkeypatch):
    monkeypatch.setattr(kafka, "WAIT_SECONDS", 0.1)
    topic.send({"inference_id": str(uuid4()), "signal": "up", "user_id": "ann"})
    reader.read(DeadLetter.objects.exists)
    assert [letter.code for letter in letters()] == ["feedback.unknown_inference"]
    assert topic.committed() == {0: 1}


def test_a_bad_message_stops_none_behind_it(topic, shop, reader):
    topic.send(b"\xff\0")
    topic.send(act(task="no"))
    topic.send(act(), ce_type="shop.order")
    topic.send(act(), ce_specversion="0.3")
    topic.send(act())
    reader.read(Feedback.objects.exists)
    assert [(letter.offset, letter.code) for letter in letters()] == [
        (0, "api.malformed"),
        (1, "feedback.unknown_task"),
        (2, "feedback.unknown_event_type"),
        (3, "feedback.not_an_event"),
    ]
    assert topic.committed() == {0: 5}


def test_a_letter_says_which_event_it_was_without_personal_data(topic, shop, reader):
    body = act(task="no", comment="write to anna@example.com", password="hunter2")
    topic.send(body, ce_source="/anna@example.com", ce_id="call +49 171 2345678")
    reader.read(DeadLetter.objects.exists)
    (letter,) = letters()
    assert (letter.source, letter.event_id) == ("/[EMAIL]", "call [PHONE]")
    assert "write to [EMAIL]" in letter.content
    kept = stored_text()
    assert [word for word in ("anna@", "hunter2", "171 2345678") if word in kept] == []


def test_of_a_long_message_the_beginning_is_kept(topic, shop, reader):
    text = "good soup " * 2_990 + "anna@example.com " * 200
    topic.send(text.encode())
    topic.send(act(comment=["x" * 30_000]))
    reader.read(lambda: DeadLetter.objects.count() == 2)
    assert [len(letter.content) for letter in letters()] == [10_000, 10_000]
    assert text.startswith(letters()[0].content)


def test_of_who_said_no_nothing_is_kept(topic, shop, reader):
    shop.put("privacy/subjects/ann/consents/collection/", {"granted": False})
    topic.send(act(user_id="ann", comment="my secret thought"))
    topic.send(act(user_id="ann", comment="my secret thought", signal="shout"))
    reader.read(lambda: DeadLetter.objects.count() == 2)
    assert {letter.code for letter in letters()} == {"privacy.opted_out", "api.malformed"}
    assert {letter.content for letter in letters()} == {""}
    assert "secret thought" not in stored_text()


def test_what_validation_refuses_is_a_row_and_no_letter(topic, shop, reader):
    topic.send(act(corrected="pos"))
    reader.read(Feedback.objects.exists)
    assert (Feedback.objects.get().status, letters()) == ("rejected", [])


def test_another_content_under_the_same_id_is_a_letter(topic, shop, reader):
    topic.send(act(1), ce_id="one")
    topic.send(act(2), ce_id="one")
    topic.send(act(2), ce_id="one", ce_source="/other")
    reader.read(lambda: Feedback.objects.count() == 2)
    assert [letter.code for letter in letters()] == ["api.id_conflict"]


def test_source_and_id_are_told_apart(topic, shop, reader):
    topic.send(act(), ce_source="a", ce_id="bc")
    topic.send(act(), ce_source="ab", ce_id="c")
    reader.read(lambda: Feedback.objects.count() == 2)


def test_what_comes_again_is_stored_once(topic, shop, reader):
    topic.send(b"{")
    topic.send(act())
    reader.read(Feedback.objects.exists)
    again = Reader(topic, shop)
    again.read(lambda: again.stream.read_to == {(topic.name, 0): 2})
    again.consumer.close()
    assert (Feedback.objects.count(), DeadLetter.objects.count()) == (1, 1)


def test_a_topic_that_is_made_anew_has_letters_of_its_own(topic, shop, reader):
    topic.send(b"{")
    reader.read(DeadLetter.objects.exists)
    DeadLetter.objects.update(sent_at=TIME)  # as in a topic of that name, once
    again = Reader(topic, shop)
    again.read(lambda: again.stream.read_to)
    again.consumer.close()
    assert [letter.offset for letter in letters()] == [0, 0]


def test_a_letter_of_data_that_cannot_be_read_names_its_event(topic, shop, reader):
    topic.send(b"{", ce_id="one")
    reader.read(DeadLetter.objects.exists)
    assert [(letter.source, letter.event_id) for letter in letters()] == [("/shop", "one")]


def test_nothing_is_committed_while_the_disk_is_full(topic, shop, reader, settings):
    settings.MINIMUM_FREE_DISK_BYTES = 2**60
    topic.send(act())
    with pytest.raises(Unavailable):
        reader.read(Feedback.objects.exists)
    assert (topic.committed(), letters()) == ({}, [])


def test_a_message_that_a_defect_stumbles_over_stops_none_beside_it(
    topic, shop, reader, monkeypatch
):
    capture = kafka.capture_feedback

    def stumble(*, sender, sent):
        if any(item.body.comment == "defect" for item in sent):
            raise KeyError
        return capture(sender=sender, sent=sent)

    captures = [(kafka.InferenceBody, kafka.capture_inferences), (kafka.FeedbackBody, stumble)]
    monkeypatch.setattr(kafka, "CAPTURES", captures)
    for n in range(7):
        topic.send(act(n, comment="defect" if n == 3 else ""))
    reader.read(lambda: Feedback.objects.count() == 6)
    assert [(letter.offset, letter.code) for letter in letters()] == [(3, "api.internal")]


def test_partitions_that_go_take_what_waits_with_them(topic, shop, reader):
    topic.send({"inference_id": str(uuid4()), "signal": "up", "user_id": "ann"})
    reader.read(lambda: reader.stream.waiting)
    reader.stream.forget(reader.consumer, [TopicPartition(topic.name, 0)])
    assert (reader.stream.waiting, reader.stream.read_to) == ([], {})


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ({}, b"{}"),
        (BINARY | {"ce_id": ""}, b"{}"),
        (BINARY | {"ce_specversion": "0.3"}, b"{}"),
        (BINARY | {"ce_time": "yesterday"}, b"{}"),
        (BINARY | {"content-type": "text/plain"}, b"{}"),
        (BINARY | {"ce_source": b"\xff"}, b"{}"),
        (BINARY | {"ce_specversion": "1.0\0"}, b"{}"),
        ({"content-type": "application/cloudevents+avro"}, b"{}"),
        ({"content-type": "application/cloudevents-batch+json"}, b"[]"),
        (STRUCTURED, b"[]"),
        (STRUCTURED, json.dumps(ATTRIBUTES)),
        (STRUCTURED, json.dumps(ATTRIBUTES | {"id": 1, "data": {}})),
        (STRUCTURED, json.dumps(ATTRIBUTES | {"data": {}, "datacontenttype": "text/xml"})),
    ],
)
def test_what_is_no_event_is_refused(headers, value):
    with pytest.raises(Malformed) as refusal:
        read_event(headers, value)
    assert refusal.value.errors[0].code == "feedback.not_an_event"


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        (BINARY, b'{"a":1}'),
        (BINARY | {"content-type": "application/json; charset=utf-8", "ce_more": "x"}, b'{"a":1}'),
        ({name.upper(): value.encode() for name, value in BINARY.items()}, b'{"a":1}'),
        (STRUCTURED, json.dumps(ATTRIBUTES | {"data": {"a": 1}, "more": 1})),
        (STRUCTURED, json.dumps(ATTRIBUTES | {"data_base64": "eyJhIjoxfQ=="})),
        (
            {"Content-Type": "application/CloudEvents+json; charset=utf-8"},
            json.dumps(ATTRIBUTES | {"data": {"a": 1}, "datacontenttype": "application/json"}),
        ),
    ],
)
def test_both_modes_are_read(headers, value):
    event = read_event(headers, value)
    assert (event.id, event.source, event.type) == ("1", "/shop", "emend.feedback")
    assert event.content() == {"a": 1}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("servers", "project", "words"),
    [("", "shop", "Set KAFKA_BOOTSTRAP_SERVERS"), ("localhost:1", "no", "There is no project no")],
)
def test_what_cannot_be_consumed_is_said(shop, settings, servers, project, words):
    settings.KAFKA_BOOTSTRAP_SERVERS = servers
    with pytest.raises(CommandError, match=words):
        call_command("consume_kafka", project=project)


@pytest.mark.django_db
def test_staff_see_letters_and_change_none(client, shop):
    shown = {"code": "feedback.unknown_task", "detail": "No <b>task</b>.", "content": "good soup"}
    place = {"topic": "acts", "partition": 1, "offset": 7, "sent_at": timezone.now()}
    letter = DeadLetter.objects.create(**place, project=shop.project, source="/s", **shown)
    user = get_user_model().objects.create_user("kim", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_deadletter"))
    StaffProject.objects.create(user=user, project=shop.project)
    client.force_login(user)
    listed = client.get(reverse("admin:feedback_deadletter_changelist")).content.decode()
    assert "acts/1/7" in listed
    assert "No &lt;b&gt;task&lt;/b&gt;." in listed
    address = reverse("admin:feedback_deadletter_change", args=[letter.pk])
    assert "good soup" in client.get(address).content.decode()
    assert client.post(address, {"code": "x"}).status_code == 403
