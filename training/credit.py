"""What each training row did to a classifier's loss on held-out rows; pure.

Credit is by how much the loss would rise without a row, or without all rows of a group: above
zero, they helped. Nothing is trained again. Each row moves the weights by one Newton step from the
optimum (Koh and Liang 2017, "Understanding black-box predictions via influence functions"), divided
by one minus its leverage (Rad and Maleki 2020, "A scalable estimate of the out-of-sample prediction
error via approximate leave-one-out cross-validation"); vocabulary, idf and temperature stay. The
loss that follows is taken to the second order, each held-out row's along its own gradient.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import null_space
from scipy.sparse import csr_array, hstack
from scipy.sparse.linalg import LinearOperator, cg
from scipy.special import log_softmax, softmax

from training.classifiers import (
    CHARACTERS,
    WORDS,
    LinearClassifier,
    count_terms,
    positions_of,
    weigh,
)

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
REPLICATES = 100  # draws: a spread is known to one part in fourteen
PROBES = 200  # a row's leverage is known to about 0.01
TOLERANCE, ROUGH_TOLERANCE = 1e-6, 1e-2  # of the credits; of what only says how sure they are
MOST_ITERATIONS = 1_000
MOST_NUMBERS = 10_000_000  # of right-hand sides that are solved at once
MOST_LEVERAGE = 0.95  # estimates may pass 1, where a row alone would decide
Z = 1.959964  # 95%


class NoCreditError(ValueError):
    """What the rows did cannot be told."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Texts as the model reads them, and the class of each (n,)."""

    texts: Sequence[str]
    target: Indices


@dataclass(frozen=True, eq=False)
class Estimates:
    """Credits with their 95% limits, which say how far they hang on which rows were held out."""

    value: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class Credit:
    """What rows did to `loss`, all in nats a held-out row.

    To the first order, where groups have the sums of their rows: on the holdout as it is, `slope`
    (n,), and on holdouts drawn anew, `replicates` (n, drawn). The mean square of a group's sums of
    `bends` (n, drawn) is the second order.
    """

    loss: float
    slope: Floats
    replicates: Floats
    bends: Floats

    def of(self, shares: csr_array) -> Estimates:
        """Credit groups of rows: `shares` (groups, n) says how much of a row is whose."""
        value = shares @ self.slope + np.mean((shares @ self.bends) ** 2, axis=1) / 2
        half = Z * np.std(shares @ self.replicates, axis=1, ddof=1)
        return Estimates(value, value - half, value + half)


def influence(
    classifier: LinearClassifier,
    rows: Labelled,
    weights: Floats,
    held_out: Labelled,
    *,
    inverse_regularization: float,
    seed: int = 0,
) -> Credit:
    """Credit the rows, weighed (n,) as they were, that the classifier was trained on.

    Raises NoCreditError without held-out rows, or where the equations cannot be solved.
    """
    count = held_out.target.size
    if not count:
        raise NoCreditError("no row is held out")
    chance = np.random.default_rng(seed)
    fitted = _Fitted(classifier, rows, weights, inverse_regularization)
    asked = _features(classifier, held_out.texts)
    log_p = log_softmax(asked @ fitted.theta / classifier.temperature, axis=1)
    slope = (np.exp(log_p) - _one_hot(held_out.target, fitted.classes)) / classifier.temperature
    own = log_p[np.arange(count), held_out.target]
    signs = chance.choice([-1.0, 1.0], size=(count, REPLICATES))
    signs *= np.sqrt(_odds(np.exp(own)) / count)[:, None]
    once = np.full((count, 1), 1 / count)
    drawn = chance.multinomial(count, once[:, 0], size=REPLICATES).T / count
    step = weights / (1 - fitted.leverage(chance))
    return Credit(
        loss=float(-own.mean()),
        slope=step * fitted.response(asked, slope, once, TOLERANCE)[:, 0],
        replicates=step[:, None] * fitted.response(asked, slope, drawn, ROUGH_TOLERANCE),
        bends=step[:, None] * fitted.response(asked, slope, signs, ROUGH_TOLERANCE),
    )


