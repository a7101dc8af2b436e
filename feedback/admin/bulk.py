"""One decision about many: what was done, what was left alone and why, and the way back."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from config.errors import EmendError
from feedback import claims, review
from feedback.models import Decision, Feedback, Review
from privacy.paging import MOST_COUNTED

MOST_AT_ONCE = 500  # a decision takes some milliseconds, and somebody waits for the page


@dataclass
class Done:
    """What became of each: what was done, what of it may be undone, why others were left."""

    rows: list[Feedback] = field(default_factory=list)
    decisions: list[tuple[int, int]] = field(default_factory=list)  # ids of rows and records
    halfway: int = 0  # accepted, and somebody else is to accept the same
    skipped: Counter[str] = field(default_factory=Counter)

    def words(self, verb: str) -> str:
        told = [f"{len(self.rows) - self.halfway:,} {verb}."]
        if self.halfway:
            told.append(f"{self.halfway:,} accepted by you, and still to be by others.")
        told += [f"{n:,} left alone: {why}." for why, n in self.skipped.most_common()]
        return " ".join(told)


def each(rows: QuerySet[Feedback], decide: Callable[[Feedback], Review | None], *, by: str) -> Done:
    """Decide about each row that nobody else has before them, up to a limit."""
    done = Done()
    taken = _before_others(by)
    number = rows.order_by()[:MOST_COUNTED].count()
    for feedback in rows.select_related("task", "inference")[:MOST_AT_ONCE]:
        if feedback.pk in taken:
            done.skipped[f"{taken[feedback.pk]} has it open"] += 1
            continue
        try:
            made = decide(feedback)
        except EmendError as error:
            done.skipped[_why(error)] += 1
            continue
        done.rows.append(feedback)
        if made is not None:
            done.halfway += made.decision == Decision.APPROVE
            done.decisions += [(feedback.pk, made.record)] if made.record else []
    if number > MOST_AT_ONCE:
        done.skipped[f"beyond {MOST_AT_ONCE} at once"] += number - MOST_AT_ONCE
    return done


def remember(
    request: HttpRequest,
    said: str,
    decisions: list[tuple[int, int]],
    kind: str = claims.FEEDBACK,
) -> None:
    """Keep for some seconds what may be undone; the session holds ids and no content."""
    kept = {"said": said, "decisions": decisions, "at": time.time()}
    request.session[f"undo_{kind}"] = kept


def undoable(request: HttpRequest, kind: str = claims.FEEDBACK) -> dict[str, Any] | None:
    """Return what may be undone still, and for how many seconds."""
    kept: dict[str, Any] | None = request.session.get(f"undo_{kind}")
    if kept is None:
        return None
    left = review.UNDO.total_seconds() - (time.time() - kept["at"])
    return kept | {"seconds": round(left)} if left > 0 else None


def forget(request: HttpRequest, kind: str = claims.FEEDBACK) -> list[tuple[int, int]]:
    """Return what this session decided last, once; nothing where that is too long ago."""
    kept = request.session.pop(f"undo_{kind}", {"decisions": [], "at": 0})
    is_late = time.time() - kept["at"] > review.UNDO_AND_WAY.total_seconds()
    return [] if is_late else [(pk, record) for pk, record in kept["decisions"]]


def undo(request: HttpRequest) -> Done:
    """Take back what this session decided last."""
    wanted = dict(forget(request))
    review.hold_back(wanted, review.OF_MANY)
    done = Done()
    for feedback in Feedback.objects.filter(pk__in=wanted):
        try:
            review.undo(feedback, by=request.user.get_username(), record=wanted[feedback.pk])
            done.rows.append(feedback)
        except EmendError as error:
            done.skipped[_why(error)] += 1
    if not wanted:
        done.skipped["too late to undo"] += 1
    return done


def _before_others(by: str) -> dict[int, str]:
    others = claims.living(claims.FEEDBACK).exclude(moderator=by)
    return dict(others.values_list("item", "moderator"))


def _why(error: EmendError) -> str:
    return (error.errors[0].detail if error.errors else error.detail).rstrip(".")
