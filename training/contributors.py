"""Score the contributors of a task: what they said against what models and audits think of it."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from importlib import import_module
from typing import Any, TypeAlias

import msgspec
import numpy as np
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce, Now
from django.utils import timezone
from numpy.typing import NDArray
from scipy.sparse import csr_array

from config.database import fetch
from feedback import contributors
from feedback.contributors import Score
from feedback.models import Example, Feedback, Inference, Task
from feedback.signals import EXPLICIT, SIGNALS
from feedback.trust import (
    ANOTHER,
    SILENT,
    Exposures,
    Floats,
    Indices,
    Regime,
    Scores,
    score,
)
from privacy.models import DataSubject, Purpose
from training import crediting, runs
from training.checking.measuring import APPROVING, interval_of, weigh
from training.crowd import Crowd, settle
from training.trainers import TRAINERS

logger = logging.getLogger(__name__)
MOST_EXPOSURES = 20_000  # the newest
MOST_STARTING_ROWS = 10_000
EVERY, AT_LEAST = timedelta(hours=1), timedelta(minutes=10)
SOONER_AFTER_ACTS = 200
FEWEST_AUDITS = 30
HARMFUL_CREDIT = 0.5  # of their trust is left to whose rows did harm to the newest model


Judged: TypeAlias = tuple[Crowd | Exposures, Scores]


class Shown(msgspec.Struct):
    """One answer that one person was shown, and what that person last said of it on purpose."""

    user_id: str
    item: str
    input: Any
    shown: Any
    signal: str | None
    said: Any
    decision: str | None
    decided: Any


# Who was shown an answer, and who spoke: mostly the same person. What nobody said anything of
# is silence once the task's hours are over, and only if the product's server showed it.
_SHOWN = """
WITH spoken AS (
    SELECT DISTINCT ON (f.inference_id, f.user_id) f.inference_id, f.user_id, f.signal,
        f.corrected, r.decision, r.corrected AS decided
    FROM feedback AS f LEFT JOIN feedback_review AS r ON r.feedback_id = f.number
    WHERE f.project_id = %(project)s AND f.task_id = %(task)s AND f.is_verified
        AND f.user_id IS NOT NULL AND f.source <> 'audit' AND f.signal = ANY(%(explicit)s)
        AND (f.status <> 'rejected' OR r.decision = 'reject')
    ORDER BY f.inference_id, f.user_id, f.number DESC
), exposed AS (
    SELECT i.number, i.user_id FROM feedback_inference AS i
    LEFT JOIN privacy_apikey AS key ON key.id = i.api_key_id
    WHERE i.task_id = %(task)s AND i.user_id IS NOT NULL AND i.is_verified
        AND (key.id IS NULL OR key.scope = 'manage')
        AND i.created_at < now() - make_interval(secs => %(silence_seconds)s)
    UNION SELECT inference_id, user_id FROM spoken
)
SELECT coalesce(json_agg(to_json(seen) ORDER BY number, user_id), '[]')::text FROM (
    SELECT i.number, exposed.user_id, encode(i.input_hash, 'hex') AS item, i.input,
        i.output AS shown, s.signal, s.corrected AS said, s.decision, s.decided
    FROM exposed JOIN feedback_inference AS i ON i.number = exposed.number
    LEFT JOIN spoken AS s ON s.inference_id = i.number AND s.user_id = exposed.user_id
    ORDER BY i.number DESC LIMIT %(limit)s
) AS seen
"""


def score_task(task: Task) -> int:
    """Score everybody whose acts on the task are known; return how many that are."""
    began_at = timezone.now()  # what comes meanwhile is for the next time
    shown = _shown(task)
    people = {user_id: n for n, user_id in enumerate(dict.fromkeys(row.user_id for row in shown))}
    judged = _by_labels(task, shown, people) if task.modality in TRAINERS else None
    judged = judged or _by_reviews(shown, people)
    with transaction.atomic():  # standings, and what weights and silence go by, are of one moment
        harmful = crediting.harmful(task)
        scores = _documents(people, *judged)
        contributors.apply(task, (_credited(score, harmful) for score in scores))
        regime = judged[1].regime if isinstance(judged[0], Crowd) else None
        Task.objects.filter(pk=task.pk).update(
            scored_at=began_at,
            approving_ratio=regime and regime.approving,
            disagreeing_ratio=regime and regime.disagreeing,
            silence_estimate=regime and silence_estimate(task, regime),
        )
    logger.info("contributors.scored task=%d contributors=%d", task.pk, len(people))
    return len(people)


def _credited(score: Score, harmful: set[str]) -> Score:
    return replace(score, credit=HARMFUL_CREDIT) if score.user_id in harmful else score


def _shown(task: Task) -> list[Shown]:
    parameters = {
        "project": task.project_id,
        "task": task.pk,
        "explicit": EXPLICIT,
        "silence_seconds": task.options.silence_hours * 3600,
        "limit": MOST_EXPOSURES,
    }
    people = DataSubject.objects.filter(project=task.project_id)
    left = set(people.withdrawn(*Purpose).values_list("user_id", flat=True))
    return [row for row in fetch(_SHOWN, parameters, list[Shown]) if row.user_id not in left]


def _by_labels(task: Task, shown: list[Shown], people: dict[str, int]) -> Judged | None:
    """Hold what people said against models of the task; None where none can be trained."""
    place = {label: n for n, label in enumerate(task.labels)}
    shown = [row for row in shown if row.shown in place]
    items = {item: n for n, item in enumerate(dict.fromkeys(row.item for row in shown))}
    texts = {row.item: runs.reading(task.kind.text_of(row.input)) for row in shown}
    known = np.full(len(items), -1, dtype=np.intp)
    for row in shown:
        known[items[row.item]] = max(known[items[row.item]], _known(row, place))
    for item, label in _audited(task):
        if item in items and isinstance(label, str) and label in place:
            known[items[item]] = place[label]
    crowd = Crowd(
        texts=[texts[item] for item in items],
        contributor=_array(people[row.user_id] for row in shown),
        item=_array(items[row.item] for row in shown),
        shown=_array(place[row.shown] for row in shown),
        said=_array(_said(row, place) for row in shown),
        known=known,
        contributors=len(people),
        starting=_starting(task, place),
    )
    trainer = import_module(TRAINERS[task.modality])
    learn = partial(_out_of_fold, trainer, task.labels)
    try:
        return crowd, settle(crowd, learn)
    except trainer.TrainingDataError:
        return None


def _out_of_fold(
    trainer: Any, names: list[str], texts: Sequence[str], labels: Indices, weights: Floats
) -> Floats:
    found: Floats = trainer.out_of_fold_probabilities(
        texts,
        [names[label] for label in labels],
        weights,
        label_names=names,
        config=trainer.ClassifierConfig(),
    )
    return found


def _by_reviews(shown: list[Shown], people: dict[str, int]) -> Judged:
    """Hold what people said against moderators' decisions alone: right (1) or wrong (0)."""
    decided = [row for row in shown if row.decision in {"accept", "reject"}]
    count = len(decided)
    exposures = Exposures(
        contributor=_array(people[row.user_id] for row in decided),
        item=np.arange(count),
        about=csr_array((count, 0)),
        shown=np.zeros(count, dtype=np.intp),
        said=np.ones(count, dtype=np.intp),
        likely=np.full((count, 2), 0.5),
        known=_array(int(row.decision == "accept") for row in decided),
    )
    return exposures, score(exposures, len(people))


