"""What the order of the answers to check is worth, measured on real sentences.

python -m benchmarks.checking --movies FOLDER [--seeds 4] [--sizes 500 2000 5000 8000]
    [--firsts 500 2000]

Movies: rt-polarity.pos.gz and .neg.gz. A model of so many sentences (sizes) answers the others,
each served once: how many times the errors of a random fifth are in the first fifth of the list.
Once more where few inputs are served often (Zipf); there an error counts as often as it was served.

Then a model of so many sentences (firsts) answers a pool, of which moderators check 1,000 in ten
rounds, with a new model after each: in the order of the list, whose random fifth measures and
teaches nothing; at random with such a fifth; and both where all that is checked teaches. Each is
told by the accuracy on 4,000 sentences that nobody saw. The second half takes half an hour.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.classifier import LABELS, read_movies
from feedback.worth import Answer, worth_of
from training.classifiers import LinearClassifier
from training.trainers.classification import ClassifierConfig, fit

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
FIFTH = 5  # one in so many is the first part of the list, and its random slice
HOLDOUT, ROUNDS, ROUND = 4_000, 10, 100
# Of two labels the order by margin is the same whatever the temperature is: no folds are needed.
CONFIG = ClassifierConfig(folds=1)
WAYS = ["worth with slice", "random with slice", "worth", "random"]


class Sentences:
    """All sentences with their labels by index."""

    def __init__(self, folder: Path) -> None:
        self.texts, labels = read_movies(folder)
        self.truth = np.array([LABELS.index(label) for label in labels])

    def learn(self, rows: Indices) -> LinearClassifier:
        texts, labels = self._of(rows), [LABELS[self.truth[n]] for n in rows]
        return fit(texts, labels, np.ones(len(rows)), label_names=LABELS, config=CONFIG)

    def ask(self, model: LinearClassifier, rows: Indices) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the probabilities (n, 2) of rows, and which are answered wrongly."""
        probabilities = model.predict_proba(self._of(rows))
        return probabilities, probabilities.argmax(axis=1) != self.truth[rows]

    def _of(self, rows: Indices) -> list[str]:
        return [self.texts[n] for n in rows]


def worths(probabilities: Floats, exposure: Indices) -> Floats:
    answers = (
        Answer(exposure=int(times), probabilities=dict(zip(LABELS, row.tolist(), strict=True)))
        for row, times in zip(probabilities, exposure, strict=True)
    )
    return np.array([worth_of(answer) for answer in answers])


def lifts(data: Sentences, size: int, seed: int) -> list[float]:
    """Return the accuracy, and how many times more errors the first fifth holds, in two ways."""
    chance = np.random.default_rng(seed)
    order = chance.permutation(len(data.texts))
    rows = order[size:]
    probabilities, is_wrong = data.ask(data.learn(order[:size]), rows)
    once = np.ones(len(rows), dtype=np.intp)
    often = np.minimum(chance.zipf(2.0, len(rows)), 1_000)
    return [
        100 * (1 - float(is_wrong.mean())),
        *(lift(worths(probabilities, times), is_wrong * times) for times in (once, often)),
        lift(often.astype(float), is_wrong * often),  # by exposure alone
    ]


def lift(worth: Floats, errors: NDArray[Any]) -> float:
    first = np.argsort(-worth, kind="stable")[: len(worth) // FIFTH]
    return float(errors[first].mean() / errors.mean())


def taught(data: Sentences, way: str, first: int, seed: int) -> float:
    """Return the accuracy in percent after all rounds."""
    order, _, has_slice = way.partition(" ")
    chance = np.random.default_rng(seed)
    rows = chance.permutation(len(data.texts))
    holdout, known, pool = np.split(rows, [HOLDOUT, HOLDOUT + first])
    drawn = ROUND // FIFTH if has_slice else 0
    for _ in range(ROUNDS):
        chance.shuffle(pool)
        if order == "worth":
            probabilities, _wrong = data.ask(data.learn(known), pool[drawn:])
            worth = worths(probabilities, np.ones(len(pool) - drawn, dtype=np.intp))
            pool[drawn:] = pool[drawn:][np.argsort(-worth, kind="stable")]
        known = np.concatenate([known, pool[drawn:ROUND]])
        pool = pool[ROUND:]
    _, is_wrong = data.ask(data.learn(known), holdout)
    return 100 * (1 - float(is_wrong.mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--movies", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--sizes", nargs="*", type=int, default=[500, 2_000, 5_000, 8_000])
    parser.add_argument("--firsts", nargs="*", type=int, default=[500, 2_000])
    options = parser.parse_args()
    data, seeds = Sentences(options.movies), range(options.seeds)
    print("times the errors of a random fifth; mean of the seeds (least, most)")
    print("learnt from  accuracy  served once            Zipf   by exposure alone")
    for size in options.sizes:
        found = np.array([lifts(data, size, seed) for seed in seeds])
        accuracy, once, often, exposure = found.mean(axis=0)
        spread = f"({found[:, 1].min():.2f}, {found[:, 1].max():.2f})"
        print(f"{size:11,}  {accuracy:8.1f}  {once:.2f} {spread}  {often:8.2f}   {exposure:.2f}")
    print(f"accuracy after {ROUNDS * ROUND:,} checked answers; mean, and each seed")
    for first in options.firsts:
        for way in WAYS:
            each = [taught(data, way, first, seed) for seed in seeds]
            told = " ".join(f"{one:.1f}" for one in each)
            print(f"{first:5,}  {way:17} {np.mean(each):.2f}  {told}", flush=True)


if __name__ == "__main__":
    main()
