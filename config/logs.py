"""Logs without content: routes for paths, types and places for the messages of exceptions."""

import json
import logging
import traceback
from datetime import UTC, datetime


class ContentFree(logging.Filter):
    """Take out of a record what may quote a person: paths, and messages of exceptions.

    An exception of the database quotes the values it stumbled over, a path may hold a user id.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == "django.request" or record.name.startswith("django.security"):
            # A client's mistake is answered, not logged; a wrong Host is called an error, too.
            if getattr(record, "status_code", 500) < 500:
                return False
            match = getattr(getattr(record, "request", None), "resolver_match", None)
            record.msg, record.args = "http.failed route=%s", (match.route if match else "none",)
        if isinstance(record.args, tuple):
            record.args = tuple(map(_unquoted, record.args))
        elif isinstance(record.args, dict) and "exc" in record.args:  # Celery quotes the exception
            record.args = record.args | {"exc": str(record.args["exc"]).partition("(")[0]}
        if record.exc_info and record.exc_info[0] is not None:
            kind, _, place = record.exc_info
            frames = "".join(traceback.format_tb(place))
            record.exc_info, record.exc_text = None, f"{frames}{kind.__name__}"
        return True


def _unquoted(value: object) -> object:
    return type(value).__name__ if isinstance(value, BaseException) else value


class JSONLines(logging.Formatter):
    """One JSON object a line, for collectors."""

    def format(self, record: logging.LogRecord) -> str:
        document = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        if record.exc_text:
            document["trace"] = record.exc_text
        return json.dumps(document)
