import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from training.classifiers import CHARACTERS, WORDS, count_terms, positions_of, weigh
from training.trainers.classification import (
    ClassifierConfig,
    TrainingDataError,
    fit,
    out_of_fold_probabilities,
)

ROOT = Path(__file__).parents[2]
NAMES = ("negative", "positive")
GOOD = ("great", "lovely", "fresh", "friendly", "perfect")
BAD = ("awful", "stale", "rude", "bland", "slow")
THINGS = ("soup", "service", "bread", "table", "waiter", "wine", "crust")


def make_rows(n=120, seed=1, noise=0.1):
    """Write n sentences whose label is turned in a share of `noise`."""
    generator = np.random.default_rng(seed)
    texts, labels = [], []
    for i in range(n):
        side = i % 2
        adjective, thing = generator.choice((BAD, GOOD)[side]), generator.choice(THINGS)
        texts.append(f"The {thing} was {adjective}, visit {i}.")
        labels.append(NAMES[side ^ (generator.random() < noise)])
    return texts, labels


def train(texts, labels, weights=None, **options):
    config = options.pop("config", ClassifierConfig())
    weights = np.ones(len(texts)) if weights is None else weights
    return fit(texts, labels, weights, **{"label_names": NAMES} | options, config=config)


def test_it_works():
    classifier = train(*make_rows())
    probabilities = classifier.predict_proba(["The soup was lovely.", "The bread was stale."])
    assert probabilities.argmax(axis=1).tolist() == [1, 0]


def test_optimum_equals_scikit_learn():
    texts, labels = make_rows()
    weights = np.random.default_rng(2).random(len(texts)) + 0.1
    ours = train(texts, labels, weights)
    features = weigh(
        count_terms(texts, WORDS, positions_of(ours.words)),
        count_terms(texts, CHARACTERS, positions_of(ours.characters)),
        ours.idf,
    ).toarray()
    # A column of ones is a penalised bias. scikit-learn's binary loss has one weight per feature
    # where the multinomial has two that mirror each other: half the weight, twice the penalty.
    features = np.hstack([features, np.ones((len(texts), 1))])
    reference = LogisticRegression(C=20, fit_intercept=False, tol=1e-10, max_iter=10_000)
    reference.fit(features, labels, sample_weight=weights)
    assert ours.weights[1] - ours.weights[0] == pytest.approx(reference.coef_[0, :-1], abs=1e-4)
    assert ours.bias[1] - ours.bias[0] == pytest.approx(reference.coef_[0, -1], abs=1e-4)
    assert ours.weights[0] == pytest.approx(-ours.weights[1], abs=1e-9)


def test_same_rows_give_the_same_bits():
    rows = make_rows()
    assert train(*rows).weights_hash == train(*rows).weights_hash


def test_another_process_gives_the_same_bits():
    code = (
        "from tests.training.test_trainer_classification import make_rows, train;"
        "print(train(*make_rows()).weights_hash)"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)
    assert result.stdout.decode().strip() == train(*make_rows()).weights_hash


def test_torch_settings_do_not_matter_and_are_put_back():
    rows = make_rows()
    expected = train(*rows).weights_hash
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        torch.use_deterministic_algorithms(True, warn_only=True)
        assert train(*rows).weights_hash == expected
        assert torch.get_num_threads() == 2
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)


def test_fits_beside_each_other_give_the_same_bits():
    rows, hashes = make_rows(), []
    threads = [
        threading.Thread(target=lambda: hashes.append(train(*rows).weights_hash)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hashes == [train(*rows).weights_hash] * 2


def test_a_heavy_row_wins_a_contradiction():
    texts, labels = make_rows(60, noise=0)
    texts += ["The oysters were unusual."] * 2
    labels += ["positive", "negative"]
    weights = np.r_[np.ones(60), 5.0, 0.5]
    assert train(texts, labels, weights).predict_proba(texts[-1:]).argmax() == 1
    assert train(texts, labels, weights[[*range(60), 61, 60]]).predict_proba(texts[-1:])[0, 1] < 0.5


def test_three_labels_and_one_without_rows():
    texts, labels = make_rows(60, noise=0)
    names = ("negative", "unused", "positive")
    classifier = train(texts, labels, label_names=names)
    probabilities = classifier.predict_proba(["The wine was perfect."])[0]
    assert probabilities.argmax() == 2
    assert 0 < probabilities[1] < 0.2


def log_loss(probabilities, truth):
    return -np.mean(np.log(probabilities[np.arange(truth.size), truth]))


def test_temperature_helps_unseen_rows():
    classifier = train(*make_rows(400, noise=0.25))
    texts, labels = make_rows(400, seed=9, noise=0.25)
    truth = np.array([NAMES.index(label) for label in labels])
    probabilities = classifier.predict_proba(texts)
    raw = probabilities**classifier.temperature
    raw /= raw.sum(axis=1, keepdims=True)
    assert classifier.temperature > 1
    assert log_loss(probabilities, truth) < log_loss(raw, truth)


def test_out_of_fold_rows_are_judged_unseen():
    texts, labels = make_rows(200, noise=0.2)
    truth = np.array([NAMES.index(label) for label in labels])
    config = ClassifierConfig()
    unseen = out_of_fold_probabilities(
        texts, labels, np.ones(200), label_names=NAMES, config=config
    )
    seen = train(texts, labels).predict_proba(texts)
    assert unseen.sum(axis=1) == pytest.approx(1)
    assert np.mean(unseen.argmax(axis=1) == truth) > 0.7
    assert log_loss(unseen, truth) > log_loss(seen, truth)


def test_twins_never_leak_into_their_own_judgement():
    texts, labels = make_rows(60, noise=0)
    # A word of its own, labelled against the rest: only a twin could teach it.
    texts += ["Zyzzyva zyzzyva zyzzyva."] * 6
    labels += ["positive"] * 6
    probabilities = out_of_fold_probabilities(
        texts, labels, np.ones(66), label_names=NAMES, config=ClassifierConfig()
    )
    assert probabilities[60:, 1].max() < 0.75


def test_progress_grows_to_one():
    heard = []
    train(*make_rows(40), on_progress=heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == 1
    assert len(heard) == 6


@pytest.mark.parametrize("texts", [["good", "bad"], ["same", "same"], ["!", "?"], ["🍮", "好"]])
def test_two_rows_are_enough(texts):
    classifier = train(texts, list(NAMES))
    assert np.isfinite(classifier.predict_proba(texts)).all()


@pytest.mark.parametrize(
    ("texts", "labels", "weights", "message"),
    [
        ([], [], [], "no rows"),
        (["a"], ["positive", "negative"], [1, 1], "differ in number"),
        (["a", "b"], ["positive", "positive"], [1, 1], "every row is labelled positive"),
        (["a", "b"], ["positive", "great"], [1, 1], "does not name: great"),
        (["a", "b"], ["positive", "negative"], [1, 0], "weight"),
        (["a", "b"], ["positive", "negative"], [1, float("nan")], "weight"),
        ([" ", ""], ["positive", "negative"], [1, 1], "single term"),
    ],
)
def test_rows_that_cannot_train_are_refused(texts, labels, weights, message):
    for train_by in (fit, out_of_fold_probabilities):
        with pytest.raises(TrainingDataError, match=message):
            train_by(texts, labels, weights, label_names=NAMES, config=ClassifierConfig())


def test_a_label_named_twice_is_refused():
    with pytest.raises(TrainingDataError, match="named twice"):
        train(*make_rows(10), label_names=(*NAMES, "positive"))
