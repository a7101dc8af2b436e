"""May this model replace the one that serves? Each gate says value, threshold and reason."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from feedback.models import Task
from training import bias, runs
from training.bias import Topics
from training.errors import CannotJudge
from training.evaluation import Case, Predictor, Scores, score
from training.metrics import expected_calibration_error, perfectly_calibrated_ece_quantile
from training.models import (
    CHALLENGER,
    CHAMPION,
    GateResult,
    ModelAlias,
    ModelCredit,
    ModelVersion,
    Run,
)
from training.statistics import PairedDifference, paired_difference

LISTED = 20
MARGIN = -0.02  # the challenger's interval may not lie below the champion by more than this


@dataclass(frozen=True)
class Outcome:
    name: str
    passed: bool
    value: float | None
    threshold: float | None
    reason: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Contest:
    """The same cases answered by the challenger and, if there is one, the champion."""

    cases: Sequence[Case]
    challenger: Scores
    champion: Scores | None

    def of(self, chosen: NDArray[np.bool_]) -> PairedDifference | None:
        if self.champion is None or not chosen.any():
            return None
        return paired_difference(self.champion.correct[chosen], self.challenger.correct[chosen])

    @property
    def is_held_out(self) -> NDArray[np.bool_]:
        return np.array([case.split == "holdout" for case in self.cases], dtype=bool)

    def is_case(self, split: str) -> NDArray[np.bool_]:
        """Return which of the cases (n,) people made, golden or regression, on that side.

        "" is neither side: the version has left them out.
        """
        return np.array(
            [case.split == split and case.case != "" for case in self.cases], dtype=bool
        )


def judge(
    cases: Sequence[Case], challenger: Predictor, champion: Predictor | None
) -> list[Outcome]:
    """Hold a challenger against the champion on the cases; raise CannotJudge without holdout."""
    if not any(case.split == "holdout" for case in cases):
        raise CannotJudge("The task has no holdout yet: import examples or gather more feedback.")
    contest = Contest(cases, score(challenger, cases), champion and score(champion, cases))
    return [
        _holdout(contest),
        _cases(contest, "unseen_cases", contest.is_case("holdout") | contest.is_case("")),
        _cases(contest, "seen_cases", contest.is_case("train")),
        _pinned(contest),
        _calibration(contest),
        _slices(contest),
    ]


def _passed(name: str, value: float | None, threshold: float | None, reason: str) -> Outcome:
    return Outcome(name, passed=True, value=value, threshold=threshold, reason=reason)


def _holdout(contest: Contest) -> Outcome:
    chosen = contest.is_held_out
    difference = contest.of(chosen)
    if difference is None:
        return _first_model(contest, chosen)
    details = asdict(difference) | {"by_source": _by_source(contest, chosen)}
    passed = difference.estimate >= 0 and difference.high >= MARGIN
    said = (
        f"{100 * difference.estimate:+.1f} points on {difference.n} held-out cases "
        f"(95% interval {100 * difference.low:+.1f} to {100 * difference.high:+.1f})"
    )
    if not passed:
        said += ": worse than the champion"
    return Outcome("holdout", passed, difference.estimate, 0.0, said + ".", details)


def _by_source(contest: Contest, chosen: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the difference by source: whose feedback it is was not drawn at random."""
    source_of = np.array([case.source for case in contest.cases])
    found = {source: contest.of(chosen & (source_of == source)) for source in set(source_of)}
    return {source: asdict(difference) for source, difference in found.items() if difference}


def _first_model(contest: Contest, chosen: NDArray[np.bool_]) -> Outcome:
    """Without a champion a model must beat the answer that is right most often."""
    held_out = [case.output for case, is_in in zip(contest.cases, chosen, strict=True) if is_in]
    most = max(held_out.count(output) for output in set(held_out)) / len(held_out)
    accuracy = float(contest.challenger.correct[chosen].mean())
    said = f"{accuracy:.1%} on {len(held_out)} held-out cases; always the same answer: {most:.1%}."
    return Outcome("holdout", accuracy > most, accuracy, most, said, {"n": len(held_out)})


def _cases(contest: Contest, name: str, chosen: NDArray[np.bool_]) -> Outcome:
    """Refuse when the paired rate of these cases is shown to be worse; list every flip.

    Golden and regression cases together: apart, each kind is right or wrong by selection.
    """
    difference = contest.of(chosen)
    if difference is None:
        rate = float(contest.challenger.correct[chosen].mean()) if chosen.any() else None
        return _passed(name, rate, None, "Nothing to compare with yet.")
    flips = _flips(contest, chosen)
    passed = difference.high >= 0
    said = (
        f"{difference.gained} of {difference.n} became right, {difference.lost} became wrong "
        f"(95% interval {100 * difference.low:+.1f} to {100 * difference.high:+.1f} points)."
    )
    details = {"n": difference.n, "low": difference.low, "high": difference.high, "flips": flips}
    return Outcome(name, passed, difference.estimate, 0.0, said, details)


def _flips(contest: Contest, chosen: NDArray[np.bool_]) -> list[str | None]:
    """Return the feedback of cases that the champion had right and the challenger has wrong."""
    if contest.champion is None:
        return []
    lost = chosen & contest.champion.correct & ~contest.challenger.correct
    return _ids(contest, lost)


