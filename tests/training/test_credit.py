"""Credit of rows against classifiers that were trained without them."""

import numpy as np
import pytest
from scipy.sparse import csr_array, eye_array

from tests.training.builders import BAD, GOOD, THINGS, sentences
from training.classifiers import LinearClassifier
from training.credit import Labelled, NoCreditError, influence
from training.trainers import classification

CONFIG = classification.ClassifierConfig(folds=2)
N, WRONG = 160, 12
LABELS = ("bad", "good", "so-so")
MIDDLING = ["average", "plain", "usual", "common", "fair", "decent"]
PLACES = [*THINGS, "garden", "menu", "music", "chair", "table", "salad"]


class Trial:
    """Sentences of three labels, a few wrong, with weights of their own."""

    def __init__(self):
        chance = np.random.default_rng(3)
        texts = [sentences(words, PLACES) for words in (BAD, GOOD, MIDDLING)]
        corpus = [(text, label) for label, found in enumerate(texts) for text in found]
        order = chance.permutation(len(corpus))
        train, held_out = order[:N], order[N:]
        self.texts = [corpus[n][0] for n in train]
        self.target = np.array([corpus[n][1] for n in train])
        self.target[:WRONG] = (self.target[:WRONG] + 1) % 3
        self.weights = chance.uniform(0.2, 1.0, N)
        self.held_out = Labelled(
            [corpus[n][0] for n in held_out], np.array([corpus[n][1] for n in held_out])
        )
        self.classifier = classification.fit(
            self.texts,
            [LABELS[label] for label in self.target],
            self.weights,
            label_names=LABELS,
            config=CONFIG,
        )

    def credit(self, held_out=None):
        return influence(
            self.classifier,
            Labelled(self.texts, self.target),
            self.weights,
            self.held_out if held_out is None else held_out,
            inverse_regularization=CONFIG.inverse_regularization,
        )

    def loss_without(self, rows):
        """Train by the trainer's own objective, with vocabulary, idf and temperature kept."""
        of, rest = self.classifier, np.setdiff1d(np.arange(N), rows)
        names = [LABELS[label] for label in self.target]
        data = classification._prepare(
            classification._Rows(self.texts, names, self.weights, LABELS), of.words, of.characters
        )
        fitted = classification._fit_logistic(data, rest, of.idf, CONFIG.inverse_regularization)
        without = LinearClassifier(
            of.labels, of.words, of.characters, of.idf, *fitted, of.temperature
        )
        p = without.predict_proba(self.held_out.texts)
        return -np.log(p[np.arange(p.shape[0]), self.held_out.target]).mean()


@pytest.fixture(scope="module")
def trial():
    return Trial()


@pytest.fixture(scope="module")
def credit(trial):
    return trial.credit()


def of_rows(credit):
    return credit.of(eye_array(N, format="csr")).value


def test_it_works(trial, credit):
    """Credit is by how much the loss rises when the trainer never sees the row."""
    chosen = np.arange(0, N, 5)
    exact = np.array([trial.loss_without([row]) for row in chosen]) - trial.loss_without([])
    assert np.corrcoef(exact, of_rows(credit)[chosen])[0, 1] >= 0.99
    assert np.polyfit(of_rows(credit)[chosen], exact, 1)[0] == pytest.approx(1, abs=0.1)


def test_a_group_is_credited_as_if_all_of_it_were_left_out(trial, credit):
    groups = np.arange(N) % 8
    exact = np.array([trial.loss_without(np.flatnonzero(groups == n)) for n in range(8)])
    found = credit.of(csr_array((np.ones(N), (groups, np.arange(N))))).value
    assert np.corrcoef(exact, found)[0, 1] >= 0.97


def test_the_loss_is_what_the_classifier_itself_loses(trial, credit):
    p = trial.classifier.predict_proba(trial.held_out.texts)
    lost = -np.log(p[np.arange(p.shape[0]), trial.held_out.target]).mean()
    assert credit.loss == pytest.approx(lost, rel=1e-9)


def test_what_was_labelled_wrong_did_harm(credit):
    assert of_rows(credit)[:WRONG].sum() < 0 < of_rows(credit)[WRONG:].sum()


def test_limits_hold_what_another_holdout_says(trial):
    """What a row did by either half of the holdout lies within what limits say of both."""
    half = trial.held_out.target.size // 2
    sides = [
        Labelled(trial.held_out.texts[chosen], trial.held_out.target[chosen])
        for chosen in (slice(half), slice(half, None))
    ]
    first, second = (trial.credit(held_out=side).of(eye_array(N, format="csr")) for side in sides)
    spread = np.hypot(first.high - first.low, second.high - second.low) / 2
    assert 0.8 < np.mean(np.abs(first.value - second.value) < spread) < 1


def test_the_same_seed_gives_the_same_limits(trial, credit):
    assert np.array_equal(trial.credit().replicates, credit.replicates)


def test_solving_in_blocks_changes_nothing(trial, credit, monkeypatch):
    monkeypatch.setattr("training.credit.MOST_NUMBERS", 30 * trial.classifier.weights.size)
    assert np.corrcoef(trial.credit().slope, credit.slope)[0, 1] > 0.999


def test_without_a_holdout_nothing_can_be_told(trial):
    with pytest.raises(NoCreditError, match="held out"):
        trial.credit(held_out=Labelled([], np.array([], dtype=np.intp)))


def test_equations_that_take_too_long_are_no_answer(trial, monkeypatch):
    monkeypatch.setattr("training.credit.MOST_ITERATIONS", 1)
    with pytest.raises(NoCreditError, match="not solved"):
        trial.credit()
