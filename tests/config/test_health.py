"""Whether the process is alive, and whether traffic may come."""

import signal
import time

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from config import embedded
from tests.processes import Processes

pytestmark = pytest.mark.django_db


def ready(status=200):
    answer = Client().get("/readyz")
    assert answer.status_code == status, answer.content
    return answer.json()


def test_it_works():
    assert Client().get("/healthz").json() == {"status": "ok"}
    assert ready() == {"status": "ok", "missing": [], "degraded": []}


def test_nobody_needs_a_key_to_ask():
    assert Client(headers={"Authorization": "Bearer nonsense"}).get("/readyz").status_code == 200


def test_a_missing_database_is_named(settings, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"host": "/nowhere"})
    connection.close()
    assert ready(503) == {"status": "unready", "missing": ["database"], "degraded": []}
    assert Client().get("/healthz").status_code == 200


def test_a_missing_migration_is_named():
    MigrationRecorder.Migration.objects.filter(app="feedback").latest("id").delete()
    assert ready(503)["missing"] == ["migrations"]


def test_too_little_disk_is_named(settings):
    settings.MINIMUM_FREE_DISK_BYTES = 2**60
    assert ready(503)["missing"] == ["free disk"]


def test_a_server_about_to_stop_says_so(settings, tmp_path):
    settings.STOPPING_FILE = str(tmp_path / "stopping")
    ready()
    (tmp_path / "stopping").touch()
    assert ready(503)["missing"] == ["stopping"]


@pytest.mark.parametrize("url", ["", "redis+socket:///nowhere/redis.sock", "redis://127.0.0.1:1/0"])
def test_without_a_broker_capture_works_all_the_same(settings, url):
    settings.REDIS_URL = url
    answer = ready()
    assert (answer["status"], answer["missing"]) == ("degraded", [])
    assert "broker" in answer["degraded"][0]


def test_a_frozen_broker_does_not_freeze_the_answer(settings):
    processes = Processes()
    try:
        redis = processes.redis()
        settings.REDIS_URL = processes.redis_url
        assert ready()["status"] == "ok"
        redis.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        assert ready()["status"] == "degraded"
        assert time.monotonic() - started < 5
    finally:
        processes.end()


def test_the_embedded_broker_is_the_one_that_is_asked(settings):
    assert embedded.redis_url() == settings.REDIS_URL
