"""What a crowd says of many answers, settled against models that learn from what it says; pure.

Whom to trust follows from what models think of each item, and what they think from whom they
trust: a few rounds settle it (methods: trust in contributors).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.sparse import csr_array, hstack
from sklearn.feature_extraction.text import CountVectorizer

from feedback.trust import SILENT, Exposures, Floats, Indices, Scores, score

# Texts, labels and weights (n,) in; probabilities (n, labels) of models that saw no such text out.
OutOfFold: TypeAlias = Callable[[Sequence[str], Indices, Floats], Floats]
ROUNDS = 3
FIRST_SILENCE = 0.3  # what silence weighs until it is known how people react
LEAST_HONESTY = 0.5  # who is less likely honest is not learnt from
ASKED_WEIGHT = 1e-6  # of a row that is there to be asked about, not to teach
FEWEST_TEXTS, MOST_WORDS, PERIODS = 30, 2_000, 4


@dataclass(frozen=True, eq=False)
class Crowd:
    """Who was shown which answer, and what they said of it: n exposures of m texts.

    Indices as in feedback.trust.Exposures; texts are in the order in which they were first shown.
    `starting` are texts whose labels are known.
    """

    texts: Sequence[str]
    contributor: Indices
    item: Indices
    shown: Indices
    said: Indices
    known: Indices
    contributors: int
    starting: Sequence[tuple[str, int]] = ()


def settle(crowd: Crowd, out_of_fold: OutOfFold) -> Scores:
    """Score the crowd's contributors."""
    # Some attack one subject, others are honest at first: both are wrong about a part of the items.
    about = hstack([words_of(crowd.texts), periods_of(len(crowd.texts))], format="csr")
    honesty, silence = np.ones(crowd.contributors), FIRST_SILENCE
    for _ in range(ROUNDS):
        likely = _likely(crowd, out_of_fold, honesty, silence)
        scores = score(
            Exposures(
                contributor=crowd.contributor,
                item=crowd.item,
                about=about,
                shown=crowd.shown,
                said=crowd.said,
                likely=likely,
                known=crowd.known,
            ),
            crowd.contributors,
        )
        honesty, silence = scores.honesty, scores.regime.silence_weight
    return scores


def _likely(crowd: Crowd, out_of_fold: OutOfFold, honesty: Floats, silence: float) -> Floats:
    """Return what models think of each text (m, labels) that did not learn from it."""
    is_silent = crowd.said == SILENT
    label = np.where(is_silent, crowd.shown, crowd.said)
    trusted = np.where(honesty < LEAST_HONESTY, 0.0, honesty)[crowd.contributor]
    weight = trusted * np.where(is_silent, silence, 1.0)
    is_heard = (weight > 0) & (label >= 0)
    # One row for all who said the same of a text; a text that nobody said anything of is asked
    # about all the same.
    said, place = np.unique(
        np.stack([crowd.item[is_heard], label[is_heard]], axis=1), axis=0, return_inverse=True
    )
    asked = np.setdiff1d(np.arange(len(crowd.texts)), said[:, 0])
    item = np.concatenate([said[:, 0], asked])
    shown = np.zeros(len(crowd.texts), dtype=np.intp)
    shown[crowd.item] = crowd.shown
    starting = np.array([label for _, label in crowd.starting], dtype=np.intp)
    found = out_of_fold(
        [*(text for text, _ in crowd.starting), *(crowd.texts[i] for i in item)],
        np.concatenate([starting, said[:, 1], shown[asked]]),
        np.concatenate(
            [
                np.ones(starting.size),
                np.bincount(place.ravel(), weight[is_heard]),
                np.full(asked.size, ASKED_WEIGHT),
            ]
        ),
    )[starting.size :]
    likely = np.empty((len(crowd.texts), found.shape[1]))
    likely[item] = found  # rows of one text are of one fold, and have the same probabilities
    return likely


def words_of(texts: Sequence[str]) -> csr_array:
    """Return which texts have which of the words that many have (m, words): 1 or 0."""
    words = CountVectorizer(binary=True, min_df=FEWEST_TEXTS, max_features=MOST_WORDS)
    try:
        return csr_array(words.fit_transform(texts))
    except ValueError:  # no word is in so many
        return csr_array((len(texts), 0))


def periods_of(count: int) -> csr_array:
    """Return which quarter of the time each text was first shown in (m, 4)."""
    period = np.arange(count) * PERIODS // max(count, 1)
    return csr_array(period[:, None] == np.arange(PERIODS), dtype=np.int64)
