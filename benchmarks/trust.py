"""How well vandals are found and what that is worth: a crowd simulated on real sentences.

python -m benchmarks.trust --movies FOLDER [--seeds 2] [--showings 3] [--kinds flip95 ...]

FOLDER holds rt-polarity.pos.gz and .neg.gz. 200 users are shown answers of a poor first model; the
honest are wrong in one case of twenty. For each kind of attacker and each way to react: accuracy
on 2,000 sentences that nobody saw when all votes are taken, when trusted ones are, and when an
oracle drops the attackers; attackers found; honest people lost.
"""

import argparse
import gzip
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from feedback.trust import SILENT, Floats, Indices
from training.classifiers import LinearClassifier
from training.crowd import LEAST_HONESTY, Crowd, settle
from training.trainers import classification

USERS, FIRST, HOLDOUT = 200, 250, 2_000
HONEST_NOISE = 0.05
NAMES = ["neg", "pos"]
CONFIG = classification.ClassifierConfig(folds=3)
WORDS = ["film", "movie", "story", "comedy", "characters"]


@dataclass(frozen=True, eq=False)
class World:
    """What was shown to whom, what they said (n,), and what is true."""

    texts: list[str]
    truth: Indices
    shown: Indices
    item: Indices
    user: Indices
    said: Indices
    is_bad: np.ndarray
    first: list[tuple[str, int]]
    holdout: list[tuple[str, int]]


def load(folder: Path) -> list[tuple[str, int]]:
    rows = []
    for label, name in enumerate(("neg", "pos")):
        with gzip.open(folder / f"rt-polarity.{name}.gz", "rt", encoding="latin-1") as file:
            rows += [(line.strip(), label) for line in file]
    return rows


# An attacker's vote: from chance, the truth, whether the item is one they attack, and their place
# in time (0 to 1).
Attack = Callable[[np.random.Generator, int, bool, float], int]
ATTACKS: dict[str, Attack] = {
    "flip95": lambda chance, truth, _, __: 1 - truth if chance.random() < 0.95 else truth,
    "flip70": lambda chance, truth, _, __: 1 - truth if chance.random() < 0.70 else truth,
    "random": lambda chance, _, __, ___: int(chance.integers(0, 2)),
    "sleeper": lambda _, truth, __, time: 1 - truth if time > 0.5 else truth,
    "sybil": lambda _, truth, is_target, __: 1 - truth if is_target else truth,
    "topic": lambda _, truth, is_target, __: 1 - truth if is_target else truth,
}


def make(
    rows: list[tuple[str, int]], kind: str, share: float, speaks: str, seed: int, showings: int
) -> World:
    """Show all but the first and the held-out sentences to people, who react."""
    chance = np.random.default_rng(seed)
    rows = list(rows)
    random.Random(seed).shuffle(rows)
    first, holdout, stream = rows[:FIRST], rows[FIRST : FIRST + HOLDOUT], rows[FIRST + HOLDOUT :]
    texts, truth = [text for text, _ in stream], np.array([label for _, label in stream])
    model = train(first, np.ones(len(first)))
    shown = model.predict_proba(texts).argmax(axis=1)
    item = np.repeat(np.arange(len(texts)), showings)
    user = np.concatenate([chance.permutation(USERS)[:showings] for _ in texts])
    is_bad = np.zeros(USERS, dtype=bool)
    is_bad[chance.permutation(USERS)[: round(share * USERS)]] = True
    is_target = chance.random(len(texts)) < 0.5
    if kind == "topic":
        word = WORDS[int(chance.integers(len(WORDS)))]
        is_target = np.array([word in text for text in texts])
    time = np.arange(item.size) / item.size
    believed = np.empty(item.size, dtype=np.intp)
    for n, (i, u) in enumerate(zip(item, user, strict=True)):
        label = int(truth[i])
        if is_bad[u]:
            believed[n] = ATTACKS[kind](chance, label, bool(is_target[i]), time[n])
        else:
            believed[n] = 1 - label if chance.random() < HONEST_NOISE else label
    mode, reacting = speaks.split(":")
    is_said = chance.random(item.size) < float(reacting)
    if mode == "disagreeing":
        is_said &= believed != shown[item]
    said = np.where(is_said, believed, SILENT)
    return World(texts, truth, shown, item, user, said, is_bad, first, holdout)


def train(rows: list[tuple[str, int]], weights: Floats) -> LinearClassifier:
    chosen = np.flatnonzero(weights > 0)
    return classification.fit(
        [rows[n][0] for n in chosen],
        [NAMES[rows[n][1]] for n in chosen],
        weights[chosen],
        label_names=NAMES,
        config=CONFIG,
    )


def accuracy(world: World, weight_of_user: Floats, silence: float) -> float:
    label = np.where(world.said == SILENT, world.shown[world.item], world.said)
    weight = weight_of_user[world.user] * np.where(world.said == SILENT, silence, 1.0)
    pairs = np.stack([world.item, label], axis=1)
    said, place = np.unique(pairs, axis=0, return_inverse=True)
    rows = world.first + [(world.texts[i], int(y)) for i, y in said]
    summed = np.bincount(place.ravel(), weight)
    model = train(rows, np.concatenate([np.ones(len(world.first)), summed]))
    texts, truth = zip(*world.holdout, strict=True)
    return float((model.predict_proba(texts).argmax(axis=1) == np.array(truth)).mean())


def out_of_fold(texts: Sequence[str], labels: Indices, weights: Floats) -> Floats:
    return classification.out_of_fold_probabilities(
        texts, [NAMES[label] for label in labels], weights, label_names=NAMES, config=CONFIG
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
    scores = settle(crowd, out_of_fold)
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
    parser.add_argument("--movies", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--showings", type=int, default=3)
    parser.add_argument("--kinds", nargs="*", default=list(ATTACKS), choices=list(ATTACKS))
    parser.add_argument("--shares", nargs="*", type=float, default=[0.2, 0.4])
    ways = ["all:1.0", "disagreeing:1.0", "all:0.3", "disagreeing:0.3"]
    parser.add_argument("--ways", nargs="*", default=ways)
    options = parser.parse_args()
    rows = load(options.movies)
    print("way             kind     bad  majority  trust  oracle  found  honest lost  (points)")
    for way in options.ways:
        cases = [("none", 0.0), *((k, s) for k in options.kinds for s in options.shares)]
        for kind, share in cases:
            trials = [
                trial(make(rows, kind, share, way, seed, options.showings))
                for seed in range(100, 100 + options.seeds)
            ]
            mean = np.mean(trials, axis=0)
            figures = "  ".join(f"{value:6.1f}" for value in mean)
            print(f"{way:<15} {kind:<8} {share:.0%}  {figures}")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
