"""Image: a prompt gets a stored image; a correction names a better image, prompt or regions."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from config.errors import Problem
from config.json import JSON
from feedback.modalities.base import (
    MAX_SIDE_PIXELS,
    Modality,
    check_labels,
    find_bbox_fault,
    input_problem,
    mismatch,
)

MAX_REGIONS = 100
PARTS = ("image", "prompt", "regions")
IMAGE_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Image(Modality):
    name = "image"
    queue = "process.image"
    has_images = True

    def check_task(self, labels: Sequence[str]) -> list[Problem]:
        return check_labels(labels, fewest=0)

    def validate_input(self, value: JSON) -> list[Problem]:
        if not isinstance(value, dict):
            return [input_problem("", 'An object with a "prompt".')]
        return [] if _is_text(value.get("prompt")) else [input_problem("/prompt", "No text.")]

    def validate_output(
        self, value: JSON, *, labels: Sequence[str], input_: JSON = None
    ) -> list[Problem]:
        if not isinstance(value, dict) or set(value) != {"image"}:
            return [mismatch("", 'An object {"image": id}.')]
        return list(_find_problems(value))

    def validate_corrected(
        self, value: JSON, *, labels: Sequence[str], input_: JSON = None
    ) -> list[Problem]:
        if not isinstance(value, dict) or not value or not set(value) <= set(PARTS):
            return [mismatch("", "An object with one or more of image, prompt and regions.")]
        return list(_find_problems(value))

    def text_of(self, value: JSON) -> str:
        return str(cast("dict[str, JSON]", value)["prompt"])

    def image_ids(self, value: JSON) -> list[str]:
        parts = _parts(value)
        return [str(parts["image"])] if "image" in parts else []

    def with_images(self, value: JSON, names: Mapping[str, str]) -> JSON:
        parts = _parts(value)
        return parts | {"image": names.get(str(parts["image"]), parts["image"])}

    def written(self, value: JSON) -> list[str]:
        """Return the better prompt and the notes about regions."""
        if not isinstance(value, dict):
            return []
        regions = value.get("regions")
        noted = regions if isinstance(regions, list) else []
        texts = [value.get("prompt"), *(r.get("note") for r in noted if isinstance(r, dict))]
        return [text for text in texts if isinstance(text, str)]

    def is_same(self, input_: JSON, output: JSON, corrected: JSON) -> bool:
        known = _parts(input_) | _parts(output)
        return all(known.get(part) == value for part, value in _parts(corrected).items())

    def diff(self, original: JSON, corrected: JSON) -> list[dict[str, JSON]]:
        """List the parts of the correction: the pair of images, the better prompt, the regions."""
        if corrected == original:
            return []
        parts = [(part, _parts(corrected)[part]) for part in PARTS if part in _parts(corrected)]
        before = _parts(original)
        return [
            {"part": part, "to": value} | ({"from": before[part]} if part in before else {})
            for part, value in parts
        ]

    def apply(self, original: JSON, diff: list[dict[str, JSON]]) -> JSON:
        return {str(part["part"]): part["to"] for part in diff} if diff else original

    def edit_distance(self, original: JSON, corrected: JSON) -> float:
        """Return the share of the three parts of a correction that say something new."""
        before = _parts(original)
        new = [part for part, value in _parts(corrected).items() if value != before.get(part)]
        return len(new) / len(PARTS)

    def answer_of(self, original: JSON, corrected: JSON) -> JSON:
        """Return the chosen image; a better prompt or regions say only that it was not this one."""
        chosen: JSON = {"image": _parts(corrected).get("image")}
        return None if chosen in ({"image": None}, original) else chosen


def _find_problems(parts: dict[str, JSON]) -> Iterator[Problem]:
    image = parts.get("image")
    if "image" in parts and not (isinstance(image, str) and IMAGE_ID.fullmatch(image)):
        yield mismatch("/image", "The id of an image, as its upload was answered.")
    if "prompt" in parts and not _is_text(parts["prompt"]):
        yield mismatch("/prompt", "No text.")
    if "regions" not in parts:
        return
    regions = parts["regions"]
    if not isinstance(regions, list) or not 1 <= len(regions) <= MAX_REGIONS:
        yield mismatch("/regions", f"A list of 1 to {MAX_REGIONS} regions.")
        return
    for index, region in enumerate(regions):
        yield from _find_region_problems(region, f"/regions/{index}")


def _find_region_problems(region: JSON, place: str) -> Iterator[Problem]:
    if not isinstance(region, dict) or set(region) != {"bbox", "note"}:
        yield mismatch(place, 'An object {"bbox", "note"}.')
        return
    # The size of the picture is not known here.
    fault = find_bbox_fault(region["bbox"], (MAX_SIDE_PIXELS, MAX_SIDE_PIXELS))
    if fault is not None:
        yield mismatch(f"{place}/bbox", fault)
    if not _is_text(region["note"]):
        yield mismatch(f"{place}/note", "No text.")


def _is_text(value: JSON) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _parts(value: JSON) -> dict[str, JSON]:
    return cast("dict[str, JSON]", value)
