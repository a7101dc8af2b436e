"""Lines of a file into the door, by several processes; how far it came is kept beside the file."""

import hashlib
import os
import zlib
from codecs import BOM_UTF8
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from config import json
from config.api import BATCH_BYTES, load
from config.errors import EmendError, Unavailable
from feedback.capture import Kept, capture_feedback
from feedback.capture.drafts import Sent
from feedback.intake import (
    Ending,
    capture_each,
    read_sent,
    refusal_of,
    told,
    until_stored,
)
from feedback.lanes import Lanes
from feedback.models import Status
from feedback.serializers import FeedbackBody
from privacy.access import Sender
from privacy.models import Project

LANES = min(8, (os.cpu_count() or 1) + 1)  # each waits for the database part of its time
WINDOW_LINES, WINDOWS_AHEAD = 1_500, 2
LINE_BYTES = json.MAX_ITEM_BYTES + 2  # with its end
HEAD_BYTES = 64 * 1024
PATIENCE_SECONDS = 60.0

Line = tuple[int, bytes]  # with its number, from 1


class Place(msgspec.Struct):
    """How far a file is stored, and what became of its lines."""

    file: str  # tells one file and project from another
    offset: int = 0  # in bytes
    line: int = 0
    rejects_bytes: int = 0
    counts: dict[str, int] = {}


class Answer(NamedTuple):
    """What became of some lines: how many of each kind, and why which were refused."""

    counts: Counter[str]
    rejects: list[dict[str, Any]]


class Window(NamedTuple):
    """Lines that are on their way, and the place after them."""

    offset: int
    line: int
    answers: "list[Future[Answer | None]]"


class _Who(msgspec.Struct):
    user_id: Any = None


_who = msgspec.json.Decoder(_Who)


class FileImport:
    """One file on its way in; `path` None is standard input, of which no place can be kept."""

    def __init__(
        self, source: IO[bytes], path: Path | None, project: Project, *, is_dry_run: bool = False
    ) -> None:
        self.source, self.project, self.is_dry_run = source, project, is_dry_run
        trial = ".dry-run" if is_dry_run else ""  # the rejects of an interrupted import stay
        self.rejects_path = Path(f"{path or 'stdin'}{trial}.rejects.ndjson")
        self.place_path = None if path is None or is_dry_run else Path(f"{path}.place")
        self.place = Place("" if path is None else self._name())
        if self.place_path is not None:
            with suppress(FileNotFoundError, msgspec.DecodeError):
                kept = msgspec.json.decode(self.place_path.read_bytes(), type=Place)
                self.place = kept if kept.file == self.place.file else self.place

    def run(self, ending: Ending) -> Iterator[Place]:
        """Store all that is left, or until the end is near; yield how far it came.

        Raises Unavailable where the database stays away; what was yielded is stored.
        """
        if self.place.offset:
            self.source.seek(self.place.offset)
        lanes = Lanes(LANES, "feedback.files.store_lines")
        try:
            with self.rejects_path.open("ab") as rejects:
                rejects.truncate(min(self.place.rejects_bytes, rejects.tell()))
                for window in ahead(self._windows(lanes, ending), WINDOWS_AHEAD):
                    yield self._settle(window, rejects)
        finally:
            lanes.end()
        if not ending.is_near:
            self._forget()

    def _name(self) -> str:
        """Name the file by its project, size and beginning."""
        digest = hashlib.sha256(self.source.read(HEAD_BYTES)).hexdigest()
        size = self.source.seek(0, os.SEEK_END)
        self.source.seek(0)
        return f"{self.project.slug} {size} {digest}"

    def _windows(self, lanes: Lanes, ending: Ending) -> Iterator[Window]:
        """Send lines on their way, those of one person all to one process."""
        offset, number = self.place.offset, self.place.line
        has_more = True
        while has_more and not ending.is_near:
            parts: list[list[Line]] = [[] for _ in range(LANES)]
            end, ends_at = number + WINDOW_LINES, offset + BATCH_BYTES
            while has_more and number < end and offset < ends_at:
                line, length = read_line(self.source)
                has_more = bool(length)
                offset, number = offset + length, number + has_more
                if number == 1:
                    line = line.removeprefix(BOM_UTF8)
                if line:
                    parts[lane_of(line)].append((number, line))
            answers = [
                lanes.submit(lane, self.project, part, self.is_dry_run)
                for lane, part in enumerate(parts)
                if part
            ]
            if answers:
                yield Window(offset, number, answers)

    def _settle(self, window: Window, rejects: IO[bytes]) -> Place:
        """Wait for a window and keep the place after it: its rows are stored."""
        try:
            answers = [answer.result() for answer in window.answers]
        except (EOFError, OSError):
            raise Unavailable("A process of the import died.") from None
        if None in answers:
            raise Unavailable("The database does not answer, or its disk is full.")
        done = [answer for answer in answers if answer is not None]
        for reject in sorted((r for a in done for r in a.rejects), key=lambda r: int(r["line"])):
            rejects.write(json.dumps(reject) + b"\n")
        rejects.flush()
        counts = sum((answer.counts for answer in done), Counter(self.place.counts))
        self.place = Place(
            self.place.file, window.offset, window.line, rejects.tell(), dict(counts)
        )
        if self.place_path is not None:
            fresh = self.place_path.with_name(f"{self.place_path.name}.new")
            fresh.write_bytes(json.dumps(self.place))
            fresh.replace(self.place_path)
        return self.place

    def _forget(self) -> None:
        """Leave nothing behind that says nothing."""
        if self.place_path is not None:
            self.place_path.unlink(missing_ok=True)
        if not self.place.rejects_bytes:
            self.rejects_path.unlink(missing_ok=True)


