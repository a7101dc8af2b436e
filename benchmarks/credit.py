"""How well credit agrees with training again, what it says of a vandal, and how long it takes.

python -m benchmarks.credit [--reviews FILE.tsv] [--movies FOLDER] [--retrains 150]
    [--simulations 40] [--sizes 2000 10000]

Four fifths of a corpus are trained on. Each of so many rows is left out, the classifier trained
anew by the trainer's own objective to a gradient of 1e-9, and the change of the loss on the other
fifth is held against the row's credit: with vocabulary and idf as they were, and with both anew.
The same for each of 20 contributors, with all their rows at once. Then, in each simulation, 20
contributors label the corpus, held-out rows too; one flips all labels, the others 5%.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from benchmarks.classifier import SAMPLE, read_movies, read_reviews
from training.classifiers import LinearClassifier
from training.credit import Credit, Indices, Labelled, influence
from training.trainers import classification

CONTRIBUTORS, HONEST_NOISE = 20, 0.05
CONFIG = classification.ClassifierConfig()
Corpus = tuple[list[str], Indices, list[str]]  # texts, their labels by index, the names of those


class Trial:
    """A classifier, what it was trained on and what it is held against."""

    def __init__(self, corpus: Corpus, said: Indices, seed: int) -> None:
        texts, _, self.names = corpus
        self.order = np.random.default_rng(seed).permutation(len(texts))
        cut = 4 * len(texts) // 5
        self.train, held_out = self.order[:cut], self.order[cut:]
        self.rows, self.held_out = (
            Labelled([texts[n] for n in chosen], said[chosen]) for chosen in (self.train, held_out)
        )
        self.weights = np.ones(cut)
        self.classifier = classification.fit(
            self.rows.texts,
            [self.names[label] for label in self.rows.target],
            self.weights,
            label_names=self.names,
            config=CONFIG,
        )

    def credit(self) -> Credit:
        return influence(
            self.classifier,
            self.rows,
            self.weights,
            self.held_out,
            inverse_regularization=CONFIG.inverse_regularization,
        )


def loss(classifier: LinearClassifier, held_out: Labelled) -> float:
    p = classifier.predict_proba(held_out.texts)
    return float(-np.log(p[np.arange(held_out.target.size), held_out.target]).mean())


class Retrained:
    """The loss of classifiers that never saw some rows, exactly."""

    def __init__(self, trial: Trial) -> None:
        self._trial, of = trial, trial.classifier
        names = [trial.names[label] for label in trial.rows.target]
        rows = classification._Rows(trial.rows.texts, names, trial.weights, trial.names)
        self._data = classification._prepare(rows, of.words, of.characters)

    def loss_without(self, rows: Indices, *, is_idf_kept: bool) -> float:
        of, rest = (
            self._trial.classifier,
            np.setdiff1d(np.arange(len(self._trial.rows.texts)), rows),
        )
        idf = of.idf if is_idf_kept else self._data.idf(rest)
        weights, bias = classification._fit_logistic(
            self._data, rest, idf, CONFIG.inverse_regularization
        )
        fitted = (of.labels, of.words, of.characters, idf, weights, bias, of.temperature)
        return loss(LinearClassifier(*fitted), self._trial.held_out)


def agreement(corpus: Corpus, retrains: int) -> None:
    trial = Trial(corpus, corpus[1], seed=0)
    credit = trial.credit()
    classification.GRADIENT_TOLERANCE, classification.MAXIMUM_ITERATIONS = 1e-9, 10_000
    retrained = Retrained(trial)
    nobody = np.array([], dtype=np.intp)
    chosen = np.random.default_rng(1).permutation(trial.train.size)[:retrains]
    crowd = np.arange(trial.train.size) % CONTRIBUTORS
    rows = credit.of(shares_of(np.arange(crowd.size))).value
    sums = credit.of(shares_of(crowd)).value
    groups = [np.flatnonzero(crowd == n) for n in range(CONTRIBUTORS)]
    for name, is_idf_kept in (("kept", True), ("anew", False)):
        without = partial(retrained.loss_without, is_idf_kept=is_idf_kept)
        before = without(nobody)
        exact = np.array([without(np.array([row])) for row in chosen]) - before
        r = np.corrcoef(exact, rows[chosen])[0, 1]
        slope = np.polyfit(rows[chosen], exact, 1)
        of_groups = np.array([without(group) for group in groups]) - before
        print(
            f"  {len(chosen)} retrains, vocabulary and idf {name}: r {r:.4f}, slope {slope[0]:.3f}"
            f" from {slope[1]:.1e}; {CONTRIBUTORS} contributors: r"
            f" {np.corrcoef(of_groups, sums)[0, 1]:.4f},"
            f" mean {of_groups.mean():.2e} against {sums.mean():.2e}",
            flush=True,
        )


def shares_of(crowd: Indices) -> csr_array:
    return csr_array((np.ones(crowd.size), (crowd, np.arange(crowd.size))))


def simulate(corpus: Corpus, simulations: int) -> None:
    texts, truth, names = corpus
    is_below, is_surely = [], []
    for seed in range(simulations):
        chance = np.random.default_rng(seed)
        crowd = chance.integers(0, CONTRIBUTORS, len(texts))
        wrong = np.where(crowd == 0, 1.0, HONEST_NOISE)
        turned = chance.integers(1, len(names), len(texts)) * (chance.random(len(texts)) < wrong)
        trial = Trial(corpus, (truth + turned) % len(names), seed)
        sums = trial.credit().of(shares_of(crowd[trial.train]))
        is_below.append(sums.value < 0)
        is_surely.append(sums.high < 0)
    for name, found in (("negative", is_below), ("interval below zero", is_surely)):
        rates = np.mean(found, axis=0)
        print(f"  {name}: vandal {rates[0]:.1%}, honest {rates[1:].mean():.1%}", flush=True)


def clock(corpus: Corpus, sizes: list[int]) -> None:
    texts, truth, names = corpus
    for size in sizes:
        total = 5 * size // 4
        copies = -(-total // len(texts))
        more = [f"{text} {n}" if n else text for n in range(copies) for text in texts][:total]
        trial = Trial((more, np.tile(truth, copies)[:total], names), np.tile(truth, copies), seed=0)
        start, cpu_start = time.perf_counter(), time.process_time()
        trial.credit()
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        print(f"  {size} rows: {seconds:.1f} s, of CPU {cpu_seconds:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reviews", type=Path, default=SAMPLE)
    parser.add_argument("--movies", type=Path)
    parser.add_argument("--retrains", type=int, default=150)
    parser.add_argument("--simulations", type=int, default=40)
    parser.add_argument("--sizes", type=int, nargs="*", default=[2_000, 10_000])
    options = parser.parse_args()
    for path, read in ((options.reviews, read_reviews), (options.movies, read_movies)):
        if path:
            texts, labels = read(path)
            names, target = np.unique(labels, return_inverse=True)
            corpus = (texts, target, names.tolist())
            print(path.name)
            if options.simulations:
                simulate(corpus, options.simulations)
            clock(corpus, options.sizes)
            if options.retrains:
                agreement(corpus, options.retrains)


if __name__ == "__main__":
    main()
