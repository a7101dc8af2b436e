"""How often models are right, by the random slice of the answers that were checked."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from django.db.models import BooleanField, ExpressionWrapper, Q

from feedback.intervals import Interval, wilson
from feedback.models import Task
from feedback.signals import SIGNALS
from training.models import AnswerToCheck

APPROVING = [name for name, signal in SIGNALS.items() if signal.case]
Draw: TypeAlias = tuple[datetime | None, int | None]  # its time, and of how many answers
ITS_VERSION = "inference__prediction__model_version__version"
IS_RIGHT = Q(feedback__signal__in=APPROVING, feedback__corrected__isnull=True)


@dataclass(frozen=True)
class SliceAccuracy:
    """Of the answers of one model that were drawn and checked, the last `until`: how many right.

    The interval is of all its silent answers. A model is `v3` where Emend served it, else what the
    client calls it.
    """

    model: str
    n: int
    right: int
    interval: Interval
    until: datetime


def slice_accuracy(task: Task) -> list[SliceAccuracy]:
    """Return how often each model was right, the one that answered last first."""
    rows = AnswerToCheck.objects.filter(task=task, is_random=True, status="answered")
    said = list(
        rows.exclude(feedback__status__in=["rejected", "erased"])
        .annotate(is_right=ExpressionWrapper(IS_RIGHT, BooleanField()))
        .order_by("-inference__created_at")
        .values_list(
            *("chosen_at", "drawn_of", "is_right", "inference__created_at"),
            *("inference__model_version", ITS_VERSION),
        )
    )
    weights = weigh([(chosen_at, of) for chosen_at, of, *_ in said])
    of_model: dict[str, list[tuple[float, bool, datetime]]] = {}
    for weight, (_, _, is_right, shown_at, name, version) in zip(weights, said, strict=True):
        model = name if version is None else f"v{version}"
        of_model.setdefault(model, []).append((weight, is_right, shown_at))
    return [
        SliceAccuracy(
            model=model,
            n=len(found),
            right=sum(is_right for _, is_right, _ in found),
            interval=interval_of([(weight, is_right) for weight, is_right, _ in found]),
            until=found[0][2],
        )
        for model, found in of_model.items()
    ]


def weigh(draws: Sequence[Draw]) -> list[float]:
    """Return for how many silent answers each stands: those of a draw that are checked for all.

    Of a busy day fewer are checked, so the chance of being drawn alone says too little. What was
    not drawn stands for itself.
    """
    checked = Counter(draws)
    return [(draw[1] or checked[draw]) / checked[draw] for draw in draws]


def interval_of(said: Sequence[tuple[float, bool]]) -> Interval:
    """Compute the interval of the share that is right, by weight.

    By the effective number of answers (Kish 1965, "Survey Sampling").
    """
    total = sum(weight for weight, _ in said)
    number = total**2 / sum(weight**2 for weight, _ in said)
    right = sum(weight for weight, is_right in said if is_right)
    return wilson(min(number, right / total * number), number)