def _ids(contest: Contest, chosen: NDArray[np.bool_]) -> list[str | None]:
    """Return the feedback behind the chosen cases; None stands for starting data."""
    pairs = zip(contest.cases, chosen, strict=True)
    return sorted((case.feedback_id for case, is_chosen in pairs if is_chosen), key=str)


def _slices(contest: Contest) -> Outcome:
    """Refuse when any slice of the holdout is shown to have fallen by more than the margin."""
    asked = [case for case, is_in in zip(contest.cases, contest.is_held_out, strict=True) if is_in]
    large, too_few = bias.slices_of(_columns(asked))
    if contest.champion is None or not large:
        return _passed("slices", None, None, "No champion, or no slice large enough to compare.")
    before = contest.champion.correct[contest.is_held_out]
    after = contest.challenger.correct[contest.is_held_out]
    fallen = bias.fallen_slices(before, after, large, MARGIN)
    found = {name: paired_difference(before[rows], after[rows]) for name, rows in large.items()}
    order = sorted(found, key=lambda name: (name not in fallen, found[name].estimate, name))
    (by, value), worst = order[0], found[order[0]]
    said = (
        f"{len(fallen)} of {len(found)} slices fell by more than {-100 * MARGIN:.0f} points."
        f" Worst: {by} {value}, {100 * worst.estimate:+.1f} points on {worst.n} cases"
        f" (95% interval {100 * worst.low:+.1f} to {100 * worst.high:+.1f})."
    )
    listed = [
        {"by": name[0], "value": name[1], "has_fallen": name in fallen} | asdict(found[name])
        for name in order[:LISTED]
    ]
    details = {"slices": listed, "too_few": too_few}
    return Outcome("slices", not fallen, worst.estimate, MARGIN, said, details)


def _columns(cases: Sequence[Case]) -> dict[str, list[str | None]]:
    """Return what cases (n,) are told apart by; topics go by number: their words are content."""
    texts = [case.text for case in cases]
    names = sorted({name for case in cases for name in case.slices})
    topics: list[str | None] = [str(topic + 1) for topic in Topics(texts, seed=0).of(texts)]
    return {"topic": topics} | {name: [case.slices.get(name) for case in cases] for name in names}


def _pinned(contest: Contest) -> Outcome:
    pinned = np.array([case.is_pinned for case in contest.cases], dtype=bool)
    wrong = pinned & ~contest.challenger.correct
    ids = _ids(contest, wrong)
    n = int(pinned.sum())
    said = f"{n - len(ids)} of {n} pinned cases are right." if n else "No case is pinned."
    return Outcome("pinned", not ids, float(len(ids)), 0.0, said, {"n": n, "flips": ids})


def _calibration(contest: Contest) -> Outcome:
    """Refuse confidence that is less honest than chance explains and than the champion's."""
    chosen = contest.is_held_out
    own = contest.challenger
    if own.confidence is None:
        return _passed("calibration", None, None, "The answers state no confidence.")
    error = expected_calibration_error(own.confidence[chosen], own.correct[chosen])
    bound = perfectly_calibrated_ece_quantile(own.confidence[chosen], seed=0)
    said = f"Calibration error {error:.3f}; by chance alone it stays under {bound:.3f} in 95%."
    champion = contest.champion
    if champion is None or champion.confidence is None:
        return _passed("calibration", error, bound, said + " First model: only reported.")
    before = expected_calibration_error(champion.confidence[chosen], champion.correct[chosen])
    said += f" The champion's is {before:.3f}."
    return Outcome("calibration", error <= max(bound, before), error, max(bound, before), said)


def champion_of(task: Task) -> ModelVersion | None:
    return ModelVersion.objects.filter(aliases__task=task, aliases__name=CHAMPION).first()


def judge_version(model_version: ModelVersion, cases: Sequence[Case]) -> list[Outcome]:
    """Judge a registered version against the task's champion (itself: against none)."""
    champion = champion_of(model_version.task)
    cases = runs.without_learnt(cases, model_version, champion)
    rival = None if champion in (None, model_version) else runs.predictor(runs.load(champion))
    return judge(cases, runs.predictor(runs.load(model_version)), rival)


def judge_run(run: Run, model_version: ModelVersion) -> bool:
    """Store what the gates say of a trained run, end it, and name a passing model challenger.

    Of an exact retrain they are asked for the record: it takes the place of another model.
    """
    if run.dataset_version is None:
        raise CannotJudge
    outcomes = judge_version(model_version, runs.cases_of(run.dataset_version))
    passed = all(outcome.passed for outcome in outcomes)
    with transaction.atomic():
        run.gate_results.all().delete()
        GateResult.objects.bulk_create(GateResult(run=run, **vars(o)) for o in outcomes)
        if passed and not run.replacing.exists():
            ModelAlias.objects.update_or_create(
                task=run.task, name=CHALLENGER, defaults={"model_version": model_version}
            )
        ModelCredit.objects.get_or_create(model_version=model_version)  # a worker computes it
        runs.finish(run, "passed" if passed else "refused")
    return passed
