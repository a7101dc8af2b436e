"""What staff see of feedback: the review queue, all feedback, tasks, inferences."""

from feedback.admin import queue, records

__all__ = ["queue", "records"]
