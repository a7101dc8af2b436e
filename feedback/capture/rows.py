"""Rows on their way into the tables, and the one statement that stores them.

They are plain values. The database makes of one JSON document as many rows as it holds: a
thousand cost one round trip, and none is stored unless all are.
"""

from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from config.database import fetch, recordset
from privacy.models import Project
from privacy.tombstones import WITHHELD, digest_of


class CapturedRow(msgspec.Struct, kw_only=True):
    """What both tables have. Names are those of columns; hashes are `\\x` and hex digits."""

    id: UUID
    project_id: int
    task_id: int
    api_key_id: int | None
    user_id: str | None
    is_verified: bool
    session_id: str
    metadata: Any
    redactions: dict[str, int]
    input_hash: str
    fingerprint: str
    occurred_at: datetime | None


class InferenceRow(CapturedRow, kw_only=True):
    input: Any
    output: Any
    is_sensitive: bool = False
    confidence: float | None = None
    model_version: str = ""
    arm: str = ""
    probabilities: dict[str, float] | None = None
    target_type: str = ""
    target_id: str = ""
    parent_id: int | None = None


class FeedbackRow(CapturedRow, kw_only=True):
    position: int = 0  # in the request: later acts get higher numbers
    inference_id: int | None  # None: the one of that uuid, stored by the same statement
    inference_uuid: UUID
    signal: str
    correction_type: str
    original: Any
    corrected: Any
    comment: str
    status: str = ""
    flags: list[str] = []
    rejections: list[dict[str, str]] = []
    quality: float = 0.0
    quality_parts: dict[str, float] = {}
    edit_distance: float | None = None
    disagreement: float | None = None
    corrected_hash: str | None = None
    act_hash: str | None = None
    source: str = "user"
    queue: str
    attempts: int = 0
    error: str = ""


class Stored(msgspec.Struct):
    number: int
    created_at: datetime


# The columns that are not text.
_TYPES = {
    "id": "uuid",
    "inference_uuid": "uuid",
    **dict.fromkeys(("project_id", "task_id", "api_key_id", "inference_id", "parent_id"), "bigint"),
    **dict.fromkeys(("input_hash", "fingerprint", "corrected_hash", "act_hash"), "bytea"),
    **dict.fromkeys(("metadata", "redactions", "input", "output", "probabilities"), "jsonb"),
    **dict.fromkeys(("original", "corrected", "rejections", "quality_parts"), "jsonb"),
    **dict.fromkeys(("confidence", "quality", "edit_distance", "disagreement"), "float8"),
    **dict.fromkeys(("is_verified", "is_sensitive"), "bool"),
    "occurred_at": "timestamptz",
    "flags": "text[]",
    "attempts": "smallint",
    "position": "int",
}
# An erasure that this statement does not see waits for it. As a sub-select it is asked once.
_GATE = "(SELECT emend_refuse(%(project)s::bigint, %(named)s::text[], %(digests)s::bytea[]))"
_INFERENCE = InferenceRow.__struct_fields__
_PLACED = ("position", "inference_id", "inference_uuid")  # decided while it is stored
_FEEDBACK = tuple(column for column in FeedbackRow.__struct_fields__ if column not in _PLACED)


def _read(parameter: str, columns: Iterable[str]) -> str:
    return recordset(parameter, {column: _TYPES.get(column, "text") for column in columns})


_PEOPLE = f"""
    INSERT INTO privacy_datasubject (project_id, user_id)
    SELECT project_id, user_id FROM {_read("people", ["project_id", "user_id"])}
    ON CONFLICT DO NOTHING
"""  # noqa: S608  built of the column names above alone
_INFERENCES = f"""
    INSERT INTO feedback_inference ({", ".join(_INFERENCE)})
    SELECT {", ".join(_INFERENCE)} FROM {_read("inferences", _INFERENCE)} WHERE {_GATE}
    RETURNING number, id, created_at
"""  # noqa: S608
_ANSWER = """
    SELECT json_object_agg(id, json_build_object('number', number, 'created_at', created_at))::text
"""
_STORE_INFERENCES = f"""
    WITH people AS ({_PEOPLE}), stored AS ({_INFERENCES}) {_ANSWER} FROM stored
"""


def _storing_feedback(*, makes_inferences: bool) -> str:
    """Write the statement; one that stores feedback alone needs no join."""
    made = f"made AS ({_INFERENCES})," if makes_inferences else ""
    join = "LEFT JOIN made ON made.id = r.inference_uuid AND r.inference_id IS NULL"
    number = "coalesce(r.inference_id, made.number)"
    # Numbered in the order sent: of a person's acts on one inference the latest counts.
    return f"""
        WITH people AS ({_PEOPLE}), {made} stored AS (
            INSERT INTO feedback ({", ".join(_FEEDBACK)}, inference_id)
            SELECT {", ".join(f"r.{column}" for column in _FEEDBACK)},
                {number if makes_inferences else "r.inference_id"}
            FROM {_read("feedback", (*_FEEDBACK, *_PLACED))}
            {join if makes_inferences else f"WHERE {_GATE}"}
            ORDER BY r.position
            RETURNING number, id, created_at
        ) {_ANSWER} FROM stored
    """  # noqa: S608


_STORE_FEEDBACK = _storing_feedback(makes_inferences=False)
_STORE_BOTH = _storing_feedback(makes_inferences=True)


def store(
    inferences: Sequence[InferenceRow],
    feedback: Sequence[FeedbackRow] = (),
    *,
    project: Project,
    known_people: Container[str],
    others: Iterable[str | None] = (),
) -> dict[UUID, Stored]:
    """Store rows and the people in them who are new; return what the database gave them, by id.

    With feedback, the inferences are those made on the way to it, and are not in the answer.
    `others` are people whose answers or pictures are in them. Raises IntegrityError, and stores
    nothing, if an id or an act is stored already, or a person in them does not let it be stored.
    """
    rows = feedback or inferences
    if not rows:
        return {}
    named = {row.user_id for row in rows if row.user_id is not None} - {WITHHELD}
    involved = named.union(person for person in others if person is not None)
    new = sorted(user_id for user_id in named if user_id not in known_people)
    parameters: dict[str, object] = {
        "project": project.pk,
        "named": array(named),
        "digests": array(bytea(digest_of(project, person)) for person in involved),
        "people": _json([{"project_id": project.pk, "user_id": user_id} for user_id in new]),
    }
    if inferences:
        parameters["inferences"] = _json(inferences)
    if feedback:
        parameters["feedback"] = _json(feedback)
    statement = _STORE_BOTH if inferences else _STORE_FEEDBACK
    if not feedback:
        statement = _STORE_INFERENCES
    return fetch(statement, parameters, dict[UUID, Stored], is_write=True)


def array(values: Iterable[object]) -> str:
    """Write a PostgreSQL array; psycopg takes as long for one as the query does."""
    escaped = (str(value).replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in escaped) + "}"


def bytea(digest: bytes) -> str:
    """Write bytes as the database reads them from JSON."""
    return "\\x" + digest.hex()


def _json(rows: object) -> str:
    return msgspec.json.encode(rows).decode()
