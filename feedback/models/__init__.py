"""From an act of a person to a training-ready example."""

from feedback.models.act import (
    CONTENT,
    DERIVED,
    QUEUES,
    SOURCES,
    TRANSITIONS,
    Claim,
    Feedback,
    FlaggedFeedback,
    Status,
)
from feedback.models.captured import ID_LENGTH, Captured, Image, Inference
from feedback.models.contributor import Contributor, Standing
from feedback.models.example import Example
from feedback.models.figures import FiguresMark, HourFigures
from feedback.models.letter import DeadLetter
from feedback.models.look import SecondLook
from feedback.models.review import Approval, Decision, Review, ReviewClaim
from feedback.models.task import Task

__all__ = [
    "CONTENT",
    "DERIVED",
    "ID_LENGTH",
    "QUEUES",
    "SOURCES",
    "TRANSITIONS",
    "Approval",
    "Captured",
    "Claim",
    "Contributor",
    "DeadLetter",
    "Decision",
    "Example",
    "Feedback",
    "FiguresMark",
    "FlaggedFeedback",
    "HourFigures",
    "Image",
    "Inference",
    "Review",
    "ReviewClaim",
    "SecondLook",
    "Standing",
    "Status",
    "Task",
]
