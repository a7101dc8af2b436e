"""Who is served by what: promotion, canaries by stable hash of the user, rollback."""

import logging
import secrets
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from feedback.contributors import LOW_TRUST
from feedback.models import Feedback, Task
from feedback.signals import EXPLICIT
from training.errors import (
    AlreadyChampion,
    NoModel,
    NothingToRollBack,
    NotPassed,
    RolloutRunning,
    Withdrawn,
)
from training.gates import champion_of
from training.models import (
    CHALLENGER,
    CHAMPION,
    ModelAlias,
    ModelErasure,
    ModelVersion,
    Rollout,
)
from training.statistics import Counts, HarmMonitor

logger = logging.getLogger(__name__)
LOOK_SECONDS = 5
ERASED = "it had learned from an erased person"
ROLLED_BACK = "rolled back from"  # begins the reason in the alias's history
BAD = ["down", "correction", "edited"]


class Plan(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How a rollout goes; what is absent comes from the task's settings."""

    share: Annotated[float, msgspec.Meta(gt=0, le=0.5)] | None = None
    minimum_outcomes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    alpha: Annotated[float, msgspec.Meta(gt=0, lt=0.5)] = 0.05
    automatic: bool = True


def _require_passed(model_version: ModelVersion) -> None:
    if model_version.run.status != "passed":
        raise NotPassed(f"The run of {model_version} is {model_version.run.status}.")


def _require_clean(model_version: ModelVersion) -> None:
    """Raise Withdrawn for what an erasure takes, or took; call under the lock."""
    if model_version.erasures.exists():
        raise Withdrawn(f"{model_version}: {ERASED}.")


def promote(model_version: ModelVersion, *, reason: str = "promoted") -> ModelAlias:
    """Let a version that passed its gates serve everybody from now on."""
    _require_passed(model_version)
    with transaction.atomic():
        _lock(model_version.task)
        _require_clean(model_version)
        _end_canary(model_version.task, f"{model_version} was promoted", winner=model_version)
        return _point(model_version, reason)


def _lock(task: Task) -> None:
    """Let the verbs that move a task's aliases take turns; predictions go on meanwhile."""
    Task.objects.select_for_update(no_key=True).get(pk=task.pk)


def rollback(task: Task) -> ModelAlias:
    """Serve the champion before this one again; raises NoModel, NothingToRollBack."""
    with transaction.atomic():
        _lock(task)
        alias = ModelAlias.objects.filter(task=task, name=CHAMPION).first()
        if alias is None:
            raise NoModel
        reigns = _reigns(alias)
        earlier = _clean(reigns[:-1])
        if not earlier:
            raise NothingToRollBack
        _end_canary(task, "the champion was rolled back")
        return _point(earlier[-1], f"{ROLLED_BACK} v{reigns[-1].version}")


def _reigns(alias: ModelAlias) -> list[ModelVersion]:
    """Return the champions that no rollback has undone, the present one last."""
    reigns: list[ModelVersion] = []
    for record in alias.history.select_related("model_version").order_by("history_id"):
        if (record.history_change_reason or "").startswith(ROLLED_BACK):
            reigns.pop()
            while reigns and reigns[-1] != record.model_version:  # skipped: it was withdrawn
                reigns.pop()
        else:
            reigns.append(record.model_version)
    return reigns


def _clean(reigns: list[ModelVersion]) -> list[ModelVersion]:
    """Leave out what erasures took."""
    taken = set(ModelErasure.objects.filter(model_version__in=reigns).values_list("model_version"))
    return [reign for reign in reigns if (reign.pk,) not in taken]


def _point(model_version: ModelVersion, reason: str) -> ModelAlias:
    """Point the champion alias at the version, and leave the reason in its history."""
    alias = ModelAlias.objects.filter(task=model_version.task, name=CHAMPION).first()
    alias = alias or ModelAlias(task=model_version.task, name=CHAMPION)
    alias.model_version = model_version
    alias._change_reason = reason[:100]
    alias.save()
    ModelAlias.objects.filter(
        task=model_version.task, name=CHALLENGER, model_version=model_version
    ).delete()
    logger.info("alias.moved task=%s version=%d", model_version.task.slug, model_version.version)
    return alias


def replace(old: ModelVersion, new: ModelVersion | None, *, reason: str = ERASED) -> None:
    """Put an exact retrain, whatever its gates said, or nothing in the place of a model.

    A canary with it is aborted: what it has shown was shown of another model.
    """
    with transaction.atomic():
        _lock(old.task)
        canaries = Rollout.objects.filter(task=old.task, status="canary")
        for rollout in canaries.filter(Q(champion=old) | Q(challenger=old)):
            end(rollout, "aborted", f"{old}: {reason}")
        for alias in ModelAlias.objects.filter(task=old.task, model_version=old):
            alias._change_reason = f"in the place of v{old.version}: {reason}"[:100]
            if new is None:
                alias.delete()
            else:
                alias.model_version = new
                alias.save()
            said = "none" if new is None else new.version
            logger.info("alias.moved task=%s version=%s", old.task.slug, said)


def _end_canary(task: Task, why: str, *, winner: ModelVersion | None = None) -> None:
    for rollout in Rollout.objects.filter(task=task, status="canary"):
        end(rollout, "full" if rollout.challenger == winner else "aborted", why)


def start(challenger: ModelVersion, plan: Plan) -> Rollout:
    """Serve a challenger to a share of the users beside the champion."""
    _require_passed(challenger)
    options = challenger.task.options
    stored = msgspec.to_builtins(plan)
    stored["minimum_outcomes"] = plan.minimum_outcomes or options.canary_outcomes
    try:
        with transaction.atomic():
            _lock(challenger.task)
            champion = champion_of(challenger.task)
            if champion is None:
                raise NoModel("There is no champion to compare with: promote the first model.")
            if champion == challenger:
                raise AlreadyChampion
            _require_clean(challenger)
            return Rollout.objects.create(
                task=challenger.task,
                challenger=challenger,
                champion=champion,
                share=plan.share or options.canary_share,
                salt=secrets.token_hex(8),
                plan=stored,
                evidence=asdict(HarmMonitor(plan.alpha)),
            )
    except IntegrityError:
        raise RolloutRunning from None


def end(rollout: Rollout, status: str, why: str) -> None:
    rollout.move_to(status)
    rollout.decision = why
    rollout._change_reason = why[:100]
    rollout.save()


@transaction.atomic
def advance(rollout: Rollout, *, why: str = "advanced by hand") -> Rollout:
    """Promote the canary's challenger to all users."""
    locked = _locked(rollout)
    _require_clean(locked.challenger)
    end(locked, "full", why)
    _point(locked.challenger, f"rollout {locked.uuid}: {why}")
    return locked


@transaction.atomic
def abort(rollout: Rollout, *, status: str = "aborted", why: str = "aborted by hand") -> Rollout:
    """Serve everybody by the champion again."""
    locked = _locked(rollout)
    end(locked, status, why)
    return locked


def _locked(rollout: Rollout) -> Rollout:
    _lock(rollout.task)
    return Rollout.objects.get(pk=rollout.pk)


def due() -> Any:
    canaries = Rollout.objects.filter(status="canary", next_look_at__lte=Now())
    return canaries.filter(challenger__erasures=None)  # else an erasure is about to end it


def look_at_due() -> None:
    """Look at every canary that is due: roll back on harm, go on when enough is known."""
    for rollout in due().select_related("task"):
        with transaction.atomic():
            _lock(rollout.task)
            if still_due := due().filter(pk=rollout.pk).first():
                _look(still_due)


def _look(rollout: Rollout) -> None:
    """Feed the new outcomes to the monitor and decide, if the plan lets this be automatic."""
    totals = outcomes(rollout)
    monitor = HarmMonitor(**_restored(rollout.evidence))
    monitor.update(
        champion=_new(totals[CHAMPION], monitor.seen_champion, monitor.waiting_champion),
        challenger=_new(totals[CHALLENGER], monitor.seen_challenger, monitor.waiting_challenger),
    )
    next_look_at = Now() + timedelta(seconds=LOOK_SECONDS)
    Rollout.objects.filter(pk=rollout.pk).update(
        evidence=asdict(monitor), next_look_at=next_look_at
    )
    if not rollout.plan["automatic"]:
        return
    if monitor.is_harmful:
        said = f"evidence of harm {monitor.e_value:.1f} reached {1 / monitor.alpha:.0f}"
        abort(rollout, status="rolled_back", why=said)
        return
    seen = totals[CHALLENGER][1]
    if seen >= rollout.plan["minimum_outcomes"]:
        advance(rollout, why=f"no harm among {seen} people who reacted to it")


def _restored(evidence: dict[str, Any]) -> dict[str, Any]:
    """Return the monitor's fields as they were before JSON made lists of its pairs."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in evidence.items()}


def _new(total: Counts, seen: Counts, waiting: Counts) -> Counts:
    """Return what came since the last look; an outcome that a moderator took back stays seen.

    By difference, not by number: rows do not become visible in the order of their numbers.
    """
    bad = max(0, total[0] - seen[0] - waiting[0])
    return bad, max(bad, total[1] - seen[1] - waiting[1])


def outcomes(rollout: Rollout) -> dict[str, Counts]:
    """Return (bad, n) of each arm, one outcome for each person: their first answer reacted to.

    People are what is randomised; counting each of their answers finds harm where there is none.
    """
    reactions = (
        Feedback.objects.filter(inference__prediction__rollout=rollout, signal__in=EXPLICIT)
        .exclude(status__in=["rejected", "erased"])
        .exclude(source="audit")  # the person did not react, a moderator did
        .exclude(status="flagged", flags__contains=[LOW_TRUST])
        .order_by("number")
        .select_related("inference__prediction")
    )
    first: dict[tuple[str, str], tuple[int, bool]] = {}
    for reaction in reactions.iterator():
        answer = reaction.inference
        person = (answer.prediction.arm, answer.user_id or answer.session_id)
        number, is_bad = first.get(person, (answer.number, False))
        if number == answer.number:
            first[person] = (number, is_bad or reaction.signal in BAD)
    counts = {CHAMPION: (0, 0), CHALLENGER: (0, 0)}
    for (arm, _person), (_number, is_bad) in first.items():
        bad, n = counts[arm]
        counts[arm] = (bad + is_bad, n + 1)
    return counts


def waiting_seconds() -> float | None:
    """Return how long the rollout that is due longest has waited for a look."""
    oldest = due().annotate(waited=Now() - F("next_look_at")).order_by("next_look_at").first()
    return None if oldest is None else float(oldest.waited.total_seconds())
