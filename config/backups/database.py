"""The database's part of a backup, by PostgreSQL's own programs."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, Any, cast

from django.db import connection, transaction
from psycopg import pq

from config import embedded
from config.backups import BackupError

SCHEMA = "public"
PATIENCE_SECONDS = 5.0
LOOK_SECONDS = 0.1
# Nothing of it holds before the COMMIT, which is sent only when the dump was read to its end.
_BEGIN = f"""
BEGIN; SET LOCAL client_min_messages = warning; SET LOCAL lock_timeout = '10s';
DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
"""
_COMMIT = "COMMIT;\n"
_SIZE = """
    SELECT coalesce(sum(pg_table_size(oid)), 0)::bigint FROM pg_class
    WHERE relkind = 'r' AND relnamespace = to_regnamespace('public')"""
_OTHERS = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""
_EXTENSIONS = "SELECT extname FROM pg_extension WHERE extnamespace = to_regnamespace('public')"


def dump(place: Path) -> dict[str, int]:
    """Write what the database holds at one moment; return each table's rows at that moment."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SELECT pg_export_snapshot()")
        (snapshot,) = cursor.fetchone()
        options = [f"--schema={SCHEMA}", f"--snapshot={snapshot}", f"--file={place}"]
        done = subprocess.run(
            _program("pg_dump", "--no-password", "--format=custom", *options),
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BackupError(f"pg_dump failed: {_last_line(done.stderr)}")
        return rows()


def replace(place: Path) -> None:
    """Put a dump in the place of what the database holds, all of it or nothing."""
    read = _program("pg_restore", "--no-owner", "--no-privileges", "--file=-", str(place))
    load = _program("psql", "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1")
    load.append("--set=VERBOSITY=terse")  # no detail: it quotes rows
    with (
        tempfile.TemporaryFile("w+") as told,
        subprocess.Popen(read, stdout=subprocess.PIPE, stderr=told) as reader,
        subprocess.Popen(
            load, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=told
        ) as writer,
    ):
        is_whole = _hand_over(reader, writer)
        writer.wait()
        told.seek(0)
        if writer.returncode or not is_whole:
            raise BackupError(f"The database stays as it was: {_last_line(told.read())}")


def _hand_over(reader: "subprocess.Popen[bytes]", writer: "subprocess.Popen[bytes]") -> bool:
    """Return whether all of the script was handed over, and its COMMIT."""
    script, into = cast("IO[bytes]", reader.stdout), cast("IO[bytes]", writer.stdin)
    try:
        with into:
            into.write(_BEGIN.encode())
            shutil.copyfileobj(script, into, 1 << 20)
            if reader.wait():
                return False
            into.write(_COMMIT.encode())
    except BrokenPipeError:  # psql stopped at an error, which it has told
        reader.kill()
        return False
    return True


def rows() -> dict[str, int]:
    """Return how many rows each table has."""
    counts = {}
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            cursor.execute(f"SELECT count(*) FROM {connection.ops.quote_name(table)}")  # noqa: S608
            (counts[table],) = cursor.fetchone()
    return counts


def size() -> int:
    """Return how many bytes the rows take, without what makes them found fast."""
    return int(_values(_SIZE)[0])


def other_sessions() -> int:
    """Count them; one whose program has just ended takes a moment to go, which is waited for."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (others := int(_values(_OTHERS)[0])) and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
    return others


def strangers(known: set[str]) -> list[str]:
    """Return what lies beside Emend's tables and would go with them."""
    tables = set(connection.introspection.table_names())
    own = set(connection.introspection.django_table_names()) | {"django_migrations"}
    return sorted(tables - own - known) + sorted(map(str, _values(_EXTENSIONS)))


def projects() -> int:
    if "privacy_project" not in connection.introspection.table_names():
        return 0
    return int(_values("SELECT count(*) FROM privacy_project")[0])


def version() -> str:
    return str(_values("SHOW server_version")[0])


def name() -> str:
    """Return which database it is, for a person to recognise."""
    found = connection.get_connection_params()
    return f"{found['dbname']} at {found.get('host') or 'localhost'}"


def migrations() -> dict[str, str]:
    """Return the latest migration of each app."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT app, max(name) FROM django_migrations GROUP BY app")
        return dict(cursor.fetchall())


def analyse() -> None:
    """Let PostgreSQL see how many rows there are: no dump tells it."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _values(statement: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [row[0] for row in cursor.fetchall()]


def _program(name: str, *arguments: str) -> list[str]:
    return [str(embedded.postgres_binaries() / name), *arguments]


def _environment() -> dict[str, str]:
    """Return how the programs find the database: not in their arguments, which others can read."""
    given = connection.get_connection_params()
    found = {"PATH": os.defpath, "LC_ALL": "C"}
    for option in pq.Conninfo.get_defaults():
        value = given.get(option.keyword.decode()) or (option.val and option.val.decode())
        if value and option.envvar:
            found[option.envvar.decode()] = str(value)
    return found


def _last_line(told: str) -> str:
    return (told.strip().splitlines() or ["it ended early."])[-1]
