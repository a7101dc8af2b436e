"""From an act of a person to a training-ready example."""

from feedback.models.act import (
    CONTENT,
    DERIVED,
    QUEUES,
    SOURCES,
    TRANSITIONS,
    Claim,
    Feedback,
    Status,
)
from feedback.models.captured import ID_LENGTH, Captured, Image, Inference
from feedback.models.contributor import Contributor, Standing
from feedback.models.example import Example
from feedback.models.letter import DeadLetter
from feedback.models.review import Decision, Review
from feedback.models.task import Task

__all__ = [
    "CONTENT",
    "DERIVED",
    "ID_LENGTH",
    "QUEUES",
    "SOURCES",
    "TRANSITIONS",
    "Captured",
    "Claim",
    "Contributor",
    "DeadLetter",
    "Decision",
    "Example",
    "Feedback",
    "Image",
    "Inference",
    "Review",
    "Standing",
    "Status",
    "Task",
]
