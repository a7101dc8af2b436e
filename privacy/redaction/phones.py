"""Judge digits by the numbering plans of the world."""

import re
from collections.abc import Sequence
from functools import lru_cache

import phonenumbers

# The kinds of number that people have; their patterns are stricter than a plan's general one.
_KINDS = ["fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number"]
_KINDS += ["voip", "uan"]
_TRUNK = re.compile(r"\(0\)")
_REGIONS = phonenumbers.COUNTRY_CODE_TO_REGION_CODE


def is_international(run: str) -> bool:
    """Tell whether a number after `+` has a known country and one of its lengths."""
    return any(
        len(national) in _plan(code)[0]
        or (national[:1] == "0" and len(national) - 1 in _plan(code)[0])
        for code, national in _split(run)
    )


def is_valid_abroad(run: str) -> bool:
    """Tell whether a number after `00` is in use by the plan of its country."""
    return any(_plan(code)[1].fullmatch(national) for code, national in _split(run))


def is_national(run: str, regions: Sequence[str]) -> bool:
    """Tell whether a number as dialled at home is in use in one of the regions.

    Where people write a leading 0 (and the area code is not in brackets), it is asked for: nearly
    any digits pass without.
    """
    digits = re.sub(r"\D", "", run)
    marked = "(" + digits if run.startswith("(") else digits
    return _dialled(tuple(regions)).fullmatch(marked) is not None


def is_region(region: str) -> bool:
    return region in phonenumbers.SUPPORTED_REGIONS


def _split(run: str) -> list[tuple[int, str]]:
    digits = re.sub(r"\D", "", _TRUNK.sub("", run))
    digits = digits.removeprefix("00")
    codes = [(int(digits[:n]), digits[n:]) for n in (1, 2, 3) if digits[:n]]
    return [(code, national) for code, national in codes if code in _REGIONS]


@lru_cache
def _plan(code: int) -> tuple[frozenset[int], re.Pattern[str]]:
    """Return the lengths that numbers of a country code have, and a pattern of those in use."""
    lengths: set[int] = set()
    patterns = []
    for region in _REGIONS[code]:
        metadata = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region)
        if metadata is not None:
            general = metadata.general_desc
            lengths.update(general.possible_length if general else ())
            patterns.append(_in_use(metadata))
    return frozenset(lengths), re.compile("|".join(patterns) or "(?!)")


@lru_cache
def _dialled(regions: tuple[str, ...]) -> re.Pattern[str]:
    """Compile all that may be dialled at home in the regions."""
    patterns = []
    for region in regions:
        metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
        if metadata is None:
            continue
        prefix = re.escape(metadata.national_prefix or "")
        before = rf"\(?(?:{prefix})?"
        if prefix == "0":
            before = rf"(?:\(0?|0|{_written_bare(metadata.country_code)})"
        # Neighbours under the same code are dialled alike: Canada from the United States.
        patterns.append(f"{before}(?:{_plan(metadata.country_code)[1].pattern})")
    return re.compile("|".join(patterns) or "(?!)")


@lru_cache
def _written_bare(code: int) -> str:
    """Look ahead for a number that its country writes without a leading 0."""
    main = phonenumbers.PhoneMetadata.metadata_for_region(_REGIONS[code][0])
    formats = main.number_format if main else []
    bare = [
        f"(?=(?:{written.leading_digits_pattern[-1]})){written.pattern}"
        for written in formats
        if written.national_prefix_optional_when_formatting
        or "0" not in (written.national_prefix_formatting_rule or "")
    ]
    # Without formats a country has small numbers only, and nobody knows how they are written.
    return rf"(?=(?:{'|'.join(bare) or '(?!)'})\Z)" if formats else ""


def _in_use(metadata: phonenumbers.PhoneMetadata) -> str:
    kinds = [getattr(metadata, kind) for kind in _KINDS]
    return "|".join(k.national_number_pattern for k in kinds if k and k.national_number_pattern)
