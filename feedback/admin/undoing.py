"""What a session decided within the last seconds, so that it can be taken back, newest first."""

import time
from typing import Any

from django.http import HttpRequest

from feedback import claims, review


def remember(
    request: HttpRequest,
    said: str,
    decisions: list[tuple[int, int]],
    kind: str = claims.FEEDBACK,
) -> None:
    """Keep for some seconds what may be undone; the session holds ids and no content."""
    kept = {"said": said, "decisions": decisions, "at": time.time()}
    request.session[f"undoable_{kind}"] = [*_fresh(request, kind), kept]


def begin_anew(request: HttpRequest, kind: str = claims.FEEDBACK) -> None:
    """Let nothing be undone any more, after something that cannot be: its bar would mislead."""
    request.session.pop(f"undoable_{kind}", None)


def undoable(request: HttpRequest, kind: str = claims.FEEDBACK) -> dict[str, Any] | None:
    """Return what may be undone still, the newest, and for how many seconds."""
    for kept in reversed(_fresh(request, kind)):
        left = review.UNDO.total_seconds() - (time.time() - kept["at"])
        return kept | {"seconds": round(left)} if left > 0 else None
    return None


def forget(request: HttpRequest, kind: str = claims.FEEDBACK) -> list[tuple[int, int]]:
    """Return what this session decided last, once; nothing where that is too long ago."""
    kept = _fresh(request, kind)
    last = kept.pop()["decisions"] if kept else []
    request.session[f"undoable_{kind}"] = kept
    return [(pk, record) for pk, record in last]


def _fresh(request: HttpRequest, kind: str) -> list[dict[str, Any]]:
    """Return what this session decided within the time of an undo, the newest last."""
    since = time.time() - review.UNDO_AND_WAY.total_seconds()
    return [kept for kept in request.session.get(f"undoable_{kind}", []) if kept["at"] > since]
