"""The loop as a line of stages: how much, how fast, how long ago."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from django.db.models import Count, Max, Min, Q, Sum
from django.urls import reverse
from django.utils import timezone

from feedback.models import Feedback, HourFigures
from privacy.paging import MOST_COUNTED, counted
from training.dashboard.scope import Scope
from training.models import CHAMPION, AnswerToCheck, DatasetVersion, ModelAlias, Rollout, Run

DAY, WEEK, MONTH = timedelta(days=1), timedelta(days=7), timedelta(days=30)


@dataclass(frozen=True)
class Stage:
    """One stage: its number, in words what it counts and its rate, and when it last moved."""

    name: str
    number: str
    words: str
    at: datetime | None
    url: str = ""
    since: str = ""


@dataclass(frozen=True)
class Open:
    """How much waits in a status, counted up to a limit, and since when."""

    count: int
    oldest_at: datetime | None

    def __str__(self) -> str:
        return counted(self.count)


def opened(scope: Scope, status: str) -> Open:
    rows = Feedback.objects.filter(task__in=scope.ids, status=status).order_by("created_at")
    found = rows[:MOST_COUNTED].aggregate(n=Count("pk"), oldest=Min("created_at"))
    return Open(found["n"], found["oldest"])


def stages(scope: Scope, flagged: Open) -> list[Stage]:
    """Return the nine stages, from what people send to what serves them."""
    return [*_of_feedback(scope, flagged), *_of_training(scope), *_of_serving(scope)]


def _of_feedback(scope: Scope, flagged: Open) -> list[Stage]:
    today = Q(hour__gte=timezone.now() - DAY)
    n = HourFigures.objects.filter(task__in=scope.ids, hour__gte=timezone.now() - MONTH).aggregate(
        **{
            name: Sum(name, filter=today, default=0)
            for name in ("captured", "flagged", "processed", "decided")
        },
        captured_at=Max("last_captured_at"),
        processed_at=Max("last_processed_at"),
        decided_at=Max("last_decided_at"),
    )
    everything = _list(scope, "feedback.view_feedback", "feedback_feedback")
    waiting = _list(scope, "feedback.view_feedback", "feedback_flaggedfeedback")
    done = everything and f"{everything}?status__exact=processed"
    hourly, share = f"in 24 hours, {n['captured'] / 24:,.1f} an hour", _share(n["flagged"], n)
    return [
        Stage("Captured", f"{n['captured']:,}", hourly, n["captured_at"], everything),
        Stage("Flagged", str(flagged), f"open, {share}", flagged.oldest_at, waiting, "oldest"),
        Stage(
            "Reviewed",
            f"{n['decided']:,}",
            f"in 24 hours, {n['decided'] / 24:,.1f} an hour{_checked(scope)}",
            n["decided_at"],
            waiting,
        ),
        Stage(
            "Processed",
            f"{n['processed']:,}",
            f"in 24 hours, {_share(n['processed'], n)}",
            n["processed_at"],
            done,
        ),
    ]


def _checked(scope: Scope) -> str:
    """Say how many answers were checked, and how long one took, to whoever may see them."""
    if not scope.user.has_perm("training.view_answertocheck"):
        return ""
    week = AnswerToCheck.objects.filter(
        task__in=scope.ids, status="answered", answered_at__gte=timezone.now() - WEEK
    )
    seconds = list(week.values_list("seconds", flat=True))
    timed = [one for one in seconds if one is not None]
    told = f", median {median(timed):,.0f} s" if timed else ""
    return f"; {len(seconds):,} answers checked in 7 days{told}" if seconds else ""


def _share(part: int, figures: dict[str, Any]) -> str:
    return f"{part / figures['captured']:.1%} of what came" if figures["captured"] else "none came"


def _of_training(scope: Scope) -> list[Stage]:
    ago = timezone.now() - MONTH
    built = DatasetVersion.objects.filter(dataset__task__in=scope.ids, status="ready")
    versions = built.aggregate(n=Count("pk", filter=Q(created_at__gte=ago)), last=Max("created_at"))
    recent, judged = Q(created_at__gte=ago), Q(status__in=["passed", "refused"])
    runs = Run.objects.filter(task__in=scope.ids).aggregate(
        n=Count("pk", filter=recent),
        last=Max("created_at"),
        passed=Count("pk", filter=recent & Q(status="passed")),
        judged=Count("pk", filter=recent & judged),
        last_judged=Max("ended_at", filter=judged),
    )
    run_list = _list(scope, "training.view_run", "training_run")
    return [
        Stage(
            "Version",
            f"{versions['n']:,}",
            f"in 30 days, {versions['n'] * 7 / 30:.1f} a week",
            versions["last"],
            _list(scope, "training.view_datasetversion", "training_datasetversion"),
        ),
        Stage(
            "Run",
            f"{runs['n']:,}",
            f"in 30 days, {runs['n'] * 7 / 30:.1f} a week",
            runs["last"],
            run_list,
        ),
        Stage(
            "Gate",
            f"{runs['passed']:,} of {runs['judged']:,}",
            "passed in 30 days",
            runs["last_judged"],
            run_list,
        ),
    ]


def _of_serving(scope: Scope) -> list[Stage]:
    running = Q(status="canary")
    canaries = Rollout.objects.filter(task__in=scope.ids).aggregate(
        n=Count("pk", filter=running),
        share=Max("share", filter=running),
        last=Max("created_at"),
    )
    aliases = ModelAlias.objects.filter(task__in=scope.ids, name=CHAMPION)
    served = list(aliases.values_list("model_version__version", flat=True))
    moved = ModelAlias.history.filter(task__in=scope.ids, name=CHAMPION)
    promoted_at = moved.aggregate(last=Max("history_date"))["last"]
    is_one = len(scope.tasks) == 1 and served
    share = f"running, up to {canaries['share'] or 0:.0%} of people"
    return [
        Stage(
            "Canary",
            f"{canaries['n']:,}",
            share if canaries["n"] else "running",
            canaries["last"],
            _list(scope, "training.view_rollout", "training_rollout"),
        ),
        Stage(
            "Champion",
            f"v{served[0]}" if is_one else f"{len(served):,} of {len(scope.tasks):,}",
            "serves since" if is_one else "tasks served",
            promoted_at,
            _list(scope, "training.view_modelalias", "training_modelalias"),
        ),
    ]


def _list(scope: Scope, permission: str, name: str) -> str:
    return reverse(f"admin:{name}_changelist") if scope.user.has_perm(permission) else ""
