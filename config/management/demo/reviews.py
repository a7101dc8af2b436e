"""The demo's real input: review sentences with what their authors meant."""

import csv
import random
from dataclasses import dataclass
from pathlib import Path

SAMPLE = Path(__file__).parent.parent.parent / "sample" / "reviews.tsv"
FIRST_ROWS, HOLDOUT_ROWS, CANARY_ROWS = 60, 250, 40
MINIMUM_ROWS = FIRST_ROWS + HOLDOUT_ROWS + CANARY_ROWS + 150
LABELS = {"1": "positive", "0": "negative"}


class UnfitReviewsError(ValueError):
    """The file cannot be used; the message is one sentence for the person at the terminal."""


@dataclass(frozen=True)
class Review:
    text: str
    label: str


@dataclass(frozen=True)
class Parts:
    """Who gets to see which reviews; no text is in two parts."""

    first: list[Review]
    holdout: list[Review]
    stream: list[Review]
    canary: list[Review]

    @property
    def total(self) -> int:
        return sum(map(len, (self.first, self.holdout, self.stream, self.canary)))


def load(path: Path) -> list[Review]:
    """Read `Review` TAB `Liked` (1 or 0); quotes are literal, equal texts are taken once."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reviews = _read(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE), path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        message = f"{path} cannot be read: {error}"
        raise UnfitReviewsError(message) from error
    if len(reviews) < MINIMUM_ROWS:
        message = f"{path} has {len(reviews)} different reviews; the demo needs {MINIMUM_ROWS}."
        raise UnfitReviewsError(message)
    return list(reviews.values())


def _read(rows: "csv.DictReader[str]", path: Path) -> dict[str, Review]:
    """Return the reviews by what makes texts equal: case and spaces do not."""
    if not {"Review", "Liked"} <= set(rows.fieldnames or []):
        message = f"{path} lacks the columns Review and Liked."
        raise UnfitReviewsError(message)
    reviews: dict[str, Review] = {}
    for row in rows:
        text, liked = (row["Review"] or "").strip(), (row["Liked"] or "").strip()
        if liked not in LABELS:
            message = f"{path}, line {rows.line_num}: Liked is 1 or 0, not {liked!r}."
            raise UnfitReviewsError(message)
        if text:
            reviews.setdefault(" ".join(text.casefold().split()), Review(text, LABELS[liked]))
    return reviews


def deal(reviews: list[Review], seed: int) -> Parts:
    """Shuffle the reviews by the seed and deal them out."""
    shuffled = list(reviews)
    random.Random(seed).shuffle(shuffled)  # noqa: S311
    first, rest = shuffled[:FIRST_ROWS], shuffled[FIRST_ROWS:]
    holdout, rest = rest[:HOLDOUT_ROWS], rest[HOLDOUT_ROWS:]
    return Parts(first, holdout, rest[CANARY_ROWS:], rest[:CANARY_ROWS])
