"""Who does not permit training, asked in SQL: whoever wrote, or was shown, an example's content."""

from datetime import datetime
from typing import Any

from django.db import connection

from feedback.models import Task
from privacy.models import Project

WORD = """
    word AS MATERIALIZED (
        SELECT s.user_id, c.is_granted, c.touched FROM privacy_consent AS c
        JOIN privacy_datasubject AS s ON s.id = c.subject_id
        WHERE s.project_id = %(project)s AND c.purpose = 'training'
    )"""
_WORD_AS_OF = """
    word AS MATERIALIZED (
        SELECT DISTINCT ON (h.subject_id) s.user_id, h.is_granted
        FROM privacy_historicalconsent AS h JOIN privacy_datasubject AS s ON s.id = h.subject_id
        WHERE s.project_id = %(project)s AND h.purpose = 'training' AND h.history_date <= %(as_of)s
        ORDER BY h.subject_id, h.history_id DESC
    )"""


def refuses(user: str) -> str:
    """Return the condition that a person refuses: by word, or by none where that counts so."""
    return f"""
        ({user} IS NOT NULL AND CASE
            WHEN %(is_withheld)s THEN {user} NOT IN (SELECT user_id FROM word WHERE is_granted)
            ELSE {user} IN (SELECT user_id FROM word WHERE NOT is_granted) END)"""  # noqa: S608


# Where people must refuse by word they are few, and indexes lead from them to their examples.
_FORBIDDEN = f"""
    person AS MATERIALIZED (
        SELECT user_id FROM word WHERE NOT is_granted
        UNION SELECT f.user_id FROM feedback AS f
        WHERE %(is_withheld)s AND f.task_id = %(task)s AND {refuses("f.user_id")}
        UNION SELECT i.user_id FROM feedback_inference AS i
        WHERE %(is_withheld)s AND i.task_id = %(task)s AND {refuses("i.user_id")}
    ), answer AS (
        SELECT i.number FROM person JOIN feedback_inference AS i
        ON i.task_id = %(task)s AND i.user_id = person.user_id
    )
    SELECT e.id FROM person
    JOIN feedback AS f ON f.project_id = %(project)s AND f.user_id = person.user_id
    JOIN feedback_example AS e ON e.feedback_id = f.number WHERE e.task_id = %(task)s
    UNION SELECT e.id FROM answer JOIN feedback AS f ON f.inference_id = answer.number
    JOIN feedback_example AS e ON e.feedback_id = f.number
    UNION SELECT e.id FROM answer JOIN feedback_example AS e ON e.inference_id = answer.number
"""  # noqa: S608


def parameters(task: Task, *, as_of: datetime | None = None) -> dict[str, Any]:
    """Return what the two forms of `word`, and `refuses`, need to ask."""
    project = task.project
    if as_of is not None:
        project = Project.history.as_of(as_of).get(pk=task.project_id)
    is_withheld = project.consent_default == "withheld"
    return {"project": project.pk, "task": task.pk, "as_of": as_of, "is_withheld": is_withheld}


def forbidden(task: Task, *, as_of: datetime | None = None) -> set[int]:
    """Return the examples of a task that may not be trained on or exported as people say now.

    With `as_of` by what they had said then, and what counted then for who had said nothing.
    """
    word = WORD if as_of is None else _WORD_AS_OF
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {word}, {_FORBIDDEN}", parameters(task, as_of=as_of))
        return {pk for (pk,) in cursor.fetchall()}
