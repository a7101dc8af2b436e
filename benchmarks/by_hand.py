"""What files of real corrections hold, and a count by hand of what follows from them.

It knows the contract and nothing of Emend's code.
"""

import gzip
import hashlib
import json
import tarfile
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from rapidfuzz.distance import Levenshtein

TAKES = {
    "train": ("silence", "up", "correction"),
    "eval": ("up", "correction"),
    "preference": ("correction",),
    "unpaired": ("up",),
}


class Shown(NamedTuple):
    """An answer and what people said of it, in this order: None where they approved it."""

    input: Any
    output: Any
    acts: list[tuple[str, Any]]
    right: Any = None  # what moderators go by


class Said(NamedTuple):
    """One example, of silence, an up or a correction, as it is counted by hand."""

    source: str
    input: Any
    output: Any
    rejected: Any


def read(data: Path) -> Iterator[tuple[str, str, list[Shown]]]:
    """Yield names, modalities and what was shown."""
    for part, file in (("train", "train"), ("dev", "dev"), ("test", "test20")):
        files = dict(members(data / "post_edits" / f"post-editing_ro-en-{part}.tar.gz"))
        columns = (files[f"ro-en-{file}/{file}.{end}"].decode() for end in ("src", "mt", "pe"))
        lines = enumerate(zip(*(column.splitlines() for column in columns), strict=True))
        edits = [
            Shown(asked, told, [(f"editor-{n % 40}", right)] if told != right else [])
            for n, (asked, told, right) in lines
        ]
        yield f"ro-en-{part}", "text", edits
    pages = sorted(members(data / "comic_panels" / "labelme_75_pages.tar.gz"))
    shown = [page(number, json.loads(file)) for number, (_, file) in enumerate(pages)]
    yield "comic-panels", "layout", shown
    votes = [gzip.decompress(path.read_bytes()) for path in sorted(data.glob("dynasent/*.gz"))]
    shown = [voted(json.loads(line)) for file in votes for line in file.splitlines()]
    yield "dynasent", "classification", shown


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            if file := archive.extractfile(member):
                yield member.name, file.read()


def page(number: int, told: dict[str, Any]) -> Shown:
    """Make up what was served: by turns a box is missing, or all lie a pixel off."""
    boxes = []
    for place, shape in enumerate(told["shapes"]):
        across, down = zip(*shape["points"], strict=True)
        bbox = [min(across), min(down), max(across) - min(across), max(down) - min(down)]
        boxes.append({"id": f"b{place}", "label": shape["label"], "bbox": bbox})
    served = boxes[:-1] if number % 2 else [shifted(box) for box in boxes]
    size = {"width": told["imageWidth"], "height": told["imageHeight"]}
    input_ = {"page": size, "file_name": told["imagePath"]}
    return Shown(input_, {"boxes": served}, [(f"artist-{number % 5}", {"boxes": boxes})])


def shifted(box: dict[str, Any]) -> dict[str, Any]:
    return {**box, "bbox": [abs(box["bbox"][0] - 1), *box["bbox"][1:]]}


def voted(row: dict[str, Any]) -> Shown:
    told = row.get("model_0_label") or row["model_1_label"]
    votes = [(who, label) for label, people in row["label_distribution"].items() for who in people]
    votes.sort(key=lambda vote: int(vote[0][1:]))
    acts = [(who, None if label == told else label) for who, label in votes]
    return Shown(row["sentence"], told, acts, row["gold_label"])


def by_hand(shown: list[Shown]) -> tuple[dict[str, Counter[str]], Counter[str]]:
    """Return figures of each purpose (distinct rows, examples left out) and what was flagged."""
    said, flags = settled(shown)
    kept = {purpose: members_of(purpose, said) for purpose in TAKES}
    trained = kept["train"][0]
    taught = {row_of("eval", one) for one in trained if side(one.input) == "train"}
    figures = {}
    for purpose, (examples, left_out) in kept.items():
        rows = {row_of(purpose, one): one for one in examples}
        counted = Counter(side(one.input) for one in rows.values())
        if purpose == "train":
            counted["silence"] = sum(one.source == "silence" for one in examples)
        if purpose == "eval":
            cases = ("golden" if one.source == "up" else "regression" for one in rows.values())
            counted.update([*cases, *("seen" for _ in taught & rows.keys())])
        figures[purpose] = +(counted + left_out)
    return figures, flags


