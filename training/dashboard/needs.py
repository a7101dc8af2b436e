"""What needs a person, most urgent first; each with the page where it is dealt with."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from privacy.models import ErasureRequest
from privacy.paging import MOST_COUNTED, counted
from training.dashboard import background
from training.dashboard.scope import Scope
from training.dashboard.stages import Open
from training.models import AnswerToCheck, DatasetVersion, Rollout, Run

MOST_NAMED = 3  # of each kind; the rest are counted
REMEMBERED = timedelta(days=7)


@dataclass(frozen=True)
class Need:
    """One thing to do; `at` is since when, where that matters."""

    text: str
    url: str
    state: str = "danger"
    at: datetime | None = None
    since: str = "the oldest"


def needs(scope: Scope, flagged: Open, failed: Open) -> list[Need]:
    """Return what this person can do something about."""
    may = scope.user.has_perm
    found: list[Need] = []
    if background.may_see(scope.user):
        url = reverse("background")
        found += [Need(words, url) for words in background.alarms()]
    if may("feedback.change_feedback") and flagged.count:
        queue = reverse("admin:feedback_flaggedfeedback_changelist")
        found.append(Need(f"{flagged} flagged", queue, "attention", flagged.oldest_at))
    if scope.may_retry and failed.count:
        rows = reverse("admin:feedback_feedback_changelist") + "?status__exact=failed"
        rows = reverse("background") + "#failed" if background.may_see(scope.user) else rows
        found.append(Need(f"{failed} failed", rows, at=failed.oldest_at))
    if may("training.change_answertocheck") and (unchecked := _unchecked(scope)):
        url = reverse("admin:training_answertocheck_changelist")
        found.append(Need(f"{unchecked} to check", url, "attention"))
    if may("training.view_run"):
        found += _few(_models(scope), "more tasks", "training_run")
    if may("training.view_datasetversion"):
        found += _few(_builds(scope), "more builds failed", "training_datasetversion")
    if may("training.view_rollout"):
        found += _few(_rollbacks(scope), "more rolled back", "training_rollout")
    if may("privacy.view_erasurerequest"):
        found += _few(_erasures(scope), "more erasures failed", "privacy_erasurerequest")
    return found


def _unchecked(scope: Scope) -> str:
    """Count what the list of answers to check holds; "" where it is empty."""
    rows = AnswerToCheck.objects.filter(task__in=scope.ids).waiting()
    count = rows[:MOST_COUNTED].count()
    return counted(count) if count else ""


def _few(found: Iterator[Need], words: str, name: str) -> list[Need]:
    """Name the first, and count the others in one."""
    every = list(found)
    rest = len(every) - MOST_NAMED
    if rest <= 0:
        return every
    more = Need(f"{rest:,} {words}", reverse(f"admin:{name}_changelist"))
    return [*every[:MOST_NAMED], more]


def _models(scope: Scope) -> Iterator[Need]:
    ended = Run.objects.filter(task__in=scope.ids).exclude(ended_at=None)
    for run in _newest(ended, "task", "-ended_at").select_related("task"):
        if run.status in {"refused", "failed"}:
            words = f"newest model of {run.task} {run.status}"
            yield Need(words, _page(run), at=run.ended_at, since="")


def _builds(scope: Scope) -> Iterator[Need]:
    versions = DatasetVersion.objects.filter(dataset__task__in=scope.ids)
    for version in _newest(versions, "dataset", "-version"):
        if version.status == "failed":
            yield Need(
                f"build of {version} failed", _page(version), at=version.created_at, since=""
            )


def _rollbacks(scope: Scope) -> Iterator[Need]:
    recent = Rollout.objects.filter(task__in=scope.ids, created_at__gte=timezone.now() - REMEMBERED)
    for rollout in _newest(recent, "task", "-created_at").select_related("task"):
        if rollout.status == "rolled_back":
            words = f"canary of {rollout.task} rolled back"
            yield Need(words, _page(rollout), at=rollout.created_at, since="begun")


def _erasures(scope: Scope) -> Iterator[Need]:
    failed = scope.of_projects(ErasureRequest.objects.filter(status="failed"))
    for erasure in failed.order_by("created_at")[:100]:
        yield Need("erasure failed", _page(erasure), at=erasure.created_at, since="asked for")


def _newest(rows: QuerySet[Any], of: str, by: str) -> QuerySet[Any]:
    return rows.order_by(of, by).distinct(of)


def _page(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
