"""Train the built-in classifier: convex, deterministic, bit-identical on every rerun.

Multinomial logistic regression on TF-IDF features, fitted by L-BFGS in float64 on one thread, then
temperature scaling (Guo et al. 2017, "On calibration of modern neural networks").
"""

import hashlib
import platform
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_array
from scipy.special import logsumexp, softmax

from training.classifiers import (
    CHARACTERS,
    WORDS,
    Analyzer,
    LinearClassifier,
    count_terms,
    positions_of,
    weigh,
)

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Progress = Callable[[float], None]

MAXIMUM_ITERATIONS = 500
GRADIENT_TOLERANCE = 1e-7
LOG_TEMPERATURE_BOUNDS = (-3.0, 3.0)

# torch's threads and determinism are settings of the whole process.
_torch_settings = threading.RLock()


class TrainingDataError(ValueError):
    """The rows cannot train a classifier."""


def environment() -> dict[str, str]:
    """Return what the bits of the weights may depend on beside data, code, config and seed."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": "1",
    }


@dataclass(frozen=True)
class ClassifierConfig:
    """Set the trainer: `inverse_regularization` is C, `folds` and `seed` are for calibration."""

    inverse_regularization: float = 10.0
    folds: int = 5
    seed: int = 0


@dataclass(frozen=True)
class _Rows:
    """Hold what the caller gave."""

    texts: Sequence[str]
    labels: Sequence[str]
    weights: Sequence[float] | Floats
    label_names: Sequence[str]

    def require_trainable(self) -> None:
        if not self.texts:
            raise TrainingDataError("there are no rows to train on")
        if not len(self.texts) == len(self.labels) == len(self.weights):
            raise TrainingDataError("texts, labels and weights differ in number")
        if len(set(self.label_names)) != len(self.label_names):
            raise TrainingDataError("a label is named twice")
        unknown = sorted(set(self.labels) - set(self.label_names))
        if unknown:
            message = f"labels that the task does not name: {', '.join(unknown)}"
            raise TrainingDataError(message)
        if len(set(self.labels)) == 1:
            message = f"every row is labelled {self.labels[0]}: nothing to tell apart"
            raise TrainingDataError(message)
        if not all(0 < weight < float("inf") for weight in self.weights):
            raise TrainingDataError("a weight is not above zero and finite")


@dataclass(frozen=True)
class _Data:
    """Hold rows as counts; `target` is each row's class, `classes` how many there are."""

    words: csr_array
    characters: csr_array
    target: Indices
    weights: Floats
    classes: int

    def idf(self, rows: Indices) -> Floats:
        """Compute smooth inverse document frequency (features,) over `rows`; 0 where unseen."""
        seen = [
            np.bincount(block[rows].indices, minlength=block.shape[1])
            for block in (self.words, self.characters)
        ]
        frequency = np.concatenate(seen)
        return np.where(frequency > 0, np.log((1 + rows.size) / (1 + frequency)) + 1, 0.0)

    def features(self, rows: Indices, idf: Floats) -> csr_array:
        return weigh(self.words[rows], self.characters[rows], idf)


def fit(
    texts: Sequence[str],
    labels: Sequence[str],
    weights: Sequence[float] | Floats,
    *,
    label_names: Sequence[str],
    config: ClassifierConfig,
    on_progress: Progress = lambda _fraction: None,
) -> LinearClassifier:
    """Fit a calibrated classifier to n weighted rows, in the order given.

    A name in `label_names` without a row is kept and gets a low probability. `on_progress` hears
    the share done, from 0 to 1. Raises TrainingDataError for no rows, rows of a single label,
    labels not in `label_names`, weights that are not above zero, and texts without any term.
    """
    words, characters = _vocabulary(texts, WORDS), _vocabulary(texts, CHARACTERS)
    data = _prepare(_Rows(texts, labels, weights, label_names), words, characters)
    everything = np.arange(len(texts))
    idf = data.idf(everything)
    matrix, bias = _fit_logistic(data, everything, idf, config.inverse_regularization)
    on_progress(1 / (config.folds + 1))
    folds = _folds(texts, data.target, config)
    logits = _out_of_fold_logits(data, folds, config, on_progress)
    temperature = 1.0
    if _held_out_temperatures(logits, data, folds) is not None:
        temperature = _best_temperature(logits, data.target, data.weights)
    return LinearClassifier(tuple(label_names), words, characters, idf, matrix, bias, temperature)


def out_of_fold_probabilities(
    texts: Sequence[str],
    labels: Sequence[str],
    weights: Sequence[float] | Floats,
    *,
    label_names: Sequence[str],
    config: ClassifierConfig,
) -> Floats:
    """Compute each row's probabilities (n, classes) by a model that saw neither row nor twin.

    Temperatures too come from the other folds. Raises TrainingDataError as `fit` does.
    """
    words, characters = _vocabulary(texts, WORDS), _vocabulary(texts, CHARACTERS)
    data = _prepare(_Rows(texts, labels, weights, label_names), words, characters)
    folds = _folds(texts, data.target, config)
    logits = _out_of_fold_logits(data, folds, config, lambda _fraction: None)
    temperatures = _held_out_temperatures(logits, data, folds)
    if temperatures is not None:
        logits = logits / temperatures[:, None]
    return np.asarray(softmax(logits, axis=1), dtype=np.float64)


def _vocabulary(texts: Sequence[str], analyzer: Analyzer) -> tuple[str, ...]:
    return tuple(sorted({term for text in texts for term in analyzer(text)}))


