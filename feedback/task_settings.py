"""What an operator may set for one task; each setting with its range, default and meaning."""

from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from privacy.redaction import Rules
from privacy.redaction.detectors import ALL


class TaskSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    max_characters: Annotated[
        int, Meta(ge=1, le=65_536, description="Longest text of an input, output or correction.")
    ] = 10_000
    redact_types: Annotated[
        list[str], Meta(description="Kinds of personal data to redact; all by default.")
    ] = msgspec.field(default_factory=lambda: sorted(ALL))
    phone_regions: Annotated[
        list[Annotated[str, Meta(pattern="^[A-Z]{2}$")]],
        Meta(description="Countries (ISO 3166) whose local phone numbers are redacted."),
    ] = []
    redact_terms: Annotated[
        list[Annotated[str, Meta(min_length=2, max_length=200)]],
        Meta(max_length=1_000, description="Words of your own that are redacted, as [TERM]."),
    ] = []
    redact_patterns: Annotated[
        dict[str, str],
        Meta(max_length=50, description="RE2 patterns of your own by NAME, redacted as [NAME]."),
    ] = {}
    thresholds: Annotated[
        dict[str, float | None],
        Meta(description="By code of a rejection or flag; null switches a flag off."),
    ] = {}
    silence_hours: Annotated[
        float,
        Meta(gt=0, le=87_600, description="Hours without reaction after which an answer counts."),
    ] = 24.0
    silence_weight: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        Meta(description="Weight of a silent answer in training; 0 is off, none: by audits."),
    ] = None
    trust: Annotated[
        bool, Meta(description="Score contributors, and weigh what they say by it.")
    ] = True
    approvals_required: Annotated[
        int, Meta(ge=1, le=5, description="Moderators who must accept the same before it counts.")
    ] = 1
    approvals_required_high_impact: Annotated[
        int, Meta(ge=1, le=5, description="The same, of what was flagged for its high impact.")
    ] = 2
    second_looks: Annotated[
        float,
        Meta(ge=0, le=1, description="Share of decisions that another moderator judges again."),
    ] = 0.05
    slice_keys: Annotated[
        list[Annotated[str, Meta(pattern=r"^(?!(topic|label|month)$)[\w.-]{1,50}(?!\n)$")]],
        Meta(
            max_length=10,
            description="Keys of metadata (locale, age band) by which accuracy and data are told.",
        ),
    ] = []
    canary_share: Annotated[
        float, Meta(gt=0, le=0.5, description="Share of users that a canary serves.")
    ] = 0.1
    canary_outcomes: Annotated[
        int, Meta(ge=1, description="People who reacted to a canary before it becomes full.")
    ] = 700

    @property
    def redaction(self) -> Rules:
        return Rules(
            types=frozenset(self.redact_types),
            regions=tuple(self.phone_regions),
            terms=tuple(self.redact_terms),
            patterns=tuple(sorted(self.redact_patterns.items())),
        )


def options_of(settings: dict[str, Any]) -> tuple[TaskSettings, Rules]:
    """Fill in the defaults of stored settings; equal ones are read once."""
    return _options(msgspec.json.encode(settings))


@lru_cache(maxsize=256)
def _options(settings: bytes) -> tuple[TaskSettings, Rules]:
    options = msgspec.json.decode(settings, type=TaskSettings)
    return options, options.redaction
