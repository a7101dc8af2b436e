"""What staff see of feedback: the review queue, all feedback, contributors, tasks, inferences."""

from feedback.admin import letters, looks, people, pictures, queue, records

__all__ = ["letters", "looks", "people", "pictures", "queue", "records"]