def _said(row: Shown, place: dict[str, int]) -> int:
    if row.signal is None:
        return SILENT
    if row.said is not None:  # what was refused may be of any shape
        return place.get(row.said, ANOTHER) if isinstance(row.said, str) else ANOTHER
    return place[row.shown] if SIGNALS[row.signal].case else ANOTHER


def _known(row: Shown, place: dict[str, int]) -> int:
    """Return the label that a moderator found right, or -1."""
    said = _said(row, place)
    if row.decision == "accept":
        return place.get(row.decided, -1) if row.decided is not None else max(said, -1)
    if row.decision == "reject" and len(place) == 2 and said >= 0:
        return 1 - said
    return -1


def _audits(task: Task) -> QuerySet[Feedback]:
    audits = Feedback.objects.filter(project=task.project_id, task=task, source="audit")
    return audits.exclude(status="rejected")


def _audited(task: Task) -> list[tuple[str, Any]]:
    telling = _audits(task).filter(Q(corrected__isnull=False) | Q(signal__in=APPROVING))
    rows = telling.values_list("input_hash", "original", "corrected")
    return [(bytes(h).hex(), said if said is not None else shown) for h, shown, said in rows]


def _starting(task: Task, place: dict[str, int]) -> list[tuple[str, int]]:
    imported = Example.objects.filter(task=task, source="import", superseded_at=None, split="train")
    rows = imported.order_by("-pk").values_list("input", "output")[:MOST_STARTING_ROWS]
    kind = task.kind
    return [(runs.reading(kind.text_of(i)), place[label]) for i, label in rows if label in place]


