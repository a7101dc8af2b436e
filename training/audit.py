"""Prove that a version's two sides have nothing in common and that it is what its record says.

All is computed anew from the members' content: neither the index that a build asks, nor shards,
nor a stored hash is believed. So it takes minutes where a build takes seconds.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from config import storage
from config.errors import FileDamaged, FileMissing
from feedback.duplicates import DUPLICATE_BITS, DUPLICATE_JACCARD, GRAM, SHORT_CHARS, fold
from feedback.models import Task
from feedback.normalise import content_hash
from training import curation, datasets
from training.curation import content, permission
from training.curation.content import Content, Pictures
from training.datasets import shards
from training.models import DatasetVersion, Membership, Shard
from training.purposes import PURPOSES
from training.sethash import SetHash

LISTED_FINDINGS = 20
SHARED_GRAMS = 10  # the k of `Index`: more make its lists longer, and what they give less
# A product of floats may lie that much above the whole number that it stands for.
ROUNDING = 1e-9
UNSIGNED = 2**64 - 1


class Finding(NamedTuple):
    """One thing that is wrong; of a leak also the holdout's example and how like it is, 0 to 1."""

    kind: str
    detail: str
    example_id: int | None = None
    holdout_example_id: int | None = None
    similarity: float | None = None


class Report(NamedTuple):
    """Members of each side, findings by kind, and the first of them."""

    examples: dict[str, int]
    found: dict[str, int]
    findings: list[Finding]


def audit(version: DatasetVersion) -> Report:
    """Look for all that may be wrong with a version; raise VersionNotReady for one without rows."""
    datasets.require_ready(version)
    examples: Counter[str] = Counter(holdout=0, train=0)
    found: Counter[str] = Counter()
    listed: list[Finding] = []
    for finding in _findings(version, examples):
        found[finding.kind] += 1
        if len(listed) < LISTED_FINDINGS:
            listed.append(finding)
    return Report(dict(examples), dict(found), listed)


def _findings(version: DatasetVersion, examples: Counter[str]) -> Iterator[Finding]:
    """Yield what is wrong, and count the members of each side on the way."""
    task, is_split = version.dataset.task, PURPOSES[version.dataset.purpose].is_split
    holdout = Holdout(task)
    if is_split and version.seen_to is not None:
        for rows in curation.guards_of(version.dataset, unless_since=version.seen_to):
            holdout.add(rows)
    never = permission.forbidden(task, as_of=version.as_of)  # who said so since is not read
    hashes: set[bytes] = set()
    for split in ("holdout", "train"):
        for rows in content.of_members(version.dataset, version.version, split):
            examples[split] += len(rows)
            yield from _changed(version, rows, hashes)
            said = "a person behind it did not permit training when the version was built"
            refused = (row.id for row in rows if row.id in never)
            yield from (Finding("consent_refused", said, example) for example in refused)
            if is_split and split == "holdout":
                holdout.add(rows)
            elif is_split:
                yield from holdout.leaks(rows)
    identity = SetHash()
    identity.add(hashes)
    if identity.hexdigest() != version.current_hash:
        said = f"the rows have {identity.hexdigest()}, the record says {version.current_hash}"
        yield Finding("hash_changed", said)
    yield from _damaged(version)


def _changed(version: DatasetVersion, rows: list[Content], hashes: set[bytes]) -> Iterator[Finding]:
    members = Membership.objects.of_version(version).filter(example__in=[row.id for row in rows])
    recorded = {pk: bytes(digest) for pk, digest in members.values_list("example", "row_hash")}
    pictures = Pictures(version.dataset.task, rows)
    for row in rows:
        digest = content.hash_of(row, pictures)
        hashes.add(digest)
        if digest != recorded[row.id]:
            yield Finding("row_changed", "its content is not what was admitted", row.id)


def _damaged(version: DatasetVersion) -> Iterator[Finding]:
    files = Shard.objects.filter(dataset=version.dataset_id, version__lte=version.version)
    for shard in files.order_by("version", "part"):
        try:
            storage.get(shard.sha256, shards.FOLDER)
        except FileMissing:
            continue  # it is derived, and made again when it is asked for
        except FileDamaged:
            said = f"the file {shard.sha256} of v{shard.version} does not have its checksum"
            yield Finding("shard_damaged", said)


