"""Which examples a dataset takes, and why not: one statement, for all of a task or what changed.

Whatever may change an answer notes its transaction in `touched`; see docs/decisions/0008.
"""

from typing import Any

from django.db import connection

from feedback import outdoing
from feedback.outdoing import IS_OUTDONE, is_bare_vote
from feedback.serializers import in_utc
from training.curation.permission import WORD, parameters, refuses
from training.curation.settings import DatasetSettings
from training.models import Dataset
from training.purposes import PURPOSES, Purpose

GONE = "gone"  # replaced, or never meant for the purpose: not worth a word
# Held out by the task, and never meant for the purpose: what is like it is not trained on.
GUARD = "guard"
# The inputs of the random slice of the answers to check: it measures, so it never teaches.
_RANDOM_SLICE = """
    SELECT i.input_hash FROM training_answertocheck AS c
    JOIN feedback_inference AS i ON i.number = c.inference_id
    WHERE c.task_id = %(task)s AND c.is_random AND c.status <> 'gone'"""
# Answers about which anything changed, then all examples that hang on one of them, then all that
# were left out for being like one of these.
_CANDIDATE = """
    answer AS (
        SELECT inference_id FROM feedback
        WHERE task_id = %(task)s AND touched >= %(since)s
        UNION SELECT f.inference_id FROM feedback_review AS r
        JOIN feedback AS f ON f.number = r.feedback_id
        WHERE f.task_id = %(task)s AND r.touched >= %(since)s
        UNION SELECT i.number FROM word
        JOIN feedback_inference AS i ON i.task_id = %(task)s AND i.user_id = word.user_id
        WHERE word.touched >= %(since)s
        UNION SELECT f.inference_id FROM word
        JOIN feedback AS f ON f.project_id = %(project)s AND f.user_id = word.user_id
        WHERE f.task_id = %(task)s AND word.touched >= %(since)s
        UNION SELECT f.inference_id FROM feedback_contributor AS c
        JOIN feedback AS f ON f.project_id = %(project)s AND f.user_id = c.user_id
        WHERE c.task_id = %(task)s AND f.task_id = %(task)s AND c.touched >= %(since)s
    ), direct AS (
        SELECT id FROM feedback_example WHERE task_id = %(task)s AND touched >= %(since)s
        UNION SELECT e.id FROM answer JOIN feedback AS f USING (inference_id)
        JOIN feedback_example AS e ON e.feedback_id = f.number
        UNION SELECT e.id FROM answer JOIN feedback_example AS e USING (inference_id)
        UNION SELECT e.id FROM training_answertocheck AS c
        JOIN feedback_inference AS i ON i.number = c.inference_id
        JOIN feedback_example AS e ON e.task_id = c.task_id AND e.input_hash = i.input_hash
        WHERE c.task_id = %(task)s AND c.touched >= %(since)s
    ), candidate AS MATERIALIZED (
        SELECT id FROM direct
        UNION SELECT l.example_id FROM direct AS d
        JOIN training_leftout AS l ON l.holdout_example_id = d.id
        WHERE l.dataset_id = %(dataset)s AND l.until_version IS NULL
        UNION SELECT example_id FROM training_leftout
        WHERE dataset_id = %(dataset)s AND until_version IS NULL
        AND reason IN ('in_holdout', 'near_holdout') AND holdout_example_id IS NULL
    )"""


