"""What staff see of feedback: the review queue, all feedback, contributors, tasks, inferences."""

from feedback.admin import letters, people, queue, records

__all__ = ["letters", "people", "queue", "records"]
