"""Work in the background, as PostgreSQL knows it: queues, workers, schedules, what failed.

Nothing here talks to Redis: a broker that is away must not take this page with it.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import Min, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone

from config.celery import BEAT_SCHEDULE, BellTask, app, lock_key
from config.models import BellRun
from feedback import processing, review
from feedback import tasks as feedback_tasks
from feedback.admin import bulk
from feedback.models import QUEUES, DeadLetter, Feedback, Review, Status, Task
from privacy import retention
from privacy import tasks as privacy_tasks
from privacy.models import ErasureRequest, Upkeep
from privacy.paging import MOST_COUNTED, counted
from privacy.staff import within
from training import orphans
from training import tasks as training_tasks
from training.checking import choosing
from training.models import DatasetVersion, Rollout, Run

TASKS = (privacy_tasks, feedback_tasks, training_tasks)  # imported so that the bells are known
MOST_ROWS = 20
LATE_SECONDS = 60  # of a queue, a scheduler that asks twice a second, a worker that asks in two
_SESSIONS = """
    SELECT a.application_name,
        extract(epoch FROM clock_timestamp() - a.query_start)::float8,
        array_remove(array_agg(l.classid::bigint << 32 | l.objid::bigint), NULL)
    FROM pg_stat_activity AS a LEFT JOIN pg_locks AS l ON l.pid = a.pid
        AND l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.database = a.datid
    WHERE a.datname = current_database() AND a.backend_type = 'client backend'
    GROUP BY a.pid, a.application_name, a.query_start ORDER BY 1"""


@dataclass
class Worker:
    """The sessions of processes of one name, what they are at, and for how long each is silent."""

    name: str
    sessions: int = 0
    at_work: set[str] = field(default_factory=set)
    silences: list[float] = field(default_factory=list)  # seconds, one of each process
    is_scheduler: bool = False

    @property
    def is_heard(self) -> bool:
        return any(seconds < LATE_SECONDS for seconds in self.silences)


@dataclass(frozen=True)
class Queue:
    name: str
    depth: str
    waiting_seconds: float | None

    @property
    def is_late(self) -> bool:
        return (self.waiting_seconds or 0) > LATE_SECONDS


@dataclass(frozen=True)
class Schedule:
    """One question of the scheduler, how its task last went, and what it would find now."""

    name: str
    task: str
    seconds: float
    queue: str
    last: BellRun | None
    waiting_seconds: float | None
    is_at_work: bool
    due_at: datetime | None


def may_see(user: Any) -> bool:
    return bool(user.has_perm("training.view_run") or user.has_perm("feedback.retry_feedback"))


def alarms() -> list[str]:
    """Say in words what keeps the work from being done."""
    late = [
        f"{queue.name} waits {queue.waiting_seconds:,.0f} s, all projects"
        for queue in _queues()
        if queue.is_late
    ]
    return ([] if _is_turning(workers()) else ["the scheduler is not turning"]) + late


def _is_turning(found: list[Worker]) -> bool:
    """Return whether a scheduler asks; where none ever worked there is none to miss."""
    is_turning = any(one.is_scheduler and one.is_heard for one in found)
    return is_turning or not BellRun.objects.exists()


def _unserved(found: list[Worker]) -> list[str]:
    """Return the queues of which no worker is heard."""
    served = {queue for one in found if one.is_heard for queue in one.name.split()}
    return sorted({entry["options"]["queue"] for entry in BEAT_SCHEDULE.values()} - served)


def workers() -> list[Worker]:
    """Return who is there: workers and the scheduler by the names of their sessions."""
    names = {lock_key(entry["task"]): entry["task"] for entry in BEAT_SCHEDULE.values()}
    found: dict[str, Worker] = {}
    with connection.cursor() as cursor:
        cursor.execute(_SESSIONS)
        for name, silent_seconds, keys in cursor.fetchall():
            tasks = {names[key] for key in keys if key in names}
            is_scheduler = lock_key("beat") in keys
            if not (tasks or is_scheduler or name.startswith("emend-")):
                continue
            one = found.setdefault(name, Worker(name))
            one.sessions += 1
            one.at_work |= tasks
            one.is_scheduler |= is_scheduler
            if is_scheduler or lock_key("worker") in keys:
                one.silences.append(silent_seconds)
    return list(found.values())


def _queues() -> list[Queue]:
    return [
        Queue(name, _count(Feedback.objects.ready(name)), processing.waiting_seconds(name))
        for name in QUEUES
    ]


def _count(rows: QuerySet[Any]) -> str:
    return counted(rows[:MOST_COUNTED].count())


def _schedules(at_work: set[str], runs: dict[str, BellRun]) -> list[Schedule]:
    due = _due()
    found = []
    for name, entry in BEAT_SCHEDULE.items():
        task = cast("BellTask", app.tasks[entry["task"]])
        found.append(
            Schedule(
                name=name,
                task=task.name,
                seconds=entry["schedule"],
                queue=entry["options"]["queue"],
                last=runs.get(task.name),
                waiting_seconds=task.waiting(),
                is_at_work=task.name in at_work,
                due_at=due.get(task.name),
            )
        )
    return found


def _due() -> dict[str, datetime | None]:
    """Return when tasks are due whose rows carry a time."""
    upkeep = Upkeep.objects.filter(task__startswith=retention.TASK).aggregate(at=Min("done_at"))
    swept = Upkeep.objects.filter(task=orphans.TASK).aggregate(at=Min("done_at"))
    chosen = Upkeep.objects.filter(  # longer ago: nothing is to be chosen from
        task__startswith=f"{choosing.TASK} ", done_at__gt=timezone.now() - choosing.EVERY
    ).aggregate(at=Min("done_at"))
    looks = Rollout.objects.filter(status="canary").aggregate(at=Min("next_look_at"))
    retrains = Task.objects.aggregate(at=Min("next_retrain_at"))
    return {
        retention.TASK: upkeep["at"] and upkeep["at"] + retention.EVERY,
        orphans.TASK: swept["at"] and swept["at"] + orphans.EVERY,
        choosing.TASK: chosen["at"] and chosen["at"] + choosing.EVERY,
        "training.advance_rollouts": looks["at"],
        "training.start_due_runs": retrains["at"],
    }


def page_of(user: Any, why: str) -> dict[str, Any]:
    """Return what the page shows to this person, newest first; `why` is the error to look at."""
    runs = {run.task: run for run in BellRun.objects.all()}
    found = workers()
    errors = _errors(user)
    why = why if why in errors else ""
    return {
        "workers": found,
        "is_turning": _is_turning(found),
        "unserved": _unserved(found),
        "late_seconds": LATE_SECONDS,
        "has_broker": bool(settings.REDIS_URL),
        "queues": _queues(),
        "schedules": _schedules({task for one in found for task in one.at_work}, runs),
        "failed": _failed(user, why).select_related("task")[:MOST_ROWS],
        "failed_count": _count(_failed(user, why)),
        "errors": errors.most_common(),
        "why": why,
        "most_at_once": bulk.MOST_AT_ONCE,
        "runs": _mine(user, Run, "task__project", "task", "dataset_version"),
        "builds": _mine(user, DatasetVersion, "dataset__project", status="failed"),
        "erasures": _mine(user, ErasureRequest, "project", "project", status="failed"),
        "letters": _mine(user, DeadLetter, "project"),
        "may_retry": user.has_perm("feedback.retry_feedback"),
    }


def _errors(user: Any) -> Counter[str]:
    """Count what feedback failed by, among the newest."""
    return Counter(_failed(user).values_list("error", flat=True)[:MOST_COUNTED])


def _failed(user: Any, why: str = "") -> QuerySet[Feedback]:
    if not user.has_perm("feedback.view_feedback"):
        return Feedback.objects.none()
    rows = within(Feedback.objects.filter(status=Status.FAILED), user).order_by("-created_at")
    return rows.filter(error=why) if why else rows


def _mine(user: Any, model: Any, path: str, *related: str, **only: Any) -> list[Any]:
    """Return the newest rows that the person may see."""
    if not user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}"):
        return []
    rows = model.objects.filter(**only).select_related(*related)
    return list(within(rows, user, path).order_by("-created_at")[:MOST_ROWS])


def mend(request: HttpRequest) -> HttpResponse:
    """Try failed feedback again, or discard it for a reason: the chosen, or all that is shown."""
    if not request.user.has_perm("feedback.retry_feedback"):
        raise PermissionDenied
    by, reason = request.user.get_username(), request.POST.get("reason", "").strip()
    is_discard = request.POST.get("verb") == "discard"
    if is_discard and not reason:
        messages.error(request, "Say why it is discarded. Nothing was changed.")
        return HttpResponseRedirect(request.get_full_path())

    def decide(feedback: Feedback) -> Review | None:
        if is_discard:
            review.discard(feedback, by=by, reason=reason)
        else:
            review.retry(feedback, by=by)
        return None

    if "all" in request.POST:
        rows = _failed(request.user, request.GET.get("why", ""))
    else:
        chosen = [pk for pk in request.POST.getlist("feedback") if pk.isdecimal() and len(pk) < 19]
        rows = within(Feedback.objects.filter(pk__in=chosen), request.user)
    done = bulk.each(rows, decide, by=by)
    messages.success(request, done.words("discarded" if is_discard else "put back into the queue"))
    return HttpResponseRedirect(request.get_full_path())
