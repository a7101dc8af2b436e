"""How well vandals are found and what that is worth: a crowd simulated on real sentences.

python -m benchmarks.trust (--movies FOLDER | --dynasent FOLDER) [--seeds 2] [--showings 3]
    [--items 10000] [--kinds flip95 ...] [--shares 0.2 0.4] [--ways all:1.0 ...]

Movies: rt-polarity.pos.gz and .neg.gz, two labels; dynasent: *-dev.jsonl.gz, three. 200 users are
shown answers of a poor first model; the honest are wrong in one case of twenty. For each kind of
attacker and each way to react: accuracy on sentences that nobody saw (2,000, or a quarter) when all
votes are taken, when trusted ones are, and when an oracle drops the attackers; attackers found;
honest people lost. Found or lost is who is not learnt from: less than half likely honest. Who is
quarantined, below 0.3, is fewer where little is known of anybody.
"""

import argparse
import gzip
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from feedback.trust import SILENT, Floats, Indices
from training.classifiers import LinearClassifier
from training.crowd import LEAST_HONESTY, Crowd, settle
from training.trainers import classification

USERS, FIRST, HOLDOUT = 200, 250, 2_000
FIRST_SEED = 200  # apart from those that the method was chosen with
HONEST_NOISE = 0.05
CONFIG = classification.ClassifierConfig(folds=2)
# Folds are for calibration, which changes no answer: a model that only answers needs none.
ANSWERING = classification.ClassifierConfig(folds=1)
WAYS = ["all:1.0", "disagreeing:1.0", "all:0.3", "disagreeing:0.3"]
# How often attackers are wrong (n,): from their place in time (0 to 1), whether they attack the
# item, and how many labels there are.
Attack = Callable[[Floats, np.ndarray, int], Floats]
ATTACKS: dict[str, Attack] = {
    "flip95": lambda time_, _, __: np.full(time_.size, 0.95),
    "flip70": lambda time_, _, __: np.full(time_.size, 0.70),
    "random": lambda time_, _, labels: np.full(time_.size, 1 - 1 / labels),
    "sleeper": lambda time_, _, __: np.where(time_ > 0.5, 1.0, 0.0),
    "sybil": lambda _, is_target, __: np.where(is_target, 1.0, 0.0),
    "topic": lambda _, is_target, __: np.where(is_target, 1.0, 0.0),
}


@dataclass(frozen=True)
class Corpus:
    """Sentences with their label by index, and words that some of them are about."""

    names: list[str]
    rows: list[tuple[str, int]]
    words: list[str]


@dataclass(frozen=True)
class Case:
    """Who attacks, how many, and who speaks how often; and how much is shown to whom."""

    kind: str
    share: float
    way: str
    showings: int
    items: int


@dataclass(frozen=True, eq=False)
class World:
    """What was shown to whom, what they said (n,), and what is true."""

    names: list[str]
    texts: list[str]
    shown: Indices
    item: Indices
    user: Indices
    said: Indices
    is_bad: np.ndarray
    first: list[tuple[str, int]]
    holdout: list[tuple[str, int]]


def movies(folder: Path) -> Corpus:
    rows = []
    for label, name in enumerate(("neg", "pos")):
        with gzip.open(folder / f"rt-polarity.{name}.gz", "rt", encoding="latin-1") as file:
            rows += [(line.strip(), label) for line in file]
    return Corpus(["neg", "pos"], rows, ["film", "movie", "story", "comedy", "characters"])


