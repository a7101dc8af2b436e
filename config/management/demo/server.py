"""The product's own server in the demo: it speaks to Emend by HTTP with a manage key."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

POLL_SECONDS = 0.2


class RefusedError(RuntimeError):
    """Emend did not answer as the demo expects."""


class TookTooLongError(RuntimeError):
    """Something that the demo waits for did not come."""


class Server:
    """One kept-alive connection to `url`, authorised by `key`."""

    def __init__(self, url: str, key: str) -> None:
        self.host = urlsplit(url).netloc
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.connection = http.client.HTTPConnection(self.host, timeout=60)

    def post(self, path: str, body: Any, *, expect: tuple[int, ...] = (200, 201, 202)) -> Any:
        return self._send("POST", f"/api/v1/{path}", body, expect)

    def change(self, method: str, path: str, body: Any) -> Any:
        """Send a PATCH or a PUT."""
        return self._send(method, f"/api/v1/{path}", body, (200,))

    def get(self, path: str) -> Any:
        return self._send("GET", f"/api/v1/{path}", None, (200,))

    def every(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield all rows of a paged list."""
        page = self.get(path)
        while True:
            yield from page["results"]
            if page["next"] is None:
                return
            parts = urlsplit(page["next"])
            page = self._send("GET", f"{parts.path}?{parts.query}", None, (200,))

    def wait(
        self,
        path: str,
        until: Callable[[Any], bool],
        *,
        progress: Callable[[Any], None] = lambda document: None,
        patience_seconds: float = 120,
    ) -> Any:
        """Ask again and again until the document is as wanted; raise TookTooLongError."""
        deadline = time.monotonic() + patience_seconds
        while time.monotonic() < deadline:
            document = self.get(path)
            progress(document)
            if until(document):
                return document
            time.sleep(POLL_SECONDS)
        message = f"Waited {patience_seconds:.0f} s in vain for {path}."
        raise TookTooLongError(message)

    def _send(self, method: str, path: str, body: Any, expect: tuple[int, ...]) -> Any:
        sent = None if body is None else json.dumps(body)
        try:
            self.connection.request(method, path, sent, self.headers)
            answer = self.connection.getresponse()
            received = answer.read()
        except (OSError, http.client.HTTPException) as error:
            message = f"{method} {path} was not answered: {error or type(error).__name__}"
            raise RefusedError(message) from error
        if answer.status not in expect:
            message = f"{method} {path} answered {answer.status}: {received.decode()[:500]}"
            raise RefusedError(message)
        return json.loads(received)
