"""Hourly figures for the dashboard, counted again where feedback came or changed since."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import BigIntegerField, Case, Exists, OuterRef, Value, When
from django.utils import timezone

from feedback.models import Feedback, FiguresMark, Task
from feedback.signals import SIGNALS

DAYS = 30
HOURS_AT_ONCE = 24

_BY_SIGNAL = ", ".join(f"'{name}', count(*) FILTER (WHERE signal = '{name}')" for name in SIGNALS)
_HORIZON = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_CHANGED = """
    SELECT DISTINCT date_trunc('hour', moment) FROM feedback_task AS t
    JOIN feedback AS f ON f.task_id = t.id AND f.touched >= %(seen_to)s
    LEFT JOIN feedback_historicalreview AS r ON r.feedback_id = f.number
    CROSS JOIN LATERAL (VALUES (f.created_at), (r.history_date)) AS moments (moment)
    WHERE t.project_id = %(project)s AND moment > %(since)s
    ORDER BY 1"""
# An undo comes next after what it takes back.
_COUNT = f"""
    WITH hours AS (SELECT unnest(%(hours)s::timestamptz[]) AS hour),
    acts AS (
        SELECT f.task_id, h.hour, f.signal, f.created_at,
            f.flags <> '{{}}' AND f.rejections = '[]' AS is_flagged,  -- what is refused keeps flags
            CASE WHEN f.status = 'processed' THEN f.processed_at END AS processed_at,
            CASE WHEN f.status = 'processed' THEN
                greatest(0, extract(epoch FROM f.processed_at - f.ready_at)) END AS seconds
        FROM hours AS h JOIN feedback AS f ON f.project_id = %(project)s
            AND f.created_at >= h.hour AND f.created_at < h.hour + interval '1 hour'
    ),
    counted AS (
        SELECT task_id, hour, count(*) AS captured, jsonb_build_object({_BY_SIGNAL}) AS signals,
            count(*) FILTER (WHERE is_flagged) AS flagged, count(seconds) AS processed,
            percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY seconds) AS percentiles,
            max(created_at) AS last_captured_at, max(processed_at) AS last_processed_at
        FROM acts GROUP BY task_id, hour
    ),
    decided AS (
        SELECT f.task_id, h.hour, count(*) AS decided, max(r.history_date) AS last_decided_at
        FROM hours AS h JOIN feedback_historicalreview AS r
            ON r.history_date >= h.hour AND r.history_date < h.hour + interval '1 hour'
        JOIN feedback AS f ON f.number = r.feedback_id AND f.project_id = %(project)s
        LEFT JOIN LATERAL (SELECT is_undo FROM feedback_historicalreview
            WHERE feedback_id = r.feedback_id AND history_id > r.history_id
            ORDER BY history_id LIMIT 1) AS next ON true
        WHERE r.decision IN ('accept', 'reject')
            AND NOT r.is_undo AND next.is_undo IS NOT TRUE
        GROUP BY f.task_id, h.hour
    ),
    known AS (  -- counted before: nothing may be left of it
        SELECT f.task_id, f.hour FROM hours AS h JOIN feedback_hourfigures AS f USING (hour)
        JOIN feedback_task AS t ON t.id = f.task_id AND t.project_id = %(project)s
    )
    INSERT INTO feedback_hourfigures (task_id, hour, captured, signals, flagged, processed,
        decided, p50_seconds, p99_seconds, last_captured_at, last_processed_at, last_decided_at)
    SELECT task_id, hour, coalesce(captured, 0), coalesce(signals, '{{}}'),
        coalesce(flagged, 0), coalesce(processed, 0), coalesce(decided, 0),
        percentiles[1], percentiles[2], last_captured_at, last_processed_at, last_decided_at
    FROM counted FULL JOIN decided USING (task_id, hour) FULL JOIN known USING (task_id, hour)
    ORDER BY task_id, hour  -- as an erasure locks them
    ON CONFLICT (task_id, hour) DO UPDATE SET captured = excluded.captured,
        signals = excluded.signals, flagged = excluded.flagged,
        processed = excluded.processed, decided = excluded.decided,
        p50_seconds = excluded.p50_seconds, p99_seconds = excluded.p99_seconds,
        last_captured_at = excluded.last_captured_at,
        last_processed_at = excluded.last_processed_at,
        last_decided_at = excluded.last_decided_at"""  # noqa: S608
_DEPTHS = """
    INSERT INTO feedback_hourfigures (task_id, hour, signals, open_flagged, open_pending)
    SELECT t.id, date_trunc('hour', now()), '{}', coalesce(f.n, 0), coalesce(p.n, 0)
    FROM feedback_task AS t
    LEFT JOIN (SELECT task_id, count(*) AS n FROM feedback WHERE status = 'flagged'
        GROUP BY task_id) AS f ON f.task_id = t.id
    LEFT JOIN (SELECT task_id, count(*) AS n FROM feedback WHERE status = 'pending'
        GROUP BY task_id) AS p ON p.task_id = t.id
    WHERE t.project_id = ANY(%(projects)s) ORDER BY t.id
    ON CONFLICT (task_id, hour) DO UPDATE
    SET open_flagged = excluded.open_flagged, open_pending = excluded.open_pending"""


def waiting_seconds() -> float | None:
    """Return 0.0 if feedback came or changed that no figures count, else None."""
    return 0.0 if _changed_projects() else None


def measure() -> None:
    """Count again the hours in which something changed; the first time all of the last 30 days.

    Decisions are counted as they were made, also those that were revised. What changes later than
    that stays as it was counted; what is deleted goes when its hour is counted again.
    """
    projects = _changed_projects()
    for project in projects:
        _measure(project, _horizon())
    with connection.cursor() as cursor:
        cursor.execute(_DEPTHS, {"projects": projects})


def _horizon() -> int:
    """Return the transaction before which all have ended."""
    with connection.cursor() as cursor:
        cursor.execute(_HORIZON)
        (horizon,) = cursor.fetchone()
    return int(horizon)


def _changed_projects() -> list[int]:
    # A mark that lies ahead is of another database: nothing is counted here yet.
    mark = When(project__figures__seen_to__lte=_horizon(), then="project__figures__seen_to")
    tasks = Task.objects.annotate(
        seen_to=Case(mark, default=Value(0), output_field=BigIntegerField())
    )
    unseen = Feedback.objects.filter(task=OuterRef("pk"), touched__gte=OuterRef("seen_to"))
    changed = tasks.filter(Exists(unseen)).values_list("project", flat=True)
    return sorted(set(changed))


def _measure(project: int, horizon: int) -> None:
    """Count what changed; what commits from the horizon on comes again with the next time."""
    now = timezone.now()
    for hours in _in_steps(_hours(project, now, horizon)):
        count(project, hours)
    FiguresMark.objects.update_or_create(
        project_id=project, defaults={"seen_to": horizon, "measured_at": now}
    )


def count(project: int, hours: list[datetime]) -> None:
    """Count these hours again, of all tasks of the project."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"project": project, "hours": hours})


def _hours(project: int, now: datetime, horizon: int) -> list[datetime]:
    """Return the hours to count, oldest first."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    since = this_hour - timedelta(days=DAYS)
    mark = FiguresMark.objects.filter(project=project, seen_to__lte=horizon).first()
    if mark is None:
        return [since + timedelta(hours=n) for n in range(24 * DAYS + 1)]
    with connection.cursor() as cursor:
        cursor.execute(_CHANGED, {"project": project, "seen_to": mark.seen_to, "since": since})
        return [hour for (hour,) in cursor.fetchall()]


def _in_steps(hours: list[datetime]) -> Iterator[list[datetime]]:
    for start in range(0, len(hours), HOURS_AT_ONCE):
        yield hours[start : start + HOURS_AT_ONCE]
