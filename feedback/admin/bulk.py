"""One decision about many: what was done, what was left alone and why, and the way back."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from config.errors import EmendError
from feedback import claims, review
from feedback.admin import undoing
from feedback.errors import TransitionRefused
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
    number = rows.order_by()[:MOST_COUNTED].count()
    for feedback in rows.select_related("task", "inference", "review")[:MOST_AT_ONCE]:
        try:
            with transaction.atomic():
                _require_as_read(feedback, by)
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


def undo(request: HttpRequest) -> Done:
    """Take back what this session decided last."""
    wanted = dict(undoing.forget(request))
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


def _require_as_read(feedback: Feedback, by: str) -> None:
    """Lock a row; raise TransitionRefused if another has it open, or decided since it was read."""
    row = Feedback.objects.select_for_update().filter(pk=feedback.pk, status=feedback.status)
    is_there = row.first() is not None
    read, now = getattr(feedback, "review", None), review.standing(feedback)
    if not is_there or (now and now.decided_at) != (read and read.decided_at):
        raise TransitionRefused("decided meanwhile, or gone")
    claim = claims.of(claims.FEEDBACK, feedback.pk)
    if claim is not None and claim.moderator != by:
        raise TransitionRefused(f"{claim.moderator} has it open")


def _why(error: EmendError) -> str:
    return (error.errors[0].detail if error.errors else error.detail).rstrip(".")