class Holdout:
    """What the holdout has; rows of the train side are looked up in it once all of it is there."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._inputs: dict[bytes, int] = {}
        self._layouts: dict[bytes, int] = {}
        self._texts: dict[str, int] = {}
        self._pictures: dict[int, int] = {}

    def add(self, rows: list[Content]) -> None:
        pictures = Pictures(self._task, rows)
        for row in rows:
            self._inputs[self._input_of(row)] = row.id
            key, picture = self._layout_of(row), pictures.of(row.output)
            if key is not None:
                self._layouts[key] = row.id
            elif text := self._text_of(row):
                self._texts[text] = row.id
            if picture is not None:
                self._pictures[picture & UNSIGNED] = row.id

    def leaks(self, rows: list[Content]) -> Iterator[Finding]:
        """Yield a finding for each row that is the same as any here, or nearly so."""
        pictures = Pictures(self._task, rows)
        for row in rows:
            found = self._same(row) or self._alike(row)
            found = found or self._pictured(row, pictures.of(row.output))
            if found is not None:
                yield found

    def _same(self, row: Content) -> Finding | None:
        other = self._inputs.get(self._input_of(row))
        if other is None:
            return None
        return Finding("same_input", "their inputs are the same", row.id, other, 1.0)

    def _alike(self, row: Content) -> Finding | None:
        key = self._layout_of(row)
        if key is not None:
            other = self._layouts.get(key)
            said = "their boxes are the same to 1% of the page"
            return None if other is None else Finding("near_layout", said, row.id, other, 1.0)
        text = self._text_of(row)
        found = (text, 1.0) if text in self._texts else self._index.find(text)
        if found is None:
            return None
        return Finding(
            "near_text", "their texts are alike", row.id, self._texts[found[0]], found[1]
        )

    def _pictured(self, row: Content, picture: int | None) -> Finding | None:
        if picture is None or not self._pictures:
            return None
        bits = np.bitwise_count(self._hashes ^ np.uint64(picture & UNSIGNED))
        nearest = int(bits.argmin())
        if bits[nearest] > DUPLICATE_BITS:
            return None
        other = self._pictures[int(self._hashes[nearest])]
        similarity = 1 - int(bits[nearest]) / 64
        return Finding("near_picture", "their pictures are alike", row.id, other, similarity)

    @cached_property
    def _index(self) -> "Index":
        return Index(list(self._texts))

    @cached_property
    def _hashes(self) -> NDArray[np.uint64]:
        return np.array(list(self._pictures), np.uint64)

    def _input_of(self, row: Content) -> bytes:
        return content_hash(self._task.kind.identity(row.input, row.output))

    def _layout_of(self, row: Content) -> bytes | None:
        return self._task.kind.near_key(row.input, row.output)

    def _text_of(self, row: Content) -> str:
        return fold(self._task.kind.text_of(row.input))


class Index:
    """Texts, folded, by their rarest grams: what is like another shares some of these with it.

    Exact prefix filtering (Chaudhuri, Ganti and Kaushik 2006, "A primitive operator for similarity
    joins in data cleaning"; Wang, Li and Feng 2012, "Can we beat the prefix filtering?"): of two
    sets with a Jaccard of t or more, both in one order, the first n - tn + k of each have k
    elements in common.
    """

    def __init__(self, texts: list[str]) -> None:
        self._texts = [text for text in texts if len(text) >= SHORT_CHARS]
        self._rarity = Counter(gram for text in self._texts for gram in _grams(text))
        places: defaultdict[str, list[int]] = defaultdict(list)
        for place, text in enumerate(self._texts):
            for gram in self._rarest(_grams(text)):
                places[gram].append(place)
        self._places = {gram: np.array(found, np.int32) for gram, found in places.items()}

    def find(self, text: str) -> tuple[str, float] | None:
        """Return a text that this one is like and how much; None for a short one."""
        grams = _grams(text) if len(text) >= SHORT_CHARS else set()
        found = [self._places[gram] for gram in self._rarest(grams) if gram in self._places]
        if not found:
            return None
        shared = np.bincount(np.concatenate(found))
        likely = np.flatnonzero(shared >= min(SHARED_GRAMS, _needed(grams)))
        for place in likely[np.argsort(-shared[likely], kind="stable")].tolist():
            similarity = _jaccard(grams, _grams(self._texts[place]))
            if similarity >= DUPLICATE_JACCARD:
                return self._texts[place], similarity
        return None

    def _rarest(self, grams: set[str]) -> list[str]:
        ordered = sorted(grams, key=lambda gram: (self._rarity[gram], gram))
        return ordered[: len(grams) - _needed(grams) + SHARED_GRAMS]


def _needed(grams: set[str]) -> int:
    """Return how many of the grams one must have to be like it."""
    return math.ceil(DUPLICATE_JACCARD * len(grams) - ROUNDING)


def _grams(text: str) -> set[str]:
    return {text[start : start + GRAM] for start in range(len(text) - GRAM + 1)}


def _jaccard(mine: set[str], theirs: set[str]) -> float:
    shared = len(mine & theirs)
    return shared / (len(mine) + len(theirs) - shared)
