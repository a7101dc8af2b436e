"""The review queue as one moderator has it before them: its filters, its order, what comes next."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.http import urlencode

from feedback.models import Approval, Decision, Feedback, Review
from privacy import staff
from privacy.paging import MOST_COUNTED, is_beyond

# What an address of the queue may say, and pages of items hand on.
NAMES = ("task", "signal", "flag", "state", "alike", "whose", "order", "q")
LONGEST_NUMBER = 19  # digits that a bigint holds whatever they are
MOST_WORDS = 8
ORDERS = {"worth": ["-worth", "number"], "oldest": ["created_at", "number"]}


def narrowed(rows: QuerySet[Any], params: Mapping[str, Any]) -> QuerySet[Any]:
    """Keep the rows that the filters in an address ask for: none, where one can't be meant."""
    asked = {name: params[name] for name in NAMES if params.get(name)}
    numbers = [asked[name] for name in ("task", "alike", "whose") if name in asked]
    if not all(text.isdecimal() and len(text) < LONGEST_NUMBER for text in numbers):
        return rows.none()
    if "task" in asked:
        rows = rows.filter(task=asked["task"])
    if "signal" in asked:
        rows = rows.filter(signal=_clean(asked["signal"]))
    if "flag" in asked:
        # That there are flags is said apart: the index holds no other rows.
        rows = rows.filter(flags__contains=[_clean(asked["flag"])]).exclude(flags=[])
    if asked.get("state") == "new":
        rows = rows.exclude(Exists(Review.objects.filter(feedback=OuterRef("pk"))))
    elif "state" in asked:
        rows = rows.filter(review__decision=_clean(asked["state"]))
    for name, same in (("alike", ("task", "input_hash")), ("whose", ("project", "user_id"))):
        if name in asked:
            one = Feedback.objects.filter(pk=asked[name])
            rows = rows.filter(**{column: one.values(column)[:1] for column in same})
    return searched(rows, asked.get("q", ""))


def searched(rows: QuerySet[Any], text: str) -> QuerySet[Any]:
    """Keep the rows in which each word is found: in what was shown or corrected, or as an id."""
    for word in _clean(text).split()[:MOST_WORDS]:
        written = json.dumps(word, ensure_ascii=False)[1:-1]  # as it stands in JSON
        found = Q(inference__input__icontains=written) | Q(corrected__icontains=written)
        rows = rows.filter(found | Q(user_id__startswith=word) | Q(uuid__startswith=word))
    return rows


def _clean(text: str) -> str:
    return text.replace("\x00", "")


def order_of(params: Mapping[str, Any]) -> list[str]:
    return ORDERS.get(params.get("order") or "worth", ORDERS["worth"])


@dataclass(frozen=True)
class Desk:
    """A moderator with the part of the queue that an address names."""

    user: Any
    params: Mapping[str, Any]

    @classmethod
    def of(cls, request: HttpRequest) -> "Desk":
        return cls(request.user, request.GET)

    @property
    def by(self) -> str:
        return str(self.user.get_username())

    @cached_property
    def queue(self) -> QuerySet[Any]:
        """What waits for a decision, in order."""
        flagged = staff.within(Feedback.objects.flagged(), self.user)
        return narrowed(flagged, self.params).order_by(*order_of(self.params))

    @property
    def address(self) -> str:
        """The end of an address that keeps the filters."""
        found = {name: self.params[name] for name in NAMES if self.params.get(name)}
        return f"?{urlencode(found)}" if found else ""

    def place(self, feedback: Feedback) -> tuple[int, int]:
        """Return the place of an item and the length of the queue, counted up to a limit."""
        before = self.queue.exclude(self._is_after(feedback)).order_by()
        queue = self.queue.order_by()
        return before[:MOST_COUNTED].count(), queue[:MOST_COUNTED].count()

    def alike(self, feedback: Feedback) -> int:
        """Count what else waits about the same input."""
        same = staff.within(Feedback.objects.flagged(), self.user).filter(
            task=feedback.task_id, input_hash=feedback.input_hash
        )
        return same.exclude(pk=feedback.pk)[:MOST_COUNTED].count() if feedback.input_hash else 0

    @property
    def offered(self) -> QuerySet[Any]:
        """What may come next: not again what this moderator escalated or approved."""
        passed = Q(review__decision=Decision.ESCALATE, review__moderator=self.by)
        given = Approval.objects.filter(feedback=OuterRef("pk")).order_by("-pk")
        proposed = Subquery(given.values("answer_hash")[:1])
        approved = given.filter(moderator=self.by, answer_hash=OuterRef("proposed")).order_by()
        rows = self.queue.exclude(passed).alias(proposed=proposed)
        offered: QuerySet[Any] = rows.exclude(Exists(approved))
        return offered

    def _is_after(self, feedback: Feedback) -> Q:
        order = order_of(self.params)
        return is_beyond(order, [getattr(feedback, name.lstrip("-")) for name in order])
