"""What was kept long enough goes: how long is said by project and kind, what goes by each app.

Apps register their rules when they are ready. A row is asked about twice: when it is found, and
again in the transaction that removes it, a thousand at a time.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

from django.contrib.admin.models import LogEntry
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection, transaction
from django.db.models import Model, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from config.celery import lock_key
from privacy.models import (
    DAYS_KEPT,
    AccessRecord,
    ErasureRequest,
    IdempotencyKey,
    Kept,
    Project,
    Upkeep,
    days_kept,
)

logger = logging.getLogger(__name__)
TASK = "privacy.apply_retention"
EVERY = timedelta(days=1)
CHUNK_ROWS = 1_000  # that one transaction removes
LOOK_ROWS = 100_000  # that are found at a time
MOST_DAYS = 36_500  # a century: no time lies before the year 1


class Border(NamedTuple):
    """Of which project, and before which time what is kept is over."""

    project: Project
    before: datetime


Rows: TypeAlias = QuerySet[Any]


def _delete(_border: Border, rows: Rows) -> None:
    rows.delete()


def _nothing(_project: Project) -> None:
    pass


@dataclass(frozen=True)
class Rule:
    """What of one table is over, and how it is removed.

    `rows` must not depend on what another rule removes the same night, unless that comes first:
    a dry run counts what a run removes. `remove` is called in a transaction that may rewrite
    history, after `prepare`, which locks what must not change meanwhile.
    """

    kind: Kept
    rows: Callable[[Border], Rows]
    remove: Callable[[Border, Rows], None] = _delete
    prepare: Callable[[Project], None] = _nothing


@dataclass(frozen=True)
class Applied:
    """What one rule removed, or would remove."""

    kind: Kept
    label: str  # of the model
    days: int
    before: datetime
    number: int


def by_age(kind: Kept, model: type[Model]) -> Rule:
    """Return the rule for a table whose rows are over by the time they were made."""

    def rows(border: Border) -> Rows:
        project, before = border
        return model._default_manager.filter(project=project, created_at__lt=before)

    return Rule(kind, rows)


_rules = [by_age(Kept.IDEMPOTENCY, IdempotencyKey), by_age(Kept.ACCESS_LOG, AccessRecord)]


def register(*rules: Rule) -> None:
    """Add an app's rules; all are applied in the order in which they came."""
    _rules.extend(rules)


def apply(project: Project, *, dry_run: bool = False) -> list[Applied]:
    """Remove what the project's rules let go; with `dry_run` only count it.

    While somebody is erased nothing is removed: an erasure proves what became of each row.
    """
    days, now = days_kept(project), timezone.now()
    applied = []
    for rule in _rules:
        kept = days[rule.kind]
        border = Border(project, now - timedelta(days=min(kept, MOST_DAYS)))
        rows = rule.rows(border)
        number = rows.count() if dry_run else _remove(rule, border)
        applied.append(Applied(rule.kind, rows.model._meta.label, kept, border.before, number))
    removed = sum(one.number for one in applied)
    if removed and not dry_run:
        logger.info("retention.applied project=%s rows=%d", project.slug, removed)
    return applied


def is_erasing(project: Project) -> bool:
    return ErasureRequest.objects.filter(project=project, status="running").exists()


def _remove(rule: Rule, border: Border) -> int:
    removed = 0
    for chunk in _chunks(rule.rows(border)):
        if is_erasing(border.project):
            break
        removed += _remove_chunk(rule, border, chunk)
    return removed


def _chunks(rows: Rows) -> Iterator[list[Any]]:
    """Yield keys of rows until there are none, or the same again."""
    before: list[Any] = []
    while (found := list(rows.values_list("pk", flat=True)[:LOOK_ROWS])) and found != before:
        before = found
        for start in range(0, len(found), CHUNK_ROWS):
            yield found[start : start + CHUNK_ROWS]


@transaction.atomic
def _remove_chunk(rule: Rule, border: Border, keys: list[Any]) -> int:
    with connection.cursor() as cursor:
        # Two who do this at once take turns, and each row is counted by one of them.
        name = lock_key(f"retention {border.project.pk}")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [name])
        cursor.execute("SET LOCAL emend.erasing = 'on'")
    rule.prepare(border.project)
    over = list(rule.rows(border).filter(pk__in=keys).values_list("pk", flat=True))
    rule.remove(border, rule.rows(border).model._default_manager.filter(pk__in=over))
    return len(over)


def due() -> list[Project]:
    """Return the projects whose rules were not applied within a day; not where one is erased."""
    recent = Upkeep.objects.filter(task__startswith=TASK, done_at__gt=Now() - EVERY)
    done = set(recent.values_list("task", flat=True))
    erasing = ErasureRequest.objects.filter(status="running").values("project")
    waiting = Project.objects.exclude(pk__in=erasing).order_by("pk")
    return [project for project in waiting if _upkeep(project) not in done]


def _upkeep(project: Project) -> str:
    return f"{TASK} {project.pk}"


def waiting_seconds() -> float | None:
    """Return 0.0 if a project's rules were not applied within a day, else None."""
    return 0.0 if due() else None


def apply_due() -> None:
    """Apply the rules of every project that is due, and forget who was logged in long ago."""
    SessionStore.clear_expired()
    since = timezone.now() - timedelta(days=DAYS_KEPT[Kept.ACCESS_LOG])
    LogEntry.objects.filter(action_time__lt=since).delete()
    for project in due():
        apply(project)
        if not is_erasing(project):
            Upkeep.objects.update_or_create(
                task=_upkeep(project), defaults={"done_at": timezone.now()}
            )
