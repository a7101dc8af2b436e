"""What an engineer may set for one dataset; fixed when it is made."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from training.models import Dataset

SignalName = Literal[
    "up", "down", "correction", "edited", "regenerated", "accepted", "resolved", "abandoned"
]


class DatasetSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What of the train side a dataset takes. The holdout is the task's whole one, or by time."""

    sources: Annotated[
        list[Literal["feedback", "audit", "import", "silence"]],
        Meta(description="Where examples may come from; empty: anywhere."),
    ] = []
    signals: Annotated[
        list[SignalName], Meta(description="Signals of feedback that count; empty: all.")
    ] = []
    shortest: Annotated[
        int,
        Meta(ge=0, le=1_000, description="Fewest characters, punctuation aside, of what counts."),
    ] = 2
    holdout_from: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(description="Hold out what reached Emend from then on, not one input in five."),
    ] = None
    is_balanced: Annotated[
        bool,
        Meta(description="Let rare strata (topic, label, month, slice) weigh more in training."),
    ] = False


def settings_of(dataset: Dataset) -> DatasetSettings:
    return msgspec.convert(dataset.settings, DatasetSettings)
