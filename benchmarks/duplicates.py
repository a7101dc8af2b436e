"""Near-duplicates: which changed copies are found, paraphrases, speed beside a floor.

python -m benchmarks.duplicates [--pairs PAIRS.tsv.gz] [--texts FILE...] [--rows 100000]
"""

import argparse
import gzip
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from feedback.duplicates import DUPLICATE_JACCARD, SHORT_CHARS, fold, jaccard
from feedback.normalise import normalise
from training.near import Match, Signed, find, sign

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SYLLABLES = [a + b for a in "bdfgklmnprst" for b in ("a", "e", "i", "o", "u", "an", "er")]
ROW_CHARS = 200
MAX_TEXTS = 20_000


def make_texts(number: int, chars: int, seed: int) -> list[str]:
    """Make up texts from a vocabulary of 5,000 words, some far more frequent than others."""
    chance = random.Random(seed)
    words = ["".join(chance.choices(SYLLABLES, k=chance.randint(1, 4))) for _ in range(5_000)]
    weights = [1 / rank for rank in range(1, 5_001)]
    return [" ".join(chance.choices(words, weights, k=chars // 4))[:chars] for _ in range(number)]


def change_case(text: str, chance: random.Random) -> str:
    return chance.choice([text.upper(), text.title(), text.capitalize()])


def change_punctuation(text: str, chance: random.Random) -> str:
    marked = text.split()
    marked[chance.randrange(len(marked))] += chance.choice(",;:-")
    bare = "".join(letter for letter in text if letter.isalnum() or letter.isspace())
    return chance.choice([" ".join(marked), bare, text + chance.choice([".", "!", "..."])])


def change_space(text: str, chance: random.Random) -> str:
    return chance.choice([f" {text}\n", text.replace(" ", "  "), text.replace(" ", "\n", 2)])


def mistype(text: str, chance: random.Random) -> str:
    """Replace, insert, drop or swap one letter."""
    at, letter = chance.randrange(len(text)), chance.choice(LETTERS)
    before, here, after = text[:at], text[at], text[at + 1 :]
    swapped = before + after[:1] + here + after[1:]
    return chance.choice(
        [before + letter + after, before + letter + here + after, before + after, swapped]
    )


def drop_word(text: str, chance: random.Random) -> str:
    words = text.split()
    del words[chance.randrange(len(words))]
    return " ".join(words) or text


def double_word(text: str, chance: random.Random) -> str:
    words = text.split()
    at = chance.randrange(len(words))
    return " ".join([*words[: at + 1], *words[at:]])


CHANGES: list[Callable[[str, random.Random], str]] = [
    change_case,
    change_punctuation,
    change_space,
    mistype,
    drop_word,
    double_word,
]


def signed(texts: list[str]) -> Signed:
    """Sign texts, numbered as they come."""
    hashes = [sha256(normalise(text).encode()).digest() for text in texts]
    return sign(range(len(texts)), hashes, texts, [None] * len(texts))


def near(rows: list[str], others: list[str]) -> Iterator[Match]:
    """Yield a match for each row that is like any of the others, both by their places."""
    return find(
        replace(signed(rows), ids=-1 - np.arange(len(rows))),  # no row is one of the others
        signed(others),
        settle="row",
        read_mine=lambda ids: {pk: rows[-1 - pk] for pk in ids},
        read_others=lambda ids: {pk: others[pk] for pk in ids},
        counts=lambda ids: np.ones(len(ids), bool),
    )


def measure_copies(name: str, texts: list[str]) -> None:
    """Change each text once at random; print how many copies are found to be like an original."""
    originals = list({fold(text): text for text in texts if text.split()}.values())[:MAX_TEXTS]
    chance = random.Random(0)
    changes = [chance.choice(CHANGES) for _ in originals]
    copies = [change(text, chance) for change, text in zip(changes, originals, strict=True)]
    found = {-1 - match.row for match in near(copies, originals)}
    long = {row for row, text in enumerate(originals) if len(fold(text)) >= SHORT_CHARS}
    due = {row for row, copy in enumerate(copies) if is_near(copy, originals[row])}
    print(
        f"{name}: n={len(originals)}  found {len(found) / len(originals):.4f}"
        f"  (from {SHORT_CHARS} characters: n={len(long)} {len(found & long) / len(long):.4f};"
        f" by the definition: n={len(due)} {len(found & due) / len(due):.4f})"
    )
    tried, kept = Counter(changes), Counter(changes[row] for row in found)
    print(
        "   found",
        "  ".join(f"{c.__name__} {kept[c] / tried[c]:.3f}" for c in CHANGES if tried[c]),
    )


def is_near(left: str, right: str) -> bool:
    """Judge as it is defined, without signatures."""
    left, right = fold(left), fold(right)
    is_long = min(len(left), len(right)) >= SHORT_CHARS
    return left == right or (is_long and jaccard(left, right) >= DUPLICATE_JACCARD)


def measure_pairs(path: Path) -> None:
    """Print how many pairs of each label (the first column) are called duplicates."""
    total: Counter[str] = Counter()
    called: Counter[str] = Counter()
    for line in read_lines(path):
        label, *rest = line.split("\t")
        if label in {"0", "1"}:
            left, right = rest[-2:]
            total[label] += 1
            called[label] += jaccard(fold(left), fold(right)) >= DUPLICATE_JACCARD
    for label, number in sorted(total.items()):
        share = called[label] / number
        print(f"{path.name}: label {label}, n={number}  called duplicates {share:.4f}")


def measure_speed(rows: int) -> None:
    """Print signatures a second beside hashing the normalised texts, and what memory it took."""
    texts = make_texts(rows, ROW_CHARS, seed=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rates = {}
    floor = ("SHA-256, floor", lambda: [sha256(normalise(t).encode()).digest() for t in texts])
    for name, work in (floor, ("signatures", lambda: signed(texts))):
        started = time.perf_counter()
        work()
        rates[name] = rows / (time.perf_counter() - started)
        print(f"{name:16} {rates[name]:,.0f} rows of {ROW_CHARS} characters a second")
    low, high = rates["signatures"], rates[floor[0]]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(
        f"{'ratio':16} {low / high:.3f};  a million in {1e6 / low:.0f} s;"
        f"  {grown:.0f} MiB of which {rows * 256 / 2**20:.0f} are signatures"
    )
    started = time.perf_counter()
    fifth = rows // 5
    found = sum(1 for _ in near(texts[fifth:], texts[:fifth]))
    rate = rows / (time.perf_counter() - started)
    print(f"near-duplicates  {rate:,.0f} rows a second, a fifth held out; {found} found")


def read_lines(path: Path) -> Iterator[str]:
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    # Not splitlines: latin-1 text holds characters that it takes for line ends.
    yield from data.decode("utf-8", errors="replace").replace("\r\n", "\n").split("\n")


def main() -> None:
    """Measure what was named; without arguments, texts that are made up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, help="lines of label TAB ... sentence TAB sentence")
    parser.add_argument("--texts", type=Path, nargs="*", default=[], help="one text a line")
    parser.add_argument("--rows", type=int, default=100_000, help="rows to measure speed with")
    arguments = parser.parse_args()
    measure_speed(arguments.rows)
    if arguments.pairs:
        measure_pairs(arguments.pairs)
    for path in arguments.texts:
        measure_copies(path.name, list(read_lines(path)))
    if not arguments.texts:
        for chars in (30, 60, 120):
            measure_copies(f"made up, {chars} characters", make_texts(5_000, chars, seed=chars))


if __name__ == "__main__":
    main()
