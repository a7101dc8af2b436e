"""How well real crowds are judged without a model: feedback.trust beside majority, Dawid-Skene.

python -m benchmarks.crowds --data FOLDER

FOLDER holds, a folder each, label.csv (item, worker, label) and truth.csv (item, truth). crowd-kit
is the reference and no dependency of Emend: install it beside it (pip install crowd-kit).

Workers are ranked by how many of the others say the same, by their evidence per vote, and by how
often Dawid and Skene take them to be right; the rank correlation (Spearman) is with their accuracy
on gold. Items are labelled by the majority, by votes weighted by honesty (as training weighs them),
by the truth that the scores assume, and by Dawid and Skene; labels that tie share the item.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.stats import spearmanr

from feedback.trust import Exposures, Floats, Indices, Scores, score

try:
    pandas, aggregation = import_module("pandas"), import_module("crowdkit.aggregation")
except ModuleNotFoundError as missing:
    sys.exit(f"{missing}: the reference is not installed; try: pip install crowd-kit")

NAMES = ["CF", "CF_amt", "MS", "rte"]
LEAST_VOTES = 5  # on gold: whoever gave fewer has no accuracy worth a rank
ROUNDS = 100  # of Dawid and Skene


class Crowd:
    """Votes (n,) by index of item, worker and label; the truth of each item (m,), or -1."""

    def __init__(self, folder: Path) -> None:
        votes, truth = _read(folder / "label.csv"), _read(folder / "truth.csv")
        items, self.item = _indexed([row["item"] for row in votes])
        workers, self.worker = _indexed([row["worker"] for row in votes])
        said = [row["label"] for row in votes]
        labels, both = _indexed(said + [row["truth"] for row in truth])
        self.said = both[: len(said)]
        of_item = dict(zip((row["item"] for row in truth), both[len(said) :], strict=True))
        self.truth = np.array([of_item.get(item, -1) for item in items])
        self.items, self.workers, self.labels = len(items), len(workers), len(labels)
        self.on_gold = self.by_worker(self.truth[self.item] >= 0)
        self.ranked = self.on_gold >= LEAST_VOTES

    def vote(self, weight: Floats) -> Floats:
        """Return how much weight (workers,) stands behind each label of each item (m, k)."""
        cells = self.item * self.labels + self.said
        counted = np.bincount(cells, weight[self.worker], self.items * self.labels)
        return np.asarray(counted.reshape(self.items, self.labels), dtype=np.float64)

    def accuracy(self, support: Floats) -> float:
        """Return the share of items on gold whose likeliest label (m, k) is true."""
        is_gold = self.truth >= 0
        best = np.isclose(support, support.max(axis=1, keepdims=True), rtol=1e-9, atol=0)
        right = best[np.arange(self.items), self.truth] / best.sum(axis=1)
        return float(right[is_gold].mean())

    def ranking(self, opinion: Floats) -> float:
        """Correlate an opinion of each worker with their accuracy, where that is known."""
        right = self.by_worker(self.truth[self.item] == self.said) / self.on_gold.clip(1)
        return float(spearmanr(opinion[self.ranked], right[self.ranked]).statistic)

    def by_worker(self, values: ArrayLike) -> Floats:
        return np.asarray(np.bincount(self.worker, values, self.workers), dtype=np.float64)


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _indexed(names: Sequence[str]) -> tuple[list[str], Indices]:
    found, place = np.unique(names, return_inverse=True)
    return found.tolist(), place


def trust(crowd: Crowd) -> Scores:
    """Score the workers as Emend does, by their votes alone.

    Nobody was shown an answer, so none could be approved, contradicted or left unsaid: what
    somebody says stands for what they were shown. Then all speak always, and each vote counts by
    how likely an honest person says it, and a blind one.
    """
    return score(
        Exposures(
            contributor=crowd.worker,
            item=crowd.item,
            about=csr_array((crowd.items, 0)),
            shown=crowd.said,
            said=crowd.said,
            likely=np.full((crowd.items, crowd.labels), 1 / crowd.labels),
            known=np.full(crowd.items, -1),
        ),
        crowd.workers,
    )


def dawid_skene(crowd: Crowd) -> Floats:
    """Return what Dawid and Skene think of each item (m, k), with each worker's own confusions."""
    votes = pandas.DataFrame({"task": crowd.item, "worker": crowd.worker, "label": crowd.said})
    found = aggregation.DawidSkene(n_iter=ROUNDS).fit(votes).probas_
    rows = found.reindex(index=range(crowd.items), columns=range(crowd.labels), fill_value=0.0)
    return np.asarray(rows, dtype=np.float64)


def measure(crowd: Crowd) -> tuple[list[float], list[float]]:
    """Return three rankings, and four accuracies in points."""
    ones, votes = np.ones(crowd.workers), crowd.by_worker(np.ones(crowd.said.size))
    everybody, scores, likely = crowd.vote(ones), trust(crowd), dawid_skene(crowd)
    # Nobody is a witness for themselves.
    alike = everybody[crowd.item, crowd.said] - 1
    others = np.maximum(everybody.sum(axis=1)[crowd.item] - 1, 1)
    opinions = [
        crowd.by_worker(alike / others) / votes,
        scores.evidence / votes,
        crowd.by_worker(likely[crowd.item, crowd.said]) / votes,
    ]
    supports = [everybody, crowd.vote(scores.honesty), scores.truth, likely]
    return (
        [crowd.ranking(opinion) for opinion in opinions],
        [100 * crowd.accuracy(support) for support in supports],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    print(
        "                                               rank correlation      accuracy (points)\n"
        "        items  workers  ranked  votes  labels   others  trust  D&S    "
        " majority  weighted     truth       D&S"
    )
    for name in NAMES:
        crowd = Crowd(options.data / name)
        sizes = f"{crowd.items:5}  {crowd.workers:7}  {crowd.ranked.sum():6}  {crowd.said.size:5}"
        ranks, points = measure(crowd)
        figures = [f"{rank:5.3f}" for rank in ranks] + [f"{share:8.2f}" for share in points]
        print(f"{name:<7} {sizes}  {crowd.labels:6}  ", "  ".join(figures))


if __name__ == "__main__":
    main()