def _prepare(rows: _Rows, words: tuple[str, ...], characters: tuple[str, ...]) -> _Data:
    rows.require_trainable()
    if not characters:
        raise TrainingDataError("no text holds a single term")
    class_of = positions_of(rows.label_names)
    return _Data(
        count_terms(rows.texts, WORDS, positions_of(words)),
        count_terms(rows.texts, CHARACTERS, positions_of(characters)),
        np.array([class_of[label] for label in rows.labels], dtype=np.intp),
        np.array(rows.weights, dtype=np.float64),
        len(rows.label_names),
    )


def _folds(texts: Sequence[str], target: Indices, config: ClassifierConfig) -> Indices:
    """Deal the rows (n,) into folds, balanced by class; equal texts share a fold.

    The order within a class is by hash, so that the order of rows changes no fold.
    """
    first_class: dict[str, int] = {}
    for text, row_class in zip(texts, target.tolist(), strict=True):
        first_class[text] = min(row_class, first_class.get(text, row_class))
    dealt = sorted(first_class, key=lambda text: (first_class[text], _shuffled(text, config.seed)))
    fold_of = {text: place % config.folds for place, text in enumerate(dealt)}
    return np.array([fold_of[text] for text in texts], dtype=np.intp)


def _shuffled(text: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{text}".encode()).digest()


def _out_of_fold_logits(
    data: _Data, folds: Indices, config: ClassifierConfig, on_progress: Progress
) -> Floats:
    logits = np.zeros((data.target.size, data.classes))
    for fold in range(config.folds):
        held_out, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        # Fewer distinct texts than folds: an empty fold, or nothing left to learn from.
        if held_out.size and rest.size:
            idf = data.idf(rest)
            matrix, bias = _fit_logistic(data, rest, idf, config.inverse_regularization)
            logits[held_out] = data.features(held_out, idf) @ matrix.T + bias
        on_progress((fold + 2) / (config.folds + 1))
    return logits


def _held_out_temperatures(logits: Floats, data: _Data, folds: Indices) -> Floats | None:
    """Give each row the temperature (n,) that suits the other folds; None if that helps nobody."""
    temperatures = np.ones(data.target.size)
    for fold in np.unique(folds):
        held_out = folds == fold
        rest = ~held_out
        if rest.any():
            temperatures[held_out] = _best_temperature(
                logits[rest], data.target[rest], data.weights[rest]
            )
    scaled = _negative_log_likelihood(logits / temperatures[:, None], data.target, data.weights)
    is_better = scaled < _negative_log_likelihood(logits, data.target, data.weights)
    return temperatures if is_better else None


def _best_temperature(logits: Floats, target: Indices, weights: Floats) -> float:
    def loss(log_temperature: float) -> float:
        return _negative_log_likelihood(logits / np.exp(log_temperature), target, weights)

    found = minimize_scalar(loss, bounds=LOG_TEMPERATURE_BOUNDS, method="bounded")
    return float(np.exp(found.x))


def _negative_log_likelihood(logits: Floats, target: Indices, weights: Floats) -> float:
    chosen = logits[np.arange(target.size), target]
    return float(np.sum(weights * (logsumexp(logits, axis=1) - chosen)))


def _fit_logistic(
    data: _Data, rows: Indices, idf: Floats, inverse_regularization: float
) -> tuple[Floats, Floats]:
    """Minimise the penalised log loss; gives weights (classes, features) and bias (classes,).

    The bias is penalised too: that makes the optimum unique, and finite for an absent label.
    """
    with _reproducible_torch():
        features = data.features(rows, idf)
        forward, backward = _sparse(features), _sparse(csr_array(features.T))
        share = torch.tensor(data.weights[rows] / data.weights[rows].sum())[:, None]
        truth = torch.nn.functional.one_hot(torch.tensor(data.target[rows]), data.classes)
        penalty = 1 / (inverse_regularization * float(data.weights[rows].sum()))
        # One tensor (features + 1, classes): the last row is the bias.
        theta = torch.zeros(features.shape[1] + 1, data.classes, dtype=torch.float64)

        def loss_and_gradient() -> float:
            log_p = torch.log_softmax(forward @ theta[:-1] + theta[-1], dim=1)
            error = share * (log_p.exp() - truth)
            theta.grad = penalty * theta
            theta.grad[:-1] += backward @ error
            theta.grad[-1] += error.sum(dim=0)
            fit_loss = -(share * truth * log_p).sum()
            return float(fit_loss + penalty / 2 * (theta * theta).sum())

        optimizer = torch.optim.LBFGS(
            [theta],
            max_iter=MAXIMUM_ITERATIONS,
            tolerance_grad=GRADIENT_TOLERANCE,
            tolerance_change=0,
            history_size=10,
            line_search_fn="strong_wolfe",
        )
        optimizer.step(loss_and_gradient)  # type: ignore[no-untyped-call]  # torch
    return np.ascontiguousarray(theta[:-1].numpy().T), theta[-1].numpy().copy()


def _sparse(matrix: csr_array) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        # Copied by torch, so that all memory is aligned alike and sums round alike.
        return torch.sparse_csr_tensor(
            torch.tensor(matrix.indptr, dtype=torch.int32),
            torch.tensor(matrix.indices, dtype=torch.int32),
            torch.tensor(matrix.data, dtype=torch.float64),
            size=matrix.shape,
            check_invariants=False,
        )


@contextmanager
def _reproducible_torch() -> Iterator[None]:
    """Use one thread and deterministic algorithms, then put back what was set."""
    with _torch_settings:
        threads = torch.get_num_threads()
        is_deterministic = torch.are_deterministic_algorithms_enabled()
        is_warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(mode=True)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(is_deterministic, warn_only=is_warn_only)