def _decide(purpose: Purpose, which: str) -> str:
    takes, examined = purpose.takes, PURPOSES["train"].takes if purpose.is_split else "false"
    return f"""
        SELECT e.id, at.split, {purpose.kind}::text AS kind, CASE
            WHEN {takes} THEN verdict.reason
            WHEN verdict.reason = '' THEN '{GUARD}' ELSE '{GONE}' END AS reason
        FROM feedback_example AS e
        LEFT JOIN feedback AS f ON f.number = e.feedback_id
        LEFT JOIN feedback_review AS r ON r.feedback_id = e.feedback_id
        LEFT JOIN feedback_inference AS i ON i.number = coalesce(f.inference_id, e.inference_id)
        CROSS JOIN LATERAL (SELECT CASE
            WHEN %(holdout_from)s::timestamptz IS NULL THEN e.split
            WHEN coalesce(f.created_at, i.created_at, e.created_at) >= %(holdout_from)s
            THEN 'holdout' ELSE 'train' END AS split) AS at
        CROSS JOIN LATERAL (SELECT CASE
            WHEN e.superseded_at IS NOT NULL THEN '{GONE}'
            WHEN NOT ({takes} OR ({examined} AND at.split = 'holdout')) THEN '{GONE}'
            WHEN e.source = 'silence' AND (NOT %(is_silence_on)s OR EXISTS (
                SELECT 1 FROM feedback AS g WHERE g.inference_id = e.inference_id)
            ) THEN '{GONE}'
            WHEN {refuses("f.user_id")} OR {refuses("i.user_id")} THEN 'consent_withdrawn'
            WHEN f.status <> 'processed' AND NOT {is_bare_vote("f", "r")} THEN 'undecided'
            WHEN r.decision IS DISTINCT FROM 'accept' AND NOT f.is_verified THEN 'unverified'
            WHEN r.decision IS DISTINCT FROM 'accept' AND EXISTS (
                SELECT 1 FROM feedback_contributor AS c WHERE c.task_id = e.task_id
                AND c.user_id = f.user_id AND c.standing = 'quarantined') THEN 'quarantined'
            WHEN {IS_OUTDONE} THEN 'outdone'
            WHEN %(has_labels)s AND e.output #>> '{{}}' <> ALL(%(labels)s::text[]) THEN 'label_gone'
            WHEN e.source = 'silence' AND at.split = 'holdout' THEN 'silent_holdout'
            WHEN {"at.split = 'train'" if purpose.is_split else "false"}
                AND e.input_hash IN ({_RANDOM_SLICE}) THEN 'random_slice'
            WHEN at.split = 'train' AND (
                (e.source <> ALL(%(sources)s::text[]) AND cardinality(%(sources)s::text[]) > 0)
                OR (e.signal <> ALL(%(signals)s::text[]) AND cardinality(%(signals)s::text[]) > 0
                    AND e.source IN ('feedback', 'audit'))) THEN 'not_in_dataset'
            ELSE '' END AS reason) AS verdict
        WHERE {which}"""  # noqa: S608


def decide(dataset: Dataset, settings: DatasetSettings, *, since: int | None) -> None:
    """Fill the temporary table `decided` (id, split, kind, reason; "" is none) in one snapshot.

    With all of the task's examples, or with those that may be decided otherwise since the
    transaction `since`. Call inside a transaction.
    """
    purpose = PURPOSES[dataset.purpose]
    if since is None:
        rows = f"WITH {WORD} {_decide(purpose, 'e.task_id = %(task)s')}"
    else:
        rows = f"WITH {WORD}, {_CANDIDATE} {_of_candidates(purpose)}"
    asked = _parameters(dataset, settings) | {"since": since}
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS decided")
        cursor.execute(f"CREATE TEMPORARY TABLE decided ON COMMIT DROP AS {rows}", asked)
        cursor.execute("CREATE INDEX ON decided (id); ANALYZE decided")


def guards_among(dataset: Dataset, settings: DatasetSettings, examples: list[int]) -> list[int]:
    """Return which of these examples are held out by the task and never meant for the dataset."""
    candidate = "candidate AS (SELECT unnest(%(examples)s::bigint[]) AS id)"
    rows = f"WITH {WORD}, {candidate} {_of_candidates(PURPOSES[dataset.purpose])}"
    asked = _parameters(dataset, settings) | {"examples": examples}
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM ({rows}) AS r WHERE reason = '{GUARD}'", asked)  # noqa: S608
        return [pk for (pk,) in cursor.fetchall()]


def _of_candidates(purpose: Purpose) -> str:
    # OFFSET 0 keeps PostgreSQL from reading whole tables for a few candidates.
    each = f"LATERAL ({_decide(purpose, 'e.id = candidate.id')} OFFSET 0) AS d"
    return f"SELECT d.* FROM candidate, {each}"  # noqa: S608


def _parameters(dataset: Dataset, settings: DatasetSettings) -> dict[str, Any]:
    task = dataset.task
    shared = parameters(task) | outdoing.PARAMETERS
    return shared | {
        "dataset": dataset.pk,
        "is_silence_on": task.silence_weight > 0,
        "has_labels": task.kind.has_label_output,
        "labels": task.labels,
        "sources": settings.sources,
        "signals": settings.signals,
        "holdout_from": settings.holdout_from and in_utc(settings.holdout_from),
    }