def settled(shown: list[Shown]) -> tuple[list[Said], Counter[str]]:
    """Return what counts in the end, and what was flagged.

    All first acts come before all second ones, and are processed before those. What is flagged a
    moderator accepts at the end where it says the right thing, and rejects elsewhere.
    """
    said = [Said("silence", s.input, s.output, None) for s in shown if not s.acts]
    flags: Counter[str] = Counter()
    corrected: dict[str, set[str]] = defaultdict(set)
    approved: dict[str, set[str]] = defaultdict(set)
    for turn in range(max(len(s.acts) for s in shown)):
        acts = [(s, s.acts[turn][1]) for s in shown if len(s.acts) > turn]
        for one, answer in acts:
            about, spelt = normal(one.input), {json.dumps(answer)}
            if answer is None:
                said.append(Said("up", one.input, one.output, None))
                continue
            found = ["contradiction"] if corrected[about] - spelt else []
            found += ["high_impact"] if approved[about] - spelt else []
            corrected[about] |= spelt
            flags.update(f"feedback.{name}" for name in found)
            if not found or answer == one.right:
                said.append(Said("correction", one.input, answer, one.output))
        for one, answer in acts:
            if answer is None:
                approved[normal(one.input)].add(json.dumps(one.output))
    return said, flags


def members_of(purpose: str, said: list[Said]) -> tuple[list[Said], Counter[str]]:
    sides: dict[str, list[Said]] = {"train": [], "holdout": []}
    left_out: Counter[str] = Counter()
    for one in (one for one in said if one.source in TAKES[purpose]):
        if one.source == "silence" and side(one.input) == "holdout":
            left_out["silent_holdout"] += 1
        elif purpose != "eval" and is_short(one):
            left_out["too_short"] += 1
        elif purpose == "preference" and distance(one.rejected, one.output) < 0.02:
            left_out["near_identical"] += 1
        else:
            sides[side(one.input)].append(one)
    held = {gist(one) for one in sides["holdout"]} if purpose != "eval" else set()
    near = near_to(held, [gist(one) for one in sides["train"]])
    left_out["near_holdout"] = sum(near)
    trained = [one for one, is_near in zip(sides["train"], near, strict=True) if not is_near]
    return sides["holdout"] + trained, left_out


def row_of(purpose: str, one: Said) -> tuple[Any, ...]:
    weight = 1.0
    if one.rejected is not None:
        weight = min(1.0, 0.5 + 0.5 * distance(one.rejected, one.output) / 0.02)
    kind = one.source if purpose == "eval" else ""
    rejected = json.dumps(one.rejected) if purpose == "preference" else ""
    return normal(one.input), json.dumps(one.output), rejected, kind, weight


def normal(value: Any) -> str:
    if isinstance(value, str):
        return " ".join(unicodedata.normalize("NFC", value.casefold()).split())
    values = {key: normal(v) if isinstance(v, str) else v for key, v in value.items()}
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def side(input_: Any) -> str:
    first = hashlib.sha256(normal(input_).encode()).digest()[:8]
    return "holdout" if int.from_bytes(first, "big") < 0.2 * 2**64 else "train"


def is_short(one: Said) -> bool:
    texts = [text for text in (one.input, one.output) if isinstance(text, str)]
    return any(sum(unicodedata.category(c)[0] not in "PZC" for c in text) < 2 for text in texts)


def distance(before: Any, after: Any) -> float:
    """Return the share of characters, or of boxes, that differ; two labels are two texts."""
    if isinstance(before, str):
        return float(Levenshtein.normalized_distance(before, after))
    old, new = ({box["id"]: box["bbox"] for box in v["boxes"]} for v in (before, after))
    shared = 0.0
    for (ax, ay, aw, ah), (bx, by, bw, bh) in ((old[i], new[i]) for i in old.keys() & new.keys()):
        wide, high = min(ax + aw, bx + bw) - max(ax, bx), min(ay + ah, by + bh) - max(ay, by)
        both = max(wide, 0) * max(high, 0)
        shared += both / (aw * ah + bw * bh - both)
    return 1 - shared / len(old.keys() | new.keys())


def gist(one: Said) -> str:
    """Return what is compared: a text without its marks, or all of a page's input."""
    marks = (" " if unicodedata.category(c)[0] in "PZ" else c for c in normal(one.input))
    return " ".join("".join(marks).split()) if isinstance(one.input, str) else normal(one.input)


def near_to(held: set[str], texts: list[str]) -> list[bool]:
    """Say which texts are among those held out or, both long, share 0.7 of their 4-grams."""
    sizes = {other: len(grams(other)) for other in held}
    having: dict[str, list[str]] = defaultdict(list)
    for other in held:
        for gram in grams(other):
            having[gram].append(other)

    def is_near(text: str) -> bool:
        mine = grams(text)
        shared = Counter(chain.from_iterable(having.get(gram, []) for gram in mine)).items()
        return text in held or any(n / (len(mine) + sizes[o] - n) >= 0.7 for o, n in shared)

    return [is_near(text) for text in texts]


def grams(text: str) -> set[str]:
    is_compared = len(text) >= 20 and text[0] != "{"
    return {text[n : n + 4] for n in range(len(text) - 3)} if is_compared else set()
