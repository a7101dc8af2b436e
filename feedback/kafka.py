"""Events of a Kafka topic into the door, each once; a bad one is kept as a dead letter.

Needs requirements/kafka.txt. Offsets are committed after the database has what lies before them:
what a killed consumer had in hand comes again, and is known by its id.
"""

import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, TypeAlias, cast

import msgspec
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from django.conf import settings
from django.db import transaction

from config import json
from config.api import load, malformed
from config.errors import EmendError, Unavailable
from feedback.capture import capture_feedback, capture_inferences
from feedback.capture.drafts import Sent
from feedback.events import Event, read_event
from feedback.intake import Ending, capture_each, read_sent, told, until_stored
from feedback.models import DeadLetter
from feedback.serializers import FeedbackBody, InferenceBody
from privacy import consent
from privacy.access import Sender
from privacy.errors import Erased, NoConsent, OptedOut
from privacy.models import USER_ID_PATTERN, Project
from privacy.redaction import redact

logger = logging.getLogger(__name__)
BATCH, POLL_SECONDS = 500, 0.5
# An inference and the act on it may come by two partitions: the act waits for so long.
WAIT_SECONDS = 30.0
SHAPES: dict[str, Any] = {
    "emend.inference": InferenceBody,
    "emend.feedback": FeedbackBody,
}
# Inferences first: acts on them may be in the same batch.
CAPTURES: list[tuple[type[Any], Any]] = [
    (InferenceBody, capture_inferences),
    (FeedbackBody, capture_feedback),
]
KEPT_CHARACTERS = 10_000
KEPT_NAME_CHARACTERS = 500

Partition: TypeAlias = tuple[str, int]


class Place(NamedTuple):
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it was read: its event, and the body in it or what is wrong with it."""

    place: Place
    sent_at: datetime
    value: bytes
    event: Event | None
    reading: Sent[Any] | EmendError
    waits_until: float = field(default_factory=lambda: time.monotonic() + WAIT_SECONDS)


def consume(*, project: Project, topic: str, group: str, ending: Ending) -> None:
    """Store what comes until the end is near; raise KafkaException where that cannot go on."""
    options = {
        "bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS,
        "session.timeout.ms": 10_000,  # the partitions of one that was killed are taken over
        **settings.KAFKA_OPTIONS,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    consumer = Consumer(options, logger=logger)
    stream = Stream(consumer, project)
    consumer.subscribe([topic], on_revoke=stream.forget)
    logger.info("kafka.started")
    try:
        while not ending.is_near:
            stream.step(ending)
    except Unavailable:
        pass  # the end came while the database was away: nothing was committed
    finally:
        consumer.close()
        logger.info("kafka.ended")


class Stream:
    """What a consumer has in hand: acts that wait for their inference, and how far it read."""

    def __init__(self, consumer: Consumer, project: Project) -> None:
        self.consumer, self.project = consumer, project
        self.sender = Sender(project)
        self.waiting: list[Received] = []
        self.read_to: dict[Partition, int] = {}
        self.committed: dict[Partition, int] = {}

    def step(self, ending: Ending) -> None:
        """Take what has come, store it with what waits, and only then commit."""
        room = BATCH - len(self.waiting)
        if room:
            messages = self.consumer.consume(room, POLL_SECONDS)
        else:  # a flood of acts on nothing: none goes before it is known to be one
            messages = []
            ending.wait(POLL_SECONDS)
        received = [_receive(self.project, m) for m in messages if _is_message(m)]
        self.read_to |= {item.place[:2]: item.place.offset + 1 for item in received}
        batch = self.waiting + received
        if batch:
            self.waiting = until_stored(lambda: self._store(batch), ending=ending)
            self._commit()

    def forget(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Leave to another consumer what is not committed of partitions that it takes over."""
        gone = {(p.topic, p.partition) for p in partitions}
        self.waiting = [item for item in self.waiting if item.place[:2] not in gone]
        for kept in (self.read_to, self.committed):
            for partition in gone & kept.keys():
                del kept[partition]

    def _store(self, batch: list[Received]) -> list[Received]:
        """Store rows, and letters of what cannot be; return what waits for its inference."""
        refused = [(i, i.reading) for i in batch if isinstance(i.reading, EmendError)]
        for shape, capture in CAPTURES:
            items = [i for i in batch if isinstance(getattr(i.reading, "body", None), shape)]
            sent = [cast("Sent[Any]", item.reading) for item in items]
            outcomes = capture_each(partial(capture, sender=self.sender), sent)
            pairs = zip(items, outcomes, strict=True)
            refused += [(item, o) for item, o in pairs if isinstance(o, EmendError)]
        now = time.monotonic()
        waiting = [i for i, error in refused if _may_come(error) and now < i.waits_until]
        places = {item.place for item in waiting}
        with transaction.atomic():  # who is asked before it is stored is asked for this moment
            letters = [
                _letter(self.project, item, error)
                for item, error in refused
                if item.place not in places
            ]
            DeadLetter.objects.bulk_create(letters, ignore_conflicts=True)
        if letters:
            logger.warning("kafka.dead_letters count=%d", len(letters))
        return sorted(waiting, key=lambda item: item.place)

    def _commit(self) -> None:
        """Commit up to the first message that waits: after it everything would come again."""
        done = dict(self.read_to)
        for item in self.waiting:
            done[item.place[:2]] = min(done[item.place[:2]], item.place.offset)
        fresh = {at: offset for at, offset in done.items() if self.committed.get(at) != offset}
        if not fresh:
            return
        offsets = [TopicPartition(*at, offset) for at, offset in fresh.items()]
        try:
            self.consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:  # it comes again, and is known
            logger.warning("kafka.commit_failed reason=%s", error.args[0].name())
            return
        self.committed |= fresh


