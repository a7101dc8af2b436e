import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save
from sklearn.feature_extraction.text import TfidfVectorizer

from training.classifiers import (
    CHARACTERS,
    WORDS,
    DamagedClassifierError,
    LinearClassifier,
    count_terms,
    positions_of,
    weigh,
)

ROOT = Path(__file__).parents[2]
TEXTS = ["Loved this place!", "Crust is not good.", "Wow, wow: Crème brûlée 好吃 🍮", "I x y"]


def vocabulary(analyzer):
    return tuple(sorted({term for text in TEXTS for term in analyzer(text)}))


@pytest.fixture
def classifier():
    words, characters = vocabulary(WORDS), vocabulary(CHARACTERS)
    features = len(words) + len(characters)
    generator = np.random.default_rng(1)
    return LinearClassifier(
        labels=("negative", "neutral", "positive"),
        words=words,
        characters=characters,
        idf=1 + generator.random(features),
        weights=generator.normal(size=(3, features)),
        bias=generator.normal(size=3),
        temperature=1.5,
    )


def test_it_works(classifier):
    probabilities = classifier.predict_proba(TEXTS)
    assert probabilities.shape == (4, 3)
    assert probabilities.dtype == np.float64
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert np.ptp(probabilities, axis=0).min() > 0


def test_features_equal_scikit_learn(classifier):
    split = len(classifier.words)
    reference = []
    for terms, idf, options in (
        (
            classifier.words,
            classifier.idf[:split],
            {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"},
        ),
        (
            classifier.characters,
            classifier.idf[split:],
            {"analyzer": "char_wb", "ngram_range": (2, 5)},
        ),
    ):
        vectorizer = TfidfVectorizer(vocabulary=terms, sublinear_tf=True, **options)
        vectorizer.idf_ = idf
        reference.append(vectorizer.transform(TEXTS).toarray())
    features = weigh(
        count_terms(TEXTS, WORDS, positions_of(classifier.words)),
        count_terms(TEXTS, CHARACTERS, positions_of(classifier.characters)),
        classifier.idf,
    )
    assert features.toarray() == pytest.approx(np.hstack(reference))


def test_a_text_alone_is_judged_as_in_a_batch(classifier):
    alone = np.vstack([classifier.predict_proba([text]) for text in TEXTS])
    assert np.array_equal(alone, classifier.predict_proba(TEXTS))


def test_a_text_without_known_terms_falls_back_on_the_bias(classifier):
    logits = classifier.bias / classifier.temperature
    expected = np.exp(logits) / np.exp(logits).sum()
    for text in ("", "   ", "ЖЖЖ"):
        assert classifier.predict_proba([text])[0] == pytest.approx(expected)


def test_no_texts_give_no_rows(classifier):
    assert classifier.predict_proba([]).shape == (0, 3)


def test_bytes_round_trip(classifier):
    again = LinearClassifier.from_bytes(classifier.to_bytes())
    assert again.words == classifier.words
    assert again.characters == classifier.characters
    assert again.labels == classifier.labels
    assert np.array_equal(again.predict_proba(TEXTS), classifier.predict_proba(TEXTS))


def test_equal_classifiers_have_equal_hashes(classifier):
    again = LinearClassifier.from_bytes(classifier.to_bytes())
    assert again.to_bytes() == classifier.to_bytes()
    assert again.weights_hash == classifier.weights_hash
    assert len(again.weights_hash) == 64


def test_memory_layout_does_not_reach_the_bytes(classifier):
    turned = replace(classifier, weights=np.asfortranarray(classifier.weights))
    assert turned.to_bytes() == classifier.to_bytes()


def test_vocabulary_stays_out_of_logs(classifier):
    assert "crust" not in repr(classifier)


def test_each_part_changes_the_hash(classifier):
    changed = [
        replace(classifier, labels=("a", "b", "c")),
        replace(classifier, words=("!", *classifier.words[1:])),
        replace(classifier, bias=classifier.bias + 1e-12),
        replace(classifier, temperature=1.6),
    ]
    hashes = {each.weights_hash for each in [classifier, *changed]}
    assert len(hashes) == 5


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 100, -1])
def test_a_cut_file_is_refused(classifier, cut):
    with pytest.raises(DamagedClassifierError, match="not a classifier file"):
        LinearClassifier.from_bytes(classifier.to_bytes()[:cut])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("weights", np.zeros((3, 2)), "weights is float64"),
        ("weights", None, "lacks 'weights'"),
        ("idf", np.zeros(3, dtype=np.float32), "idf is float32"),
        ("bias", np.array([0.0, np.nan, 0.0]), "not finite"),
        ("temperature", np.array([0.0]), "temperature"),
        ("temperature", np.array([1.0, 2.0]), "not a classifier file"),
        ("labels", np.frombuffer(b"{}", dtype=np.uint8), "list of strings"),
        ("labels", np.frombuffer(b"\xff", dtype=np.uint8), "not a classifier file"),
        ("labels", np.frombuffer(b'["a","a","b"]', dtype=np.uint8), "twice"),
    ],
)
def test_a_wrong_part_is_refused(classifier, name, value, message):
    tensors = load(classifier.to_bytes())
    if value is None:
        del tensors[name]
    else:
        tensors[name] = value
    with pytest.raises(DamagedClassifierError, match=message):
        LinearClassifier.from_bytes(save(tensors))


def test_one_text_takes_milliseconds(classifier):
    text = "The service was slow, but the soup made up for it and we will come back. " * 2
    classifier.predict_proba([text])
    seconds = []
    for _ in range(50):
        start = time.perf_counter()
        classifier.predict_proba([text])
        seconds.append(time.perf_counter() - start)
    assert np.median(seconds) < 0.005


def test_serving_loads_no_torch():
    code = "import sys, training.classifiers; sys.exit('torch' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT)
    assert finished.returncode == 0
