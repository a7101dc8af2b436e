"""The review stage: what waits for a moderator, in which order, and what is decided about it."""

from feedback.review.deciding import (
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
    undo,
)

__all__ = [
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
    "undo",
]
