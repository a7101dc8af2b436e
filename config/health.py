"""Is the process alive, and may traffic come?"""

import shutil
from collections.abc import Mapping

import msgspec
from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse


def healthz(request: HttpRequest) -> HttpResponse:
    """Answer that the process answers."""
    return _answer({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """Answer 200 when capture works, else 503 naming what is missing.

    A broker that is away is `degraded` only: capture and processing work without it.
    """
    missing = [*_database_problems(), *_disk_problems()]
    degraded = [] if settings.REDIS_URL else ["no broker: the scheduler does the work itself"]
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
    folder = settings.DATA_DIR if settings.DATA_DIR.exists() else settings.BASE_DIR
    free_bytes = shutil.disk_usage(folder).free
    return ["free disk"] if free_bytes < settings.MINIMUM_FREE_DISK_BYTES else []


def _answer(document: Mapping[str, object], status: int = 200) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(document), "application/json", status=status)
