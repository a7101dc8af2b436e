"""The built-in text classifier as it is served: numpy and scipy, no torch."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save
from scipy.sparse import csr_array, hstack
from scipy.special import softmax
from sklearn.feature_extraction.text import CountVectorizer

Floats = NDArray[np.float64]
Analyzer = Callable[[str], list[str]]

ONE_WORD = r"(?u)\b\w+\b"  # words of one letter too: "I", "5"
WORDS: Analyzer = CountVectorizer(ngram_range=(1, 2), token_pattern=ONE_WORD).build_analyzer()
CHARACTERS: Analyzer = CountVectorizer(analyzer="char_wb", ngram_range=(2, 5)).build_analyzer()


class DamagedClassifierError(ValueError):
    """A stored classifier cannot be read back."""


# No repr: a vocabulary is training data, and must not reach a log.
@dataclass(frozen=True, eq=False, repr=False)
class LinearClassifier:
    """Classify texts by TF-IDF over word 1-2 and in-word character 2-5 grams.

    `idf` is (features,): word features first, then characters, each in its vocabulary's order.
    `weights` is (classes, features), `bias` (classes,); logits are divided by `temperature`.
    """

    labels: tuple[str, ...]
    words: tuple[str, ...]
    characters: tuple[str, ...]
    idf: Floats
    weights: Floats
    bias: Floats
    temperature: float

    def predict_proba(self, texts: Sequence[str]) -> Floats:
        """Compute the calibrated probabilities (n, classes), in the order of `labels`."""
        words, characters = self._positions
        features = weigh(
            count_terms(texts, WORDS, words), count_terms(texts, CHARACTERS, characters), self.idf
        )
        logits = features @ self._weights_by_feature + self.bias
        return np.asarray(softmax(logits / self.temperature, axis=1), dtype=np.float64)

    @cached_property
    def weights_hash(self) -> str:
        """Return the SHA-256 of `to_bytes()`, 64 hexadecimal digits."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Write one safetensors file; equal classifiers give equal bytes."""
        return save(
            {
                "labels": _as_tensor(self.labels),
                "words": _as_tensor(self.words),
                "characters": _as_tensor(self.characters),
                "idf": self.idf,
                # The file holds memory as it lies.
                "weights": np.ascontiguousarray(self.weights),
                "bias": self.bias,
                "temperature": np.array([self.temperature]),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "LinearClassifier":
        """Read what `to_bytes` wrote; raises DamagedClassifierError for anything else."""
        try:
            tensors = load(data)
            classifier = cls(
                labels=_as_terms(tensors["labels"]),
                words=_as_terms(tensors["words"]),
                characters=_as_terms(tensors["characters"]),
                idf=tensors["idf"],
                weights=tensors["weights"],
                bias=tensors["bias"],
                temperature=float(tensors["temperature"].item()),
            )
        except KeyError as error:
            message = f"the classifier file lacks {error}"
            raise DamagedClassifierError(message) from error
        except (SafetensorError, ValueError) as error:
            message = f"not a classifier file: {error}"
            raise DamagedClassifierError(message) from error
        classifier._require_sound()
        return classifier

    def _require_sound(self) -> None:
        classes, features = len(self.labels), len(self.words) + len(self.characters)
        shapes = {"idf": (features,), "weights": (classes, features), "bias": (classes,)}
        for name, shape in shapes.items():
            tensor = getattr(self, name)
            if tensor.dtype != np.float64 or tensor.shape != shape:
                message = f"{name} is {tensor.dtype} {tensor.shape}, not float64 {shape}"
                raise DamagedClassifierError(message)
            if not np.isfinite(tensor).all():
                message = f"{name} holds a number that is not finite"
                raise DamagedClassifierError(message)
        if not 0 < self.temperature < np.inf:
            raise DamagedClassifierError("the temperature is not above zero")

    @cached_property
    def _positions(self) -> tuple[dict[str, int], dict[str, int]]:
        return positions_of(self.words), positions_of(self.characters)

    @cached_property
    def _weights_by_feature(self) -> Floats:
        # A product with the transposed view would copy all weights for each text.
        return np.ascontiguousarray(self.weights.T)


def positions_of(terms: Sequence[str]) -> dict[str, int]:
    """Map each term to its column."""
    return {term: column for column, term in enumerate(terms)}


def count_terms(
    texts: Sequence[str], analyzer: Analyzer, positions: Mapping[str, int]
) -> csr_array:
    """Count known terms: a sparse matrix (n, terms); unknown terms are left out."""
    columns: list[int] = []
    counts: list[int] = []
    ends = [0]
    for text in texts:
        known = Counter(positions[term] for term in analyzer(text) if term in positions)
        # Sorted columns fix the order of every later sum.
        for column in sorted(known):
            columns.append(column)
            counts.append(known[column])
        ends.append(len(columns))
    shape = (len(texts), len(positions))
    return csr_array((np.array(counts, dtype=np.float64), columns, ends), shape=shape)


def weigh(words: csr_array, characters: csr_array, idf: Floats) -> csr_array:
    """Turn counts into TF-IDF features (n, features), each of the two blocks of unit length.

    Term frequency is 1 + ln(count). A column with idf 0 takes no part.
    """
    split = words.shape[1]
    return hstack([_weigh_block(words, idf[:split]), _weigh_block(characters, idf[split:])], "csr")


def _weigh_block(counts: csr_array, idf: Floats) -> csr_array:
    values = (1 + np.log(counts.data)) * idf[counts.indices]
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    lengths = np.sqrt(np.bincount(rows, weights=values**2, minlength=counts.shape[0]))
    lengths[lengths == 0] = 1
    return csr_array((values / lengths[rows], counts.indices, counts.indptr), shape=counts.shape)


def _as_tensor(terms: Sequence[str]) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(terms, ensure_ascii=False).encode(), dtype=np.uint8)


def _as_terms(tensor: NDArray[np.uint8]) -> tuple[str, ...]:
    terms = json.loads(tensor.tobytes().decode())
    if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
        raise ValueError("a vocabulary is not a list of strings")
    if len(set(terms)) != len(terms):
        raise ValueError("a vocabulary names a term twice")
    return tuple(terms)