def _is_message(message: Message) -> bool:
    error = message.error()
    if error is None:
        return True
    if error.fatal():
        raise KafkaException(error)
    logger.warning("kafka.failed reason=%s", error.name())
    return False


def _receive(project: Project, message: Message) -> Received:
    place = Place(
        str(message.topic()), cast("int", message.partition()), cast("int", message.offset())
    )
    value, event = message.value() or b"", None
    reading: Sent[Any] | EmendError
    try:
        event = read_event(dict(message.headers() or {}), value)
        reading = _read(project, event)
    except EmendError as error:
        reading = error
    at_ms = max(0, message.timestamp()[1])  # -1 where the broker keeps none
    return Received(place, datetime.fromtimestamp(at_ms / 1_000, UTC), value, event, reading)


def _read(project: Project, event: Event) -> Sent[Any]:
    """Read the body in an event; the event's id and time stand in for those it lacks."""
    shape = SHAPES.get(event.type)
    if shape is None:
        detail = f"Known types of events are {', '.join(SHAPES)}."
        raise malformed("/type", detail, "feedback.unknown_event_type")
    sent = read_sent(project, event.content(), shape, event.source, event.id)
    if sent.body.occurred_at is not None or event.time is None:
        return sent
    return sent._replace(body=msgspec.structs.replace(sent.body, occurred_at=event.time))


def _may_come(error: EmendError) -> bool:
    """Return whether an inference is missing that another event may bring."""
    return "feedback.unknown_inference" in {problem.code for problem in error.errors}


def _letter(project: Project, item: Received, error: EmendError) -> DeadLetter:
    said = told(error)
    problems = said["errors"]
    where = f"{problems[0]['pointer']}: " if problems and problems[0]["pointer"] else ""
    content = _content(item)
    user_id = _named(content)
    may_keep = user_id is None or _may_keep(project, user_id)
    is_whose = may_keep and re.match(USER_ID_PATTERN, user_id or "")
    return DeadLetter(
        **item.place._asdict(),
        sent_at=item.sent_at,
        project=project,
        user_id=user_id if is_whose else None,
        source=_redacted(item.event.source if item.event else "", KEPT_NAME_CHARACTERS),
        event_id=_redacted(item.event.id if item.event else "", KEPT_NAME_CHARACTERS),
        code=problems[0]["code"] if problems else said["code"],
        detail=f"{where}{said['detail']}"[:KEPT_NAME_CHARACTERS],
        content=_redacted(content, KEPT_CHARACTERS) if may_keep else "",
    )


def _named(content: json.JSON) -> str | None:
    user_id = content.get("user_id") if isinstance(content, dict) else None
    return user_id if isinstance(user_id, str) and "\0" not in user_id else None


def _may_keep(project: Project, user_id: str) -> bool:
    """Return whether that person lets anything be collected, with a link to them."""
    try:
        return not consent.ask(project, user_id).is_anonymous
    except (Erased, OptedOut, NoConsent):
        return False


def _content(item: Received) -> json.JSON:
    """Return what was sent as far as it can be read: a name in it speaks for its value."""
    try:
        sent = item.event.content() if item.event else load(item.value)
    except EmendError:
        sent = item.value.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return sent


def _redacted(value: json.JSON, length: int) -> str:
    """Redact and cut; of a text that was cut before, what stands at the cut is left out."""
    if isinstance(value, str) and len(value) > 2 * KEPT_CHARACTERS:
        text = str(redact(value[: 2 * KEPT_CHARACTERS]).value)
        return text[: min(length, len(text) // 2)]
    clean = redact(value).value
    return (clean if isinstance(clean, str) else json.dumps(clean).decode())[:length]
