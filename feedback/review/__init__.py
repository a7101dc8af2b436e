"""The review stage: what waits for a moderator, in which order, and what is decided about it."""

from feedback.review import second
from feedback.review.deciding import (
    GONE,
    OF_MANY,
    UNDO,
    UNDO_AND_WAY,
    accept,
    approvals_needed,
    discard,
    escalate,
    hold_back,
    reject,
    retry,
    standing,
    undo,
)

__all__ = [
    "GONE",
    "OF_MANY",
    "UNDO",
    "UNDO_AND_WAY",
    "accept",
    "approvals_needed",
    "discard",
    "escalate",
    "hold_back",
    "reject",
    "retry",
    "second",
    "standing",
    "undo",
]
