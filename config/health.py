"""Is the process alive, and may traffic come?"""

import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
import redis
from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from redis.backoff import NoBackoff
from redis.retry import Retry

from config import embedded
from config.database import is_stuck

BROKER_SECONDS = 1.0  # a frozen broker must not hold up the answer for longer


def healthz(request: HttpRequest) -> HttpResponse:
    """Answer that the process answers."""
    return _answer({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """Answer 200 when capture works, else 503 naming what is missing.

    A broker that is away is `degraded` only: capture and processing work without it.
    """
    missing = [*_database_problems(), *_disk_problems()]
    missing += ["stopping"] if _is_stopping() else []
    missing += ["a database that answers in time"] if is_stuck() else []
    degraded = [] if _broker_answers() else ["no broker: the scheduler does the work itself"]
    status = "unready" if missing else "degraded" if degraded else "ok"
    document = {"status": status, "missing": missing, "degraded": degraded}
    return _answer(document, 503 if missing else 200)


def _database_problems() -> list[str]:
    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error:
        return ["database"]
    return ["migrations"] if plan else []


def _disk_problems() -> list[str]:
    return [] if has_free_disk() else ["free disk"]


def _is_stopping() -> bool:
    return bool(settings.STOPPING_FILE) and Path(settings.STOPPING_FILE).exists()


def has_free_disk() -> bool:
    """Return whether there is room to capture: PostgreSQL must never meet a full disk."""
    folder = settings.DATA_DIR if settings.DATA_DIR.exists() else settings.BASE_DIR
    return shutil.disk_usage(folder).free >= settings.MINIMUM_FREE_DISK_BYTES


def _broker_answers() -> bool:
    if not settings.REDIS_URL:
        return False
    no_retry = Retry(NoBackoff(), 0)
    try:
        with redis.Redis.from_url(
            embedded.for_redis(settings.REDIS_URL),
            socket_timeout=BROKER_SECONDS,
            socket_connect_timeout=BROKER_SECONDS,
            retry=no_retry,
        ) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _answer(document: Mapping[str, object], status: int = 200) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(document), "application/json", status=status)
