"""The WSGI application that the web server loads: pages, and the API without their middleware."""

import gc
import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application
from django.db.backends.signals import connection_created
from django.urls import get_resolver
from django.utils.module_loading import import_string

from config.api import ITEM_BYTES, plain_problem
from config.database import limit_statements
from config.errors import Malformed

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


class APIHandler(WSGIHandler):
    """Answer without sessions, accounts, messages and forms, of which a key's bearer has none."""

    def load_middleware(self, *_: Any) -> None:
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        handler = convert_exception_to_response(self._get_response)  # type: ignore[attr-defined]
        for path in reversed(settings.API_MIDDLEWARE):
            handler = convert_exception_to_response(import_string(path)(handler))
        self._middleware_chain = handler


connection_created.connect(limit_statements)
pages = get_wsgi_application()
api = APIHandler()
get_resolver().url_patterns  # noqa: B018  imports all views now, not at the first request
# What is loaded stays: without this the collector walks all of it again and again, for a tenth
# of a second each time, while requests wait.
gc.collect()
gc.freeze()
# A batch computes for a third of a second; what waits beside it needs the interpreter at each of
# its steps, and would wait five times as long.
sys.setswitchinterval(0.001)
_taking_in = threading.Semaphore(2)  # of the four threads of a process


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    is_api = environ["PATH_INFO"].startswith("/api/v1/")
    try:
        answer: Iterable[bytes] = (api if is_api else pages)(environ, start_response)
    except (ValueError, LookupError):  # of the request's own headers, before any handler
        refusal = plain_problem(Malformed("A header cannot be read."))
        start_response("400 Bad Request", list(refusal.items()))
        answer = [refusal.content]
    _take_in(environ)
    return answer


def _take_in(environ: dict[str, Any]) -> None:
    """Read the body that a refusal left unread.

    Else the server closes the connection, and the client's next request is lost on it. Never by
    all threads: a body may never come. Nor a large one: it is refused so as not to be read.
    """
    length = environ.get("CONTENT_LENGTH", "")
    if length.isdecimal() and int(length) <= ITEM_BYTES and _taking_in.acquire(blocking=False):
        try:
            environ["wsgi.input"].read(int(length))
        finally:
            _taking_in.release()
