"""What comes without a request, a file's line or a stream's message, on its way to the door."""

import logging
import math
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar, cast
from uuid import UUID

import msgspec
from django.db import DataError, InterfaceError, OperationalError, close_old_connections

from config import json
from config.api import read
from config.errors import EmendError, InternalError, Unavailable
from feedback.capture import Kept
from feedback.capture.drafts import Sent
from feedback.serializers import FeedbackBody, InferenceBody
from privacy.idempotency import fingerprint
from privacy.models import Project
from privacy.redaction import redact

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
Body = TypeVar("Body", InferenceBody, FeedbackBody)
MAX_ITEMS = 1_000  # of one capture
AWAY = (Unavailable, OperationalError, InterfaceError)
# What a single item can bring about where Emend has a defect.
DEFECTS = (ArithmeticError, AttributeError, DataError, LookupError, TypeError, ValueError)
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.2, 5.0
LOOK_SECONDS = 0.1


class Ending:
    """Whether a signal asked this process to end; looked at between two batches."""

    def __init__(self) -> None:
        self.is_near = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def wait(self, seconds: float) -> None:
        """Sleep; less long where the end comes near meanwhile."""
        ends_at = time.monotonic() + seconds
        while not self.is_near and time.monotonic() < ends_at:
            time.sleep(LOOK_SECONDS)

    def _note(self, number: int, _frame: object) -> None:
        self.is_near = True
        signal.signal(number, signal.SIG_DFL)  # who asks twice does not want to wait


def read_sent(
    project: Project, document: json.JSON, shape: type[Body], *otherwise: str
) -> Sent[Body]:
    """Read a body of one's own people; raise Malformed.

    One without an id gets that of what `otherwise` names it, else of its content: whatever comes
    twice is stored once. Keyed, because an id is no place for a hash of personal data.
    """
    body = read(document, shape)
    if body.id is None:
        digest = fingerprint(project, *otherwise) if otherwise else fingerprint(project, document)
        body = msgspec.structs.replace(body, id=UUID(bytes=digest[:16], version=5))
    return Sent(body, document, is_verified=True)


def capture_each(
    capture: Callable[..., list[Any]], sent: Sequence[Sent[Body]]
) -> list[Kept | EmendError]:
    """Capture in order; return for each a Kept or the EmendError that refused it.

    An item that a defect stumbles over is refused as api.internal, and the others are stored.
    """
    if not sent:
        return []
    if len(sent) > MAX_ITEMS:
        return capture_each(capture, sent[:MAX_ITEMS]) + capture_each(capture, sent[MAX_ITEMS:])
    with suppress(*DEFECTS):
        return capture(sent=sent)
    if len(sent) == 1:
        logger.error("intake.defect")
        return [InternalError()]
    middle = len(sent) // 2
    return capture_each(capture, sent[:middle]) + capture_each(capture, sent[middle:])


def until_stored(
    work: Callable[[], Result], *, ending: Ending | None = None, patience_seconds: float = math.inf
) -> Result:
    """Do the work, again where database or disk are away; raise Unavailable when to give up."""
    delay, ends_at = FIRST_DELAY_SECONDS, time.monotonic() + patience_seconds
    while True:
        try:
            return work()
        except AWAY:
            logger.warning("intake.waiting")
        if ending is None:
            time.sleep(delay)
        else:
            ending.wait(delay)
        if time.monotonic() > ends_at or (ending is not None and ending.is_near):
            raise Unavailable
        delay = min(2 * delay, LONGEST_DELAY_SECONDS)
        close_old_connections()  # one that was lost is made anew


def refusal_of(outcome: Kept | EmendError) -> EmendError | None:
    """Return why an item is not stored, or is stored as rejected; None for one that is well."""
    return outcome if isinstance(outcome, EmendError) else outcome.refusal


def told(error: EmendError) -> dict[str, Any]:
    """Say what was wrong without quoting personal data."""
    reasons = [msgspec.to_builtins(problem) for problem in error.errors]
    said = redact({"code": error.code, "detail": error.detail, "errors": reasons}).value
    return cast("dict[str, Any]", said)
