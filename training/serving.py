"""Answers from the served model; each is stored as an inference that can be corrected."""

import hmac
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import transaction

from config import storage
from feedback.capture import require_free_disk
from feedback.capture.cleaning import check_input, clean, clean_id
from feedback.models import ID_LENGTH, Inference, Task
from feedback.normalise import content_hash
from feedback.serializers import Body, Identifier
from privacy import consent
from privacy.access import Sender
from privacy.errors import Erased, NoConsent, OptedOut
from privacy.idempotency import fingerprint
from training import runs
from training.classifiers import LinearClassifier
from training.errors import NoModel
from training.gates import champion_of
from training.models import CHALLENGER, CHAMPION, ModelVersion, Prediction, Rollout

STATE_SECONDS = 1.0  # how long a process may serve by an alias that has moved
CACHED_CLASSIFIERS = 16
LEAST_PROBABILITY = 0.001  # less is not kept with an answer: it is as good as nothing


class PredictBody(Body, kw_only=True):
    input: Any
    user_id: Identifier | None = None
    session_id: Identifier | None = None


class Route(NamedTuple):
    model_version: ModelVersion
    arm: str
    rollout: Rollout | None


@dataclass(frozen=True)
class Served:
    """One answer; without consent to collection it is not stored."""

    inference: Inference
    route: Route
    is_stored: bool


@dataclass(frozen=True)
class _State:
    champion: ModelVersion
    rollout: Rollout | None
    read_at: float

    @property
    def served(self) -> tuple[ModelVersion, ModelVersion | None]:
        return self.champion, None if self.rollout is None else self.rollout.challenger


_states: dict[int, _State] = {}
_lock = threading.Lock()


def _state(task: Task) -> _State:
    """Return champion and canary of a task, at most `STATE_SECONDS` old."""
    with _lock:
        state = _states.get(task.pk)
    if state is not None and time.monotonic() - state.read_at < STATE_SECONDS:
        return state
    champion = champion_of(task)
    if champion is None:
        with _lock:
            if _states.pop(task.pk, None) is not None:
                _classifier.cache_clear()
        raise NoModel
    canary = Rollout.objects.filter(task=task, status="canary").select_related("challenger").first()
    state = _State(champion, canary, time.monotonic())
    with _lock:
        earlier = _states.get(task.pk)
        _states[task.pk] = state
    if earlier is not None and earlier.served != state.served:
        _classifier.cache_clear()  # what serves no more is not remembered: it may be erased
    return state


def route(task: Task, unit: str | None) -> Route:
    """Return which version serves `unit` (a user or session): the same unit, the same arm."""
    state = _state(task)
    rollout = state.rollout
    if rollout is None or not unit:  # who cannot be told apart takes no part in the comparison
        return Route(state.champion, CHAMPION, None)
    if bucket(rollout.salt, unit) < rollout.share:
        return Route(rollout.challenger, CHALLENGER, rollout)
    return Route(state.champion, CHAMPION, rollout)


def bucket(salt: str, unit: str) -> float:
    """Return the unit's place between 0 and 1, by HMAC, so that it is stable and unguessable."""
    digest = hmac.digest(salt.encode(), unit.encode(), "sha256")
    return int.from_bytes(digest[:8], "big") / 2**64


@lru_cache(maxsize=CACHED_CLASSIFIERS)
def _classifier(weights_hash: str) -> LinearClassifier:
    return LinearClassifier.from_bytes(storage.get(weights_hash))


def predict(
    *, sender: Sender, task: Task, body: PredictBody, is_verified: bool, sent: object
) -> Served:
    """Answer an input and store the answer; raises Malformed, NoModel.

    The input is redacted first, so that the model sees what it was trained on.
    """
    check_input(task, body.input)
    found = clean(task, None, body.input)
    (input_,) = found.others
    chosen = route(task, body.user_id or body.session_id)
    classifier = _classifier(chosen.model_version.weights_hash)
    (shares,) = classifier.predict_proba([runs.reading(task.kind.text_of(input_))])
    probabilities = dict(zip(classifier.labels, shares.tolist(), strict=True))
    output = max(probabilities, key=lambda label: probabilities[label])
    inference = Inference(
        project=sender.project,
        task=task,
        api_key=sender.key,
        user_id=body.user_id,
        is_verified=is_verified,
        session_id=clean_id(body.session_id, ID_LENGTH),
        input=input_,
        input_hash=content_hash(task.kind.identity(input_, output)),
        redactions=found.counts,
        is_sensitive=found.is_sensitive,
        fingerprint=fingerprint(sender.project, sent),
        output=output,
        confidence=probabilities[output],
        probabilities={k: p for k, p in probabilities.items() if p >= LEAST_PROBABILITY},
        model_version=str(chosen.model_version.version),
        arm=chosen.arm,
    )
    try:
        _store(inference, chosen)
    except (Erased, OptedOut, NoConsent):
        return Served(inference, chosen, is_stored=False)
    return Served(inference, chosen, is_stored=True)


@transaction.atomic
def _store(inference: Inference, chosen: Route) -> None:
    stored_as = consent.require(inference.project, inference.user_id)
    if stored_as != inference.user_id:  # who wants no link
        inference.user_id, inference.session_id, inference.fingerprint = stored_as, "", b""
    require_free_disk()
    Inference.objects.bulk_create([inference])
    Prediction.objects.create(
        inference=inference,
        model_version=chosen.model_version,
        rollout=chosen.rollout,
        arm=chosen.arm,
    )
