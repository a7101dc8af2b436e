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

Shape = TypeVar("Shape")
PLAN_SECONDS = 1.0  # a plan made for a small table is poor for the large one that it has become


def fetch(
    statement: str, parameters: Mapping[str, object], shape: type[Shape], *, is_write: bool = False
) -> Shape:
    """Execute a statement whose first row and column is JSON text, and decode it to `shape`.

    What only reads is tried again on a new connection, for the old one may have been ended from
    outside. Raises Django's database errors.
    """
    database = connections[DEFAULT_DB_ALIAS]
    try:
        return msgspec.json.decode(_execute(database, statement, parameters), type=shape)
    except OperationalError:
        if is_write or database.in_atomic_block:
            raise
    database.close()
    return msgspec.json.decode(_execute(database, statement, parameters), type=shape)


def recordset(parameter: str, columns: Mapping[str, str]) -> str:
    """Return the FROM item, named r, that makes rows of a JSON parameter; columns have types."""
    shape = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    return f"json_to_recordset(%({parameter})s::json) AS r({shape})"


def _execute(database: Any, statement: str, parameters: Mapping[str, object]) -> Any:
    database.ensure_connection()
    # Binding on the server: a batch's megabyte is not escaped and parsed as a literal.
    with database.wrap_database_errors, psycopg.Cursor(database.connection) as cursor:
        if time.monotonic() > getattr(database, "plans_end_at", 0.0):
            cursor.execute("DISCARD PLANS")
            database.plans_end_at = time.monotonic() + PLAN_SECONDS
        (document,) = cursor.execute(statement, parameters, prepare=True).fetchone() or (None,)
    return document or "null"