def ahead(windows: Iterator[Window], count: int) -> Iterator[Window]:
    """Yield the same, each when so many behind it are on their way."""
    waiting: deque[Window] = deque()
    for window in windows:
        waiting.append(window)
        if len(waiting) > count:
            yield waiting.popleft()
    yield from waiting


def read_line(source: IO[bytes]) -> tuple[bytes, int]:
    """Return a line and how long it is with its end; of one beyond all limits, the beginning."""
    line = rest = source.readline(LINE_BYTES)
    length = len(line)
    while len(rest) == LINE_BYTES and not rest.endswith(b"\n"):
        rest = source.readline(LINE_BYTES)
        length += len(rest)
    return line.strip(), length


def lane_of(line: bytes) -> int:
    """Return the same number for all lines of a person, and for all copies of a line."""
    try:
        user_id = _who.decode(line).user_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        user_id = None
    return zlib.crc32(line if user_id is None else str(user_id).encode()) % LANES


def store_lines(project: Project, lines: list[Line], is_dry_run: bool) -> Answer | None:  # noqa: FBT001
    """Capture lines in order; return None if the database stayed away. Run by Lanes."""
    readings = [_read(project, raw) for _, raw in lines]
    sent = [reading for reading in readings if not isinstance(reading, EmendError)]
    capture = partial(capture_feedback, sender=Sender(project, source="import"))
    try:
        captured = iter(
            sent
            if is_dry_run
            else until_stored(
                lambda: capture_each(capture, sent), patience_seconds=PATIENCE_SECONDS
            )
        )
    except Unavailable:
        return None
    answer = Answer(Counter(), [])
    for (number, _), reading in zip(lines, readings, strict=True):
        outcome = reading if isinstance(reading, EmendError) else next(captured)
        answer.counts.update(_kinds(outcome))
        refusal = None if isinstance(outcome, Sent) else refusal_of(outcome)
        if refusal is not None:
            answer.rejects.append({"line": number, **told(refusal)})
    return answer


def _read(project: Project, raw: bytes) -> Sent[FeedbackBody] | EmendError:
    try:
        return read_sent(project, load(raw), FeedbackBody)
    except EmendError as error:
        return error


def _kinds(outcome: Sent[FeedbackBody] | Kept | EmendError) -> list[str]:
    """Return what an outcome counts as."""
    if isinstance(outcome, Sent):
        return ["well_formed"]
    if isinstance(outcome, EmendError):
        return ["failed"]
    if not outcome.is_new:
        return ["repeated"]
    if outcome.rejections:
        return ["rejected"]
    return ["created", "flagged"] if outcome.receipt.status == Status.FLAGGED else ["created"]
