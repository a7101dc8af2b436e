"""What staff see of feedback: the review queue, all feedback, contributors, tasks, inferences."""

from feedback.admin import letters, people, pictures, queue, records

__all__ = ["letters", "people", "pictures", "queue", "records"]
