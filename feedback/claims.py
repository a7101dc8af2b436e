"""An item of a queue is before one moderator at a time; the claim ends by itself."""

from datetime import timedelta
from typing import Any, TypeVar

from django.db.models import Exists, F, Model, OuterRef, QuerySet
from django.db.models.functions import Now

from feedback.errors import TransitionRefused
from feedback.models import ReviewClaim
from privacy.paging import is_beyond

FEEDBACK, ANSWER, LOOK = "feedback", "answer", "look"  # the lists
CLAIM = timedelta(minutes=5)  # renewed by an open page
TRIES = 20  # of items that others take in the same moment
Row = TypeVar("Row", bound=Model)


def held(kind: str, *, but: str = "") -> Exists:
    """Return the condition that an item (a row of the list's table) is before somebody else."""
    return Exists(living(kind).filter(item=OuterRef("pk")).exclude(moderator=but))


def of(kind: str, item: int) -> ReviewClaim | None:
    """Return who has the item before them, if anybody."""
    return living(kind).filter(item=item).first()


def seconds(kind: str, item: int, *, by: str) -> float | None:
    """Return for how long a moderator has had the item before them; None if they have not."""
    claim = living(kind).filter(item=item, moderator=by).annotate(age=Now() - F("taken_at")).first()
    return None if claim is None else float(claim.age.total_seconds())


def take(kind: str, item: int, *, by: str, lets_go: bool = True) -> ReviewClaim:
    """Put an item before a moderator, who lets go of any other; return whose it is now.

    It stays with whoever has it before them already.
    """
    ReviewClaim.objects.filter(ends_at__lte=Now()).delete()
    claim, _ = ReviewClaim.objects.get_or_create(
        kind=kind, item=item, defaults={"moderator": by, "ends_at": Now() + CLAIM}
    )
    if claim.moderator == by:
        if lets_go:
            release(kind, by=by, but=item)
        ReviewClaim.objects.filter(pk=claim.pk).update(ends_at=Now() + CLAIM)
    return claim


def take_next(kind: str, rows: QuerySet[Row], *, by: str, after: Row | None = None) -> Row | None:
    """Take up what comes next after an item, at the end the first again; let go of anything else.

    Nobody gets what somebody else has before them. The rows have their order, which is unique.
    """
    free = rows.exclude(held(kind, but=by))
    found = None
    if after is not None:
        free = free.exclude(pk=after.pk)
        order = [str(name) for name in rows.query.order_by]
        last = [getattr(after, name.lstrip("-")) for name in order]
        found = _take_first(kind, free.filter(is_beyond(order, last)), by=by)
    found = found or _take_first(kind, free, by=by)
    if found is None:
        release(kind, by=by)
    return found


def _take_first(kind: str, rows: QuerySet[Row], *, by: str) -> Row | None:
    """Take up the first of these rows that nobody else takes in the same moment."""
    for row in rows[:TRIES]:
        is_own = take(kind, row.pk, by=by).moderator == by
        if is_own and rows.filter(pk=row.pk).exists():  # not decided meanwhile
            return row
    return None


def keep(kind: str, row: QuerySet[Any], *, by: str) -> bool:
    """Keep an item before whoever has it open; return whether it is before them.

    One that they lost, and that still waits and nobody else took, is theirs again.
    """
    found = row.first()
    if found is None:
        return False
    return take(kind, found.pk, by=by, lets_go=False).moderator == by


def require_free(kind: str, item: int, *, by: str) -> None:
    """Raise TransitionRefused if somebody else has the item before them."""
    claim = of(kind, item)
    if claim is not None and claim.moderator != by:
        raise TransitionRefused(
            f"{claim.moderator} has taken this up since. Go to the next, or wait a few minutes."
        )


def release(kind: str, *, by: str, but: int | None = None) -> None:
    """Let go of all that a moderator has before them, but of one item."""
    own = ReviewClaim.objects.filter(kind=kind, moderator=by)
    (own if but is None else own.exclude(item=but)).delete()


def living(kind: str) -> QuerySet[ReviewClaim]:
    """Return the claims that have not ended."""
    return ReviewClaim.objects.filter(kind=kind, ends_at__gt=Now())
