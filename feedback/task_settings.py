"""What an operator may set for one task; each setting with its range, default and meaning."""

from typing import Annotated

import msgspec
from msgspec import Meta


class TaskSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    max_characters: Annotated[
        int, Meta(ge=1, le=65_536, description="Longest text of an input, output or correction.")
    ] = 10_000
    phone_regions: Annotated[
        list[Annotated[str, Meta(pattern="^[A-Z]{2}$")]],
        Meta(description="Countries (ISO 3166) whose local phone numbers are redacted."),
    ] = []
    silence_hours: Annotated[
        float,
        Meta(gt=0, le=87_600, description="Hours without reaction after which an answer counts."),
    ] = 24.0
    silence_weight: Annotated[
        float, Meta(ge=0, le=1, description="Weight of a silent answer in training; 0 is off.")
    ] = 0.0
    canary_share: Annotated[
        float, Meta(gt=0, le=0.5, description="Share of users that a canary serves.")
    ] = 0.1
    canary_outcomes: Annotated[
        int, Meta(ge=1, description="People who reacted to a canary before it becomes full.")
    ] = 700
