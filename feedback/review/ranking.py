"""In which order moderators decide: what is worth most of their minutes first."""

from datetime import timedelta

import msgspec
from django.db import connection, transaction
from django.db.models.functions import Now

from config.database import fetch, recordset
from feedback.models import Feedback
from feedback.worth import Answer, reason_of, worth_of
from privacy.models import Upkeep

TASK = "feedback.rank_queue"
ROWS = 1_000
MOST_EXPOSURE = 10_000  # to count further would take long, and order nothing
AGAIN = timedelta(minutes=10)
LEAST_MOVE = 0.01
DISPUTING = frozenset({"down", "correction", "edited"})


class Waiting(msgspec.Struct):
    """A flagged feedback with what is known of the answer that it is about.

    Nobody vouches for what a publishable key says of an answer: `exposure` 0, nothing is known.
    """

    number: int
    signal: str
    exposure: int
    confidence: float | None
    probabilities: dict[str, float] | None


# Whoever decides or erases meanwhile has the row: it is ranked the next time.
_WAITING = """
    WITH waiting AS MATERIALIZED (
        SELECT f.number, f.signal, f.task_id, f.input_hash, f.inference_id FROM feedback AS f
        WHERE f.status = 'flagged' AND f.number > %(after)s
            AND (NOT %(is_new)s OR f.exposure IS NULL)
        ORDER BY f.number LIMIT %(rows)s FOR UPDATE SKIP LOCKED
    ), seen AS MATERIALIZED (
        SELECT asked.task_id, asked.input_hash, (
            SELECT count(*) FROM (
                SELECT FROM feedback_inference AS j
                LEFT JOIN privacy_apikey AS key ON key.id = j.api_key_id
                WHERE j.task_id = asked.task_id AND j.input_hash = asked.input_hash
                    AND j.is_verified AND (key.id IS NULL OR key.scope = 'manage')
                LIMIT %(most)s) AS served) AS exposure
        FROM (SELECT DISTINCT task_id, input_hash FROM waiting) AS asked
    )
    SELECT coalesce(json_agg(to_json(found) ORDER BY number), '[]')::text FROM (
        SELECT w.number, w.signal, CASE WHEN vouched THEN greatest(exposure, 1) ELSE 0 END
            AS exposure, CASE WHEN vouched THEN i.confidence END AS confidence,
            CASE WHEN vouched THEN i.probabilities END AS probabilities
        FROM waiting AS w JOIN seen USING (task_id, input_hash)
        JOIN feedback_inference AS i ON i.number = w.inference_id
        LEFT JOIN privacy_apikey AS key ON key.id = i.api_key_id
        CROSS JOIN LATERAL (
            SELECT i.is_verified AND (key.id IS NULL OR key.scope = 'manage') AS vouched) AS v
    ) AS found"""
_RANKED = {"number": "bigint", "exposure": "integer", "worth": "float8"}
# What moved by less is in the same place: each change is written into all indexes of the row.
_RANK = f"""
    UPDATE feedback AS f SET exposure = r.exposure, worth = r.worth
    FROM {recordset("ranked", _RANKED)}
    WHERE f.number = r.number
        AND (f.exposure IS NULL OR abs(f.worth - r.worth) > {LEAST_MOVE})"""  # noqa: S608


def waiting_seconds() -> float | None:
    """Return 0.0 if the queue is to be ordered, else None."""
    queue = Feedback.objects.flagged()
    if queue.filter(exposure=None).exists():
        return 0.0
    is_fresh = Upkeep.objects.filter(task=TASK, done_at__gt=Now() - AGAIN).exists()
    return None if is_fresh or not queue.exists() else 0.0


def rank_queue() -> None:
    """Give what is new its place; from time to time all, for answers are served again and again."""
    _rank(is_new=True)
    if not Upkeep.objects.filter(task=TASK, done_at__gt=Now() - AGAIN).exists():
        _rank(is_new=False)
        Upkeep.objects.update_or_create(task=TASK, defaults={"done_at": Now()})


def _rank(*, is_new: bool) -> None:
    after: int | None = 0
    while after is not None:
        after = _rank_some(after, is_new=is_new)


@transaction.atomic
def _rank_some(after: int, *, is_new: bool) -> int | None:
    """Rank the rows after one; return the last of them, None where there are no more."""
    asked = {"most": MOST_EXPOSURE, "rows": ROWS, "is_new": is_new, "after": after}
    rows = fetch(_WAITING, asked, list[Waiting], is_write=True)
    ranked = [{"number": r.number, "exposure": r.exposure, "worth": _worth(r)} for r in rows]
    with connection.cursor() as cursor:
        cursor.execute(_RANK, {"ranked": msgspec.json.encode(ranked).decode()})
    return rows[-1].number if rows else None


def _worth(row: Waiting) -> float:
    answer = Answer(max(1, row.exposure), row.confidence, row.probabilities)
    return worth_of(answer, is_disputed=row.signal in DISPUTING)


def answer_of(feedback: Feedback) -> Answer:
    """Return what is known of the answer that a ranked feedback is about."""
    if not feedback.exposure:
        return Answer(1)
    shown = feedback.inference
    return Answer(feedback.exposure, shown.confidence, shown.probabilities)


def reason_of_place(feedback: Feedback) -> str:
    """Say why flagged feedback has its place."""
    if feedback.exposure is None:
        return "Not ranked yet"
    return reason_of(answer_of(feedback), is_disputed=feedback.signal in DISPUTING)
