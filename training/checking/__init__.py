"""Answers that nobody reacted to, for moderators to check: chosen, answered, and what they tell."""

from training.checking.answering import answer, undo
from training.checking.choosing import choose, choose_due, draw, waiting_seconds
from training.checking.measuring import SliceAccuracy, slice_accuracy

__all__ = [
    "SliceAccuracy",
    "answer",
    "choose",
    "choose_due",
    "draw",
    "slice_accuracy",
    "undo",
    "waiting_seconds",
]
