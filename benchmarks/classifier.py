"""Measure the built-in classifier by ten-fold cross-validation beside a bag-of-words floor.

python -m benchmarks.classifier --reviews FILE.tsv --movies FOLDER
"""

import argparse
import csv
import gzip
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB

from training.metrics import expected_calibration_error, perfectly_calibrated_ece_quantile
from training.trainers.classification import ClassifierConfig, fit

Floats = NDArray[np.float64]
Method = Callable[[list[str], list[str], list[str]], Floats]

SAMPLE = Path(__file__).parent.parent / "config" / "sample" / "reviews.tsv"
LABELS = ("negative", "positive")
FLOOR_FEATURES = 1420
FOLDS = 10


def read_reviews(path: Path) -> tuple[list[str], list[str]]:
    """Read texts and labels from a TSV with columns Review and Liked (1 or 0)."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [row["Review"] for row in rows], [LABELS[int(row["Liked"])] for row in rows]


def read_movies(folder: Path) -> tuple[list[str], list[str]]:
    """Read the sentence polarity data of Pang and Lee (2005), one sentence a line."""
    texts: list[str] = []
    labels: list[str] = []
    for label in LABELS:
        data = gzip.decompress((folder / f"rt-polarity.{label[:3]}.gz").read_bytes())
        # Not splitlines: latin-1 text holds characters that it takes for line ends.
        sentences = [line for line in data.decode("latin-1").split("\n") if line.strip()]
        texts += sentences
        labels += [label] * len(sentences)
    return texts, labels


def emend(texts: list[str], labels: list[str], unseen: list[str]) -> Floats:
    """Predict `unseen` with the trainer that Emend ships."""
    weights = [1.0] * len(texts)
    classifier = fit(texts, labels, weights, label_names=LABELS, config=ClassifierConfig())
    return classifier.predict_proba(unseen)


def floor(texts: list[str], labels: list[str], unseen: list[str]) -> Floats:
    """Predict `unseen` with letters only, 1,420 words counted, Gaussian naive Bayes."""
    bag = CountVectorizer(max_features=FLOOR_FEATURES, preprocessor=letters_only)
    model = GaussianNB().fit(bag.fit_transform(texts).toarray(), labels)
    return np.asarray(model.predict_proba(bag.transform(unseen).toarray()), dtype=np.float64)


def letters_only(text: str) -> str:
    """Lower the case and drop everything but letters."""
    return re.sub("[^a-z]", " ", text.lower())


def measure(name: str, method: Method, texts: list[str], labels: list[str]) -> None:
    """Print accuracy in percent (mean and spread over folds), calibration and seconds."""
    truth = np.array([LABELS.index(label) for label in labels])
    probabilities = np.zeros((len(texts), len(LABELS)))
    accuracies, seconds = [], []
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(texts, truth):
        start = time.perf_counter()
        probabilities[test] = method(
            [texts[i] for i in train], [labels[i] for i in train], [texts[i] for i in test]
        )
        seconds.append(time.perf_counter() - start)
        accuracies.append(100 * np.mean(probabilities[test].argmax(axis=1) == truth[test]))
    confidence = probabilities.max(axis=1)
    error = expected_calibration_error(confidence, probabilities.argmax(axis=1) == truth)
    chance = perfectly_calibrated_ece_quantile(confidence, seed=0)
    print(
        f"{name:16} n={len(texts):6} accuracy {np.mean(accuracies):.2f}"
        f" +- {np.std(accuracies, ddof=1):.2f}"
        f"  ECE {error:.4f} (perfectly calibrated, 95th percentile: {chance:.4f})"
        f"  {np.median(seconds):.2f} s a fold",
        flush=True,
    )


def measure_latency(texts: list[str], labels: list[str]) -> None:
    """Print the milliseconds that one text takes to serve."""
    weights = [1.0] * len(texts)
    classifier = fit(texts, labels, weights, label_names=LABELS, config=ClassifierConfig())
    classifier.predict_proba(texts[:1])
    milliseconds = []
    for text in texts[:1000]:
        start = time.perf_counter()
        classifier.predict_proba([text])
        milliseconds.append(1000 * (time.perf_counter() - start))
    middle, slow = np.percentile(milliseconds, [50, 99])
    size = len(classifier.to_bytes()) / 1e6
    print(f"  one text: p50 {middle:.2f} ms, p99 {slow:.2f} ms; file of {size:.1f} MB", flush=True)


def main() -> None:
    """Measure each data set that was named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--reviews", type=Path, default=SAMPLE, help="TSV with columns Review and Liked"
    )
    parser.add_argument("--movies", type=Path, help="folder of rt-polarity.pos.gz and .neg.gz")
    arguments = parser.parse_args()
    sources = [
        ("reviews", arguments.reviews, read_reviews),
        ("movies", arguments.movies, read_movies),
    ]
    for name, path, read in sources:
        if path:
            texts, labels = read(path)
            measure(f"{name}, floor", floor, texts, labels)
            measure(f"{name}, Emend", emend, texts, labels)
            measure_latency(texts, labels)


if __name__ == "__main__":
    main()
