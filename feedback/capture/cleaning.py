"""Contents held to the form of their task, with personal data taken out."""

import hmac
import re
from collections.abc import Container, Sequence
from typing import Any, NamedTuple, cast

from django.conf import settings

from config.api import malformed
from config.errors import Malformed, Problem
from config.json import JSON
from feedback import images
from feedback.models import Task
from privacy.redaction import Rules, redact

# A session's or object's id is no secret, however random it looks, but it may hold an address.
_MAY_BE_PERSONAL = re.compile(r"@|(?:\d\D*){7}")
_ID_RULES = Rules(types=frozenset({"EMAIL", "PHONE", "CREDIT_CARD", "IBAN"}))


class Cleaned(NamedTuple):
    """An output and what came with it, redacted; what was found in them."""

    output: Any
    others: list[Any]
    counts: dict[str, int]
    is_sensitive: bool


def clean(task: Task, output: JSON, *others: JSON) -> Cleaned:
    """Redact by the task's rules; a label of the task is no personal data and stays as it is."""
    is_label = task.kind.has_label_output and output in task.labels  # not even looked at
    found = redact([None if is_label else output, *others], task.redaction)
    first, *rest = cast("list[JSON]", found.value)
    if found.counts or is_label:
        first = task.kind.spare(output, first, task.labels, mark)
    return Cleaned(first, rest, found.counts, found.is_sensitive)


def mark(name: str) -> str:
    """Return letters that stand for a name that was redacted; only the secret key leads to them."""
    digest = hmac.digest(settings.SECRET_KEY.encode(), name.encode(), "sha256")
    return "".join(chr(ord("a") + byte % 26) for byte in digest[:10])


def clean_id(text: str | None, limit: int) -> str:
    """Redact a session's or object's id and cut it to its column: it may have grown."""
    if not text or not _MAY_BE_PERSONAL.search(text):
        return text or ""
    return str(redact(text, _ID_RULES).value)[:limit]


def check_input(task: Task, input_: JSON) -> None:
    """Raise Malformed unless the value is an input of the task, within its length."""
    problems = task.kind.validate_input(input_)
    problems = problems or _too_long(task, [task.kind.text_of(input_)])
    if problems:
        raise malformed_content("/input", problems)


def check_output(
    task: Task, input_: JSON, output: JSON, known_images: Container[str] | None = None
) -> None:
    """Raise Malformed unless the value is an output of the task, for this input."""
    problems = task.kind.validate_output(output, labels=task.labels, input_=input_)
    problems = problems or _too_long(task, task.kind.written(output))
    problems = problems or unknown_images(task, output, known_images)
    if problems:
        raise malformed_content("/output", problems)


def _too_long(task: Task, texts: Sequence[str]) -> list[Problem]:
    limit = task.options.max_characters
    if sum(map(len, texts)) <= limit:
        return []
    return [Problem("", "feedback.too_long", f"Longer than {limit:,} characters.")]


def unknown_images(task: Task, value: JSON, known: Container[str] | None = None) -> list[Problem]:
    """Return a problem if the value names an image that the project does not have.

    `known` are the project's images among those that are named; without it the database is asked.
    """
    named = task.kind.image_ids(value)
    if named and known is None:
        known = images.existing(task.project_id, named)
    if all(image in (known or ()) for image in named):
        return []
    detail = "The project has no image of that id."
    return [Problem("/image", "feedback.schema_mismatch", detail)]


def malformed_content(pointer: str, problems: list[Problem]) -> Malformed:
    """Return the error for problems whose pointers are relative to the value at `pointer`."""
    placed = [Problem(pointer + p.pointer, p.code, p.detail) for p in problems]
    return Malformed(placed[0].detail, errors=placed)


def unknown_task(slug: str) -> Malformed:
    detail = f"The project has no task {slug!r}."
    return malformed("/task", detail, "feedback.unknown_task")


def unknown_inference(pointer: str) -> Malformed:
    detail = "The project has no inference of that id."
    return malformed(pointer, detail, "feedback.unknown_inference")
