"""Logs tell what failed and where, and nothing that a person wrote."""

import json
import logging
import sys
from logging import LogRecord, StreamHandler

import pytest
from django.conf import settings
from django.test import Client

from config.logs import ContentFree, JSONLines

CANARY = "canary-7f3a"


class Lines(StreamHandler):
    """Keep what a handler of the settings would write."""

    def __init__(self, formatter):
        super().__init__()
        self.addFilter(ContentFree())
        self.setFormatter(formatter)
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


FORMATTERS = {
    "line": logging.Formatter(settings.LOGGING["formatters"]["line"]["format"]),
    "json": JSONLines(),
}


@pytest.fixture(params=FORMATTERS)
def lines(request):
    """Listen at the root, with each of the two formatters."""
    handler = Lines(FORMATTERS[request.param])
    logging.getLogger().addHandler(handler)
    yield handler.lines
    logging.getLogger().removeHandler(handler)


def failing(text=CANARY):
    raise ValueError(text)


def log_failure(name="feedback", message="row.failed row=%s", *args):
    try:
        failing()
    except ValueError:
        logging.getLogger(name).exception(message, *(args or (7,)))


def test_it_works(lines):
    logging.getLogger("training.runs").warning("run.trained run=%s version=%d", "a", 2)
    assert len(lines) == 1
    assert "run.trained run=a version=2" in lines[0]
    assert "WARNING" in lines[0]


def test_an_exception_is_its_type_and_place(lines):
    log_failure()
    (text,) = lines
    assert CANARY not in text
    assert "row.failed row=7" in text
    assert "ValueError" in text
    assert "in failing" in text


def test_neither_is_the_exception_that_caused_it(lines):
    try:
        try:
            failing()
        except ValueError as error:
            raise KeyError(CANARY) from error
    except KeyError:
        logging.getLogger("feedback").exception("row.failed")
    assert CANARY not in lines[0]
    assert "KeyError" in lines[0]


def test_an_exception_as_argument_is_its_type(lines):
    logging.getLogger("kombu").error("Cannot connect: %s after %d s", ValueError(CANARY), 2)
    assert "Cannot connect: ValueError after 2 s" in lines[0]


def test_celery_quotes_no_exception(lines):
    told = {"name": "feedback.process", "exc": f"ValueError('{CANARY}')"}
    logging.getLogger("celery.app.trace").error("Task %(name)s raised: %(exc)s", told)
    assert "Task feedback.process raised: ValueError" in lines[0]
    assert CANARY not in lines[0]


def test_a_failed_request_is_its_route(lines, monkeypatch):
    monkeypatch.setattr("privacy.access.find_key", failing)
    client = Client(raise_request_exception=False)
    path = f"/api/v1/feedback/?user_id={CANARY}"
    answer = client.get(path, headers={"Authorization": f"Bearer emd_sk_{'x' * 43}"})
    assert answer.status_code == 500
    text = "\n".join(lines)
    assert "http.failed route=api/v1/feedback/" in text
    assert "in failing" in text
    assert CANARY not in text


@pytest.mark.django_db
def test_a_mistake_of_a_client_is_answered_and_not_logged(lines):
    assert Client().get(f"/nowhere/{CANARY}/").status_code == 404
    assert lines == []


def test_nobody_fills_the_log_with_unknown_hosts(lines):
    answer = Client().get(f"/api/v1/{CANARY}/", headers={"Host": f"{CANARY}.example"})
    assert answer.status_code == 400
    assert lines == []


@pytest.mark.django_db
def test_a_forged_form_is_not_logged_with_its_path(lines):
    client = Client(enforce_csrf_checks=True)
    answer = client.post(f"/admin/login/?next=/{CANARY}/", {"username": CANARY})
    assert answer.status_code == 403
    assert lines == []


def test_json_is_one_object_a_line():
    handler = Lines(JSONLines())
    logger = logging.getLogger("feedback.json")
    logger.addHandler(handler)
    try:
        log_failure(logger.name, "two\nlines %s", "ä")
    finally:
        logger.removeHandler(handler)
    (text,) = handler.lines
    assert "\n" not in text
    document = json.loads(text)
    assert set(document) == {"at", "level", "logger", "event", "trace"}
    assert (document["level"], document["logger"]) == ("ERROR", "feedback.json")
    assert document["event"] == "two\nlines ä"
    assert document["trace"].endswith("ValueError")
    assert document["at"].endswith("+00:00")


def test_a_line_without_a_failure_has_no_trace():
    record = LogRecord("beat", logging.INFO, __file__, 1, "beat.ticked", (), None)
    assert ContentFree().filter(record)
    assert "trace" not in json.loads(JSONLines().format(record))


def test_an_empty_failure_is_no_failure():
    record = LogRecord("beat", logging.INFO, __file__, 1, "x", (), sys.exc_info())
    assert ContentFree().filter(record)


def test_every_handler_takes_content_out():
    """Django's own handlers print paths and mail tracebacks: none of them may be in use."""
    for handler in settings.LOGGING["handlers"].values():
        assert handler["filters"] == ["content_free"]
    assert logging.getLogger("django").handlers == []
