"""docker-compose.yml against the schema of compose files, and with what `up` runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from config.management.commands import up

ROOT = Path(__file__).parents[2]


@pytest.fixture
def compose():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_it_works():
    command = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    result = subprocess.run(
        [sys.executable, *command, "docker-compose.yml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_all_services_are_there_and_watched(compose):
    services = compose["services"]
    emend = {"migrate", "web", "beat", "kafka-consumer", *up.WORKERS}
    assert set(services) == {"db", "redis", *emend}
    assert [name for name in services if "healthcheck" not in services[name]] == ["migrate"]


def test_secrets_have_no_default(compose):
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        assert re.findall(rf"\$\{{{name}(.*?)[ }}]", text)
        assert all(rest.startswith(":?") for rest in re.findall(rf"\$\{{{name}(..)", text))


def test_the_workers_serve_the_queues_of_up(compose):
    for name, (queues, processes) in up.WORKERS.items():
        command = compose["services"][name]["command"]
        assert command[command.index("-Q") + 1] == queues
        assert command[command.index("-c") + 1] == str(processes)


def test_the_consumer_is_asked_for_and_has_all_that_the_others_have(compose):
    consumer, web = (compose["services"][name] for name in ("kafka-consumer", "web"))
    assert consumer["profiles"] == ["kafka"]
    own = re.findall(r'"(KAFKA_\w+)"', (ROOT / "config/settings.py").read_text())
    assert consumer["environment"] == web["environment"] | dict.fromkeys(own)


def test_the_image_has_the_client_of_kafka():
    installed = re.findall(r"-r (\S+)", (ROOT / "Dockerfile").read_text())
    assert installed == ["requirements/base.txt", "requirements/kafka.txt"]


def test_only_this_machine_reaches_the_port(compose):
    assert compose["services"]["web"]["ports"] == ["127.0.0.1:8000:8000"]
    assert not [name for name in ("db", "redis") if "ports" in compose["services"][name]]


def test_the_image_runs_as_an_ordinary_user():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "USER emend" in lines[: lines.index("EXPOSE 8000")]