def _array(values: Iterable[int]) -> Indices:
    return np.fromiter(values, dtype=np.intp)


def _documents(people: dict[str, int], crowd: Crowd | Exposures, scores: Scores) -> list[Score]:
    says = crowd.said != SILENT
    counts = says | (scores.regime.silence_weight > 0)
    agrees = says & (crowd.said == scores.truth[crowd.item].argmax(axis=1))

    def count(chosen: NDArray[np.bool_]) -> Indices:
        return np.bincount(crowd.contributor[chosen], minlength=len(people))

    acts, agreed, disagreed = count(counts), count(agrees), count(says & ~agrees)
    return [
        Score(
            user_id=user_id,
            honesty=float(scores.honesty[n]),
            evidence=float(scores.evidence[n]),
            acts=int(acts[n]),
            agreed=int(agreed[n]),
            disagreed=int(disagreed[n]),
        )
        for user_id, n in people.items()
    ]


def silence_estimate(task: Task, regime: Regime) -> float | None:
    """Return what silence weighs by audits of answers that nobody reacted to; None if too few.

    The share that was right, at its lower limit, less what chance gives. Nothing where people
    speak as often whether an answer is right or not.
    """
    wait = timedelta(hours=task.options.silence_hours)
    shown_to_people = Inference.objects.filter(task=task, user_id__isnull=False).served()
    reactions = Feedback.objects.filter(inference=OuterRef("inference")).exclude(source="audit")
    audited = (
        _audits(task)
        .filter(~Exists(reactions), inference__in=shown_to_people)
        .exclude(checked__is_random=False)  # chosen because the model was not sure
        .filter(created_at__gt=F("inference__created_at") + wait)
        .order_by("inference", "-number")
        .distinct("inference")
    )
    said = audited.values_list("checked__chosen_at", "checked__drawn_of", "signal", "corrected")
    if len(said) < FEWEST_AUDITS:
        return None
    weights = weigh([(chosen_at, of) for chosen_at, of, _, _ in said])
    right = [corrected is None and signal in APPROVING for _, _, signal, corrected in said]
    chance = 1 / max(2, len(task.labels))
    low = interval_of(list(zip(weights, right, strict=True))).low
    return max(0.0, (low - chance) / (1 - chance)) if regime.silence_weight else 0.0


def due_tasks() -> QuerySet[Task]:
    """Return tasks on which people said something since they were scored, long enough ago."""
    since = Coalesce(OuterRef("scored_at"), OuterRef("created_at"))
    acts = Feedback.objects.filter(
        project=OuterRef("project_id"), task=OuterRef("pk"), created_at__gt=since
    )
    many = acts.order_by("created_at").values("created_at")[SOONER_AFTER_ACTS - 1 :][:1]
    is_over = Q(scored_at=None) | Q(scored_at__lt=Now() - EVERY)
    has_many = Q(scored_at__lt=Now() - AT_LEAST) & Q(Exists(many))
    rows = Task.objects.exclude(settings__contains={"trust": False})
    return rows.filter((is_over & Q(Exists(acts))) | has_many)


def waiting_seconds() -> float | None:
    """Return 0.0 if a task's contributors are to be scored, else None."""
    return 0.0 if due_tasks().exists() else None


def score_due() -> None:
    for task in due_tasks().order_by("?"):  # one that fails does not hold up the same others twice
        score_task(task)
