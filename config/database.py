"""Statements that answer with one JSON document: the short way to PostgreSQL for hot paths.

They are prepared and planned once a connection for all parameters (`plan_cache_mode` in the
settings): planning such a statement takes longer than executing it.
"""

import time
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import psycopg
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from django.db.models import BigIntegerField, Func, TextField
from django.db.models.functions import Cast
from psycopg.errors import ConnectionTimeout, QueryCanceled

Shape = TypeVar("Shape")
# The transaction that wrote a row: what dataset builds go by to find what changed.
CURRENT_TRANSACTION = Cast(
    Cast(Func(function="pg_current_xact_id"), TextField()), BigIntegerField()
)
# A web server's thread waits no longer for a lock or a disk; workers and commands may.
LIMITS = "SET statement_timeout = '10s'; SET idle_in_transaction_session_timeout = '30s'"
REST_SECONDS = 1.0
PLAN_SECONDS = 1.0  # a plan made for a small table is poor for the large one that it has become


def fetch(
    statement: str, parameters: Mapping[str, object], shape: type[Shape], *, is_write: bool = False
) -> Shape:
    """Execute a statement whose first row and column is JSON text, and decode it to `shape`.

    What only reads is tried again on a new connection where the old one was ended from outside.
    Raises Django's database errors.
    """
    database = connections[DEFAULT_DB_ALIAS]
    _refuse_while_stuck()
    try:
        return msgspec.json.decode(_execute(database, statement, parameters), type=shape)
    except OperationalError as error:
        _rest_if_stuck(error)
        is_lost = database.connection is not None and database.connection.closed
        if is_write or database.in_atomic_block or not is_lost:
            raise
    database.close()
    return msgspec.json.decode(_execute(database, statement, parameters), type=shape)


def recordset(parameter: str, columns: Mapping[str, str]) -> str:
    """Return the FROM item, named r, that makes rows of a JSON parameter; columns have types."""
    shape = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    return f"json_to_recordset(%({parameter})s::json) AS r({shape})"


def limit_statements(connection: Any, **_: Any) -> None:
    """Bound what a new session of the web server may wait (a receiver of `connection_created`)."""
    with connection.cursor() as cursor:
        cursor.execute(LIMITS)


_stuck = {"until": 0.0}  # by the monotonic clock, for this process


def is_stuck() -> bool:
    """Return whether the database has just let this process wait for as long as it may."""
    return time.monotonic() < _stuck["until"]


def _refuse_while_stuck() -> None:
    """Fail at once for those who queued meanwhile: each would wait as long, one after the other."""
    if is_stuck():
        raise OperationalError("The database does not answer in time.")


def _rest_if_stuck(error: OperationalError) -> None:
    if isinstance(error.__cause__, QueryCanceled | ConnectionTimeout):
        _stuck["until"] = time.monotonic() + REST_SECONDS


def _execute(database: Any, statement: str, parameters: Mapping[str, object]) -> Any:
    database.ensure_connection()
    # Binding on the server: a batch's megabyte is not escaped and parsed as a literal.
    with database.wrap_database_errors, psycopg.Cursor(database.connection) as cursor:
        if time.monotonic() > getattr(database, "plans_end_at", 0.0):
            cursor.execute("DISCARD PLANS")
            database.plans_end_at = time.monotonic() + PLAN_SECONDS
        (document,) = cursor.execute(statement, parameters, prepare=True).fetchone() or (None,)
    return document or "null"