def dynasent(folder: Path) -> Corpus:
    names, rows = ["negative", "neutral", "positive"], []
    for path in sorted(folder.glob("*-dev.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            found = map(json.loads, file)
            rows += [(row["sentence"], names.index(row["gold_label"])) for row in found]
    return Corpus(names, rows, ["food", "place", "time", "service", "order"])


def make(corpus: Corpus, case: Case, seed: int) -> World:
    """Show sentences that are neither the first ones nor held out to people, who react."""
    chance = np.random.default_rng(seed)
    rows, labels = list(corpus.rows), len(corpus.names)
    random.Random(seed).shuffle(rows)
    start = FIRST + min(HOLDOUT, len(rows) // 4)
    first, holdout, stream = rows[:FIRST], rows[FIRST:start], rows[start:][: case.items]
    texts, truth = [text for text, _ in stream], np.array([label for _, label in stream])
    shown = train(corpus.names, first, np.ones(len(first))).predict_proba(texts).argmax(axis=1)
    item = np.repeat(np.arange(len(texts)), case.showings)
    user = np.concatenate([chance.permutation(USERS)[: case.showings] for _ in texts])
    is_bad = np.zeros(USERS, dtype=bool)
    is_bad[chance.permutation(USERS)[: round(case.share * USERS)]] = True
    is_target = chance.random(len(texts)) < 0.5
    if case.kind == "topic":
        word = chance.choice(corpus.words)
        is_target = np.array([word in text.lower() for text in texts])
    wrong = np.full(item.size, HONEST_NOISE)
    turn = chance.integers(1, labels, item.size)  # from the truth to what is said instead
    if case.share:
        attack = ATTACKS[case.kind](np.arange(item.size) / item.size, is_target[item], labels)
        wrong = np.where(is_bad[user], attack, wrong)
    if case.kind == "sybil":  # they say the same
        turn = chance.integers(1, labels, len(texts))[item]
    believed = (truth[item] + turn * (chance.random(item.size) < wrong)) % labels
    mode, reacting = case.way.split(":")
    is_said = chance.random(item.size) < float(reacting)
    if mode == "disagreeing":
        is_said &= believed != shown[item]
    said = np.where(is_said, believed, SILENT)
    return World(corpus.names, texts, shown, item, user, said, is_bad, first, holdout)


def train(names: list[str], rows: list[tuple[str, int]], weights: Floats) -> LinearClassifier:
    chosen = np.flatnonzero(weights > 0)
    return classification.fit(
        [rows[n][0] for n in chosen],
        [names[rows[n][1]] for n in chosen],
        weights[chosen],
        label_names=names,
        config=ANSWERING,
    )


def accuracy(world: World, weight_of_user: Floats, silence: float) -> float:
    label = np.where(world.said == SILENT, world.shown[world.item], world.said)
    weight = weight_of_user[world.user] * np.where(world.said == SILENT, silence, 1.0)
    pairs = np.stack([world.item, label], axis=1)
    said, place = np.unique(pairs, axis=0, return_inverse=True)
    rows = world.first + [(world.texts[i], int(y)) for i, y in said]
    summed = np.bincount(place.ravel(), weight)
    model = train(world.names, rows, np.concatenate([np.ones(len(world.first)), summed]))
    texts, truth = zip(*world.holdout, strict=True)
    return float((model.predict_proba(texts).argmax(axis=1) == np.array(truth)).mean())


def out_of_fold(names: list[str], texts: Sequence[str], labels: Indices, weights: Floats) -> Floats:
    return classification.out_of_fold_probabilities(
        texts, [names[label] for label in labels], weights, label_names=names, config=CONFIG
    )


def trial(world: World) -> list[float]:
    """Return in points: majority, trust, oracle, attackers found, honest lost."""
    crowd = Crowd(
        texts=world.texts,
        contributor=world.user,
        item=world.item,
        shown=world.shown[world.item],
        said=world.said,
        known=np.full(len(world.texts), -1),
        contributors=USERS,
        starting=world.first,
    )
    scores = settle(crowd, partial(out_of_fold, world.names))
    is_found = scores.honesty < LEAST_HONESTY
    trust = np.where(is_found, 0.0, scores.honesty)
    measure = partial(accuracy, world, silence=scores.regime.silence_weight)
    return [
        100 * value
        for value in (
            measure(np.ones(USERS)),
            measure(trust),
            measure((~world.is_bad).astype(float)),
            is_found[world.is_bad].mean() if world.is_bad.any() else float("nan"),
            is_found[~world.is_bad].mean(),
        )
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    corpora = parser.add_mutually_exclusive_group(required=True)
    corpora.add_argument("--movies", type=Path)
    corpora.add_argument("--dynasent", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--showings", type=int, default=3)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--kinds", nargs="*", default=list(ATTACKS), choices=list(ATTACKS))
    parser.add_argument("--shares", nargs="*", type=float, default=[0.2, 0.4])
    parser.add_argument("--ways", nargs="*", default=WAYS)
    options = parser.parse_args()
    corpus = movies(options.movies) if options.movies else dynasent(options.dynasent)
    print("way             kind     bad  majority  trust  oracle  found  honest lost  (points)  s")
    for way in options.ways:
        for kind, share in [("none", 0.0), *product(options.kinds, options.shares)]:
            start = time.perf_counter()
            case = Case(kind, share, way, options.showings, options.items)
            seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
            mean = np.mean([trial(make(corpus, case, seed)) for seed in seeds], axis=0)
            figures = "  ".join(f"{value:6.1f}" for value in mean)
            seconds = time.perf_counter() - start
            print(f"{way:<15} {kind:<8} {share:.0%}  {figures}  {seconds:.0f}", flush=True)


if __name__ == "__main__":
    main()