class _Fitted:
    """A classifier at its optimum: the trainer's objective times the sum of the weights."""

    def __init__(
        self, classifier: LinearClassifier, rows: Labelled, weights: Floats, inverse: float
    ) -> None:
        self.classes = len(classifier.labels)
        # Slopes by logit sum to zero: one coordinate less is to be solved for.
        self._basis = null_space(np.ones((1, self.classes)))
        self.theta = np.vstack([classifier.weights.T, classifier.bias])
        self.features = _features(classifier, rows.texts)
        self._transposed = csr_array(self.features.T)
        self._weights, self._penalty = weights, 1 / inverse
        self._p = softmax(self.features @ self.theta, axis=1)
        self._error = self._p - _one_hot(rows.target, self.classes)
        self._p_target = self._p[np.arange(rows.target.size), rows.target]

    def leverage(self, chance: np.random.Generator) -> Floats:
        """Estimate how much of each row's step along its own gradient is the row's own (n,).

        By random signs (Bekas, Kokiopoulou and Saad 2007, "An estimator for the diagonal of a
        matrix").
        """
        signs = chance.choice([-1.0, 1.0], size=(self._weights.size, PROBES))
        signs *= np.sqrt(self._weights * _odds(self._p_target))[:, None]
        found = self.response(self.features, self._error, signs, ROUGH_TOLERANCE)
        return np.asarray((signs * found).mean(axis=1).clip(0, MOST_LEVERAGE), dtype=np.float64)

    def response(
        self, features: csr_array, slope: Floats, drawn: Floats, tolerance: float
    ) -> Floats:
        """Return each row's gradient times the inverse Hessian times other gradients (n, drawn).

        Those are sums over other rows: of `features` (m, f), with the slopes of their loss by logit
        (m, classes), times how often each was drawn (m, drawn).
        """
        size = max(1, MOST_NUMBERS // max(self.theta.size, self._p.size))
        transposed = csr_array(features.T)
        slope, error = slope @ self._basis, self._error @ self._basis
        blocks = []
        for start in range(0, drawn.shape[1], size):
            block = drawn[:, start : start + size, None] * slope[:, None, :]
            solved = self._solve(transposed @ block.reshape(len(slope), -1), tolerance)
            reached = (self.features @ solved).reshape(len(error), -1, self.classes - 1)
            blocks.append(np.einsum("nk,nck->nc", error, reached))
        return np.hstack(blocks)

    def _solve(self, columns: Floats, tolerance: float) -> Floats:
        """Divide columns (f, c * (classes - 1)) by the Hessian, by conjugate gradients."""
        shape = (len(columns), -1, self.classes - 1)
        # All are one system: none may be so small that it is never looked at.
        lengths = np.linalg.norm(columns.reshape(shape), axis=(0, 2), keepdims=True)
        lengths[lengths == 0] = 1
        p = self._p[:, None, :]
        weighed = self._weights[:, None, None] * p

        def curve(flat: Floats) -> Floats:
            reached = (self.features @ flat.reshape(columns.shape)).reshape(len(p), *shape[1:])
            logits = reached @ self._basis.T
            logits = weighed * (logits - (p * logits).sum(axis=2, keepdims=True))
            product = self._transposed @ (logits @ self._basis).reshape(len(p), -1)
            return np.asarray(product.ravel() + self._penalty * flat, dtype=np.float64)

        hessian = LinearOperator((columns.size,) * 2, matvec=curve, dtype=np.float64)
        start = (columns.reshape(shape) / lengths).ravel()
        solved, state = cg(hessian, start, rtol=tolerance, maxiter=MOST_ITERATIONS)
        if state:
            raise NoCreditError("the equations were not solved in time")
        return np.asarray((solved.reshape(shape) * lengths).reshape(columns.shape))


def _features(classifier: LinearClassifier, texts: Sequence[str]) -> csr_array:
    """Return what the classifier sees of texts (n, features + 1); the last column is the bias's."""
    words = count_terms(texts, WORDS, positions_of(classifier.words))
    characters = count_terms(texts, CHARACTERS, positions_of(classifier.characters))
    features = weigh(words, characters, classifier.idf)
    return hstack([features, np.ones((len(texts), 1))], "csr")


def _odds(p: Floats) -> Floats:
    """Return how much rows' losses bend along their slopes, by the probability of each class."""
    return np.asarray(p / np.maximum(1 - p, 1e-12), dtype=np.float64)


def _one_hot(target: Indices, classes: int) -> Floats:
    return np.eye(classes)[target]
