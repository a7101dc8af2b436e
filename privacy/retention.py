"""What was kept long enough goes: how long is said by project and kind, what goes by each app.

Apps register their rules when they are ready. A row is asked about twice: when it is found, and
again in the transaction that removes it, a thousand at a time.
"""

import logging
from collections import Counter
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
LATE = timedelta(days=2)
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
    waits: bool = True  # while somebody is erased: an erasure proves what became of each row


@dataclass(frozen=True)
class Applied:
    """What one rule removed, or would remove."""

    kind: Kept
    label: str  # of the model
    days: int
    before: datetime
    number: int


def _by_age(kind: Kept, model: type[Model]) -> Rule:
    """Return the rule for a table whose rows are over by their age, and of which none is proven."""

    def rows(border: Border) -> Rows:
        project, before = border
        return model._default_manager.filter(project=project, created_at__lt=before)

    return Rule(kind, rows, waits=False)


_rules = [_by_age(Kept.IDEMPOTENCY, IdempotencyKey), _by_age(Kept.ACCESS_LOG, AccessRecord)]


def register(*rules: Rule) -> None:
    """Add an app's rules; all are applied in the order in which they came."""
    _rules.extend(rules)


def apply(project: Project, *, dry_run: bool = False) -> list[Applied]:
    """Remove what the project's rules let go; with `dry_run` only count it."""
    days = days_kept(project)
    applied = []
    for rule in _rules:
        kept = days[rule.kind]
        border = _border(project, kept)
        rows = rule.rows(border)
        number = rows.count() if dry_run else _remove(rule, border)
        applied.append(Applied(rule.kind, rows.model._meta.label, kept, border.before, number))
    removed = sum(one.number for one in applied)
    if removed and not dry_run:
        logger.info("retention.applied project=%s rows=%d", project.slug, removed)
    return applied


def would_go(project: Project, kind: Kept, days: int) -> dict[str, int]:
    """Return how many rows of which table would go if the project kept that kind so many days."""
    border = _border(project, days)
    counts: Counter[str] = Counter()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '20s'")  # there may be much
        for rule in _rules:
            if rule.kind == kind:
                rows = rule.rows(border)
                counts[rows.model._meta.label] += rows.count()
    return dict(counts)


def _border(project: Project, days: int) -> Border:
    return Border(project, timezone.now() - timedelta(days=min(days, MOST_DAYS)))


def is_erasing(project: Project) -> bool:
    return ErasureRequest.objects.filter(project=project, status="running").exists()


def _remove(rule: Rule, border: Border) -> int:
    removed = 0
    for chunk in _chunks(rule.rows(border)):
        if rule.waits and is_erasing(border.project):
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
    """Return the projects whose rules were not applied within a day.

    Where somebody is erased that is about the rules which do not wait for it.
    """
    recent = Upkeep.objects.filter(task__startswith=TASK, done_at__gt=Now() - EVERY)
    done = set(recent.values_list("task", flat=True))
    running = ErasureRequest.objects.filter(status="running")
    erasing = set(running.values_list("project", flat=True))
    return [
        project
        for project in Project.objects.order_by("pk")
        if _upkeep(project, is_part=project.pk in erasing) not in done
    ]


def _upkeep(project: Project, *, is_part: bool = False) -> str:
    return f"{TASK} {project.pk}{' in part' if is_part else ''}"


def waiting_seconds() -> float | None:
    """Return 0.0 if a project's rules were not applied within a day, else None."""
    return 0.0 if due() else None


def apply_due() -> None:
    """Apply the rules of every project that is due, and forget who was logged in long ago."""
    SessionStore.clear_expired()
    since = timezone.now() - timedelta(days=DAYS_KEPT[Kept.ACCESS_LOG])
    LogEntry.objects.filter(action_time__lt=since).delete()
    for project in due():
        _warn(project)
        was_erasing = is_erasing(project)
        apply(project)
        task = _upkeep(project, is_part=was_erasing or is_erasing(project))
        Upkeep.objects.update_or_create(task=task, defaults={"done_at": timezone.now()})


def _warn(project: Project) -> None:
    """Say so where not all rules were applied for days: an erasure hangs, or the work fails."""
    done_at = Upkeep.objects.filter(task=_upkeep(project)).values_list("done_at", flat=True)
    age = timezone.now() - (done_at.first() or project.created_at)
    if age > LATE:
        logger.warning("retention.waiting project=%s days=%d", project.slug, age.days)
