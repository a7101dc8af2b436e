"""Who is served by what: promotion, canaries by stable hash of the user, rollback."""

import logging
import secrets
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import Count, F, Max, Q
from django.db.models.functions import Now

from feedback.models import Feedback, Task
from feedback.signals import SIGNALS
from training.errors import NoModel, NothingToRollBack, NotPassed, RolloutRunning
from training.gates import champion_of
from training.models import CHALLENGER, CHAMPION, ModelAlias, ModelVersion, Prediction, Rollout
from training.statistics import HarmMonitor

logger = logging.getLogger(__name__)
LOOK_SECONDS = 5


class Plan(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How a rollout goes; what is absent comes from the task's settings."""

    share: Annotated[float, msgspec.Meta(gt=0, le=0.5)] | None = None
    minimum_outcomes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    alpha: Annotated[float, msgspec.Meta(gt=0, lt=0.5)] = 0.05
    automatic: bool = True


def _require_passed(model_version: ModelVersion) -> None:
    if model_version.run.status != "passed":
        raise NotPassed(f"The run of {model_version} is {model_version.run.status}.")


def promote(model_version: ModelVersion, *, reason: str = "promoted") -> ModelAlias:
    """Let a version that passed its gates serve everybody from now on."""
    _require_passed(model_version)
    with transaction.atomic():
        _lock(model_version.task)
        _end_canary(model_version.task, f"{model_version} was promoted", winner=model_version)
        return _point(model_version, reason)


def _lock(task: Task) -> None:
    """Let the verbs that move a task's aliases take turns; predictions go on meanwhile."""
    Task.objects.select_for_update(no_key=True).get(pk=task.pk)


def rollback(task: Task) -> ModelAlias:
    """Serve the champion before this one again; an earlier rollback is never undone by a later."""
    with transaction.atomic():
        _lock(task)
        alias = ModelAlias.objects.filter(task=task, name=CHAMPION).first()
        if alias is None:
            raise NoModel
        number = alias.model_version.version
        earlier = alias.history.filter(model_version__version__lt=number)
        record = earlier.order_by("-history_date", "-history_id").first()
        if record is None:
            raise NothingToRollBack
        _end_canary(task, "the champion was rolled back")
        return _point(record.model_version, f"rolled back from v{number}")


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
            return Rollout.objects.create(
                task=challenger.task,
                challenger=challenger,
                champion=champion,
                share=plan.share or options.canary_share,
                salt=secrets.token_hex(8),
                plan=stored,
                evidence=asdict(HarmMonitor(plan.alpha)),
                seen_feedback=Feedback.objects.aggregate(newest=Max("number"))["newest"] or 0,
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
    return Rollout.objects.filter(status="canary", next_look_at__lte=Now())


def look_at_due() -> None:
    """Look at every canary that is due: roll back on harm, go on when enough is known."""
    for rollout in due().select_related("task"):
        with transaction.atomic():
            _lock(rollout.task)
            if still_due := due().filter(pk=rollout.pk).first():
                _look(still_due)


def _look(rollout: Rollout) -> None:
    """Feed the new outcomes to the monitor and decide, if the plan lets this be automatic."""
    newest = Feedback.objects.aggregate(newest=Max("number"))["newest"] or 0
    counts = outcomes(rollout, after=rollout.seen_feedback, upto=newest)
    monitor = HarmMonitor(**_restored(rollout.evidence))
    monitor.update(champion=counts[CHAMPION], challenger=counts[CHALLENGER])
    Rollout.objects.filter(pk=rollout.pk).update(
        evidence=asdict(monitor),
        seen_feedback=newest,
        next_look_at=Now() + timedelta(seconds=LOOK_SECONDS),
    )
    if not rollout.plan["automatic"]:
        return
    if monitor.is_harmful:
        said = f"evidence of harm {monitor.e_value:.1f} reached {1 / monitor.alpha:.0f}"
        abort(rollout, status="rolled_back", why=said)
        return
    seen = outcomes(rollout)[CHALLENGER][1]
    if seen >= rollout.plan["minimum_outcomes"]:
        advance(rollout, why=f"no harm in {seen} canary outcomes")


def _restored(evidence: dict[str, Any]) -> dict[str, Any]:
    """Return the monitor's fields as they were before JSON made lists of its pairs."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in evidence.items()}


def outcomes(
    rollout: Rollout, *, after: int | None = None, upto: int | None = None
) -> dict[str, tuple[int, int]]:
    """Return (bad, n) of each arm: answers with an explicit reaction, and those disliked."""
    explicit = [name for name, signal in SIGNALS.items() if signal.is_explicit]
    bad = Q(inference__feedback__signal__in=["down", "correction", "edited"])
    reacted = Q(inference__feedback__signal__in=explicit) & ~Q(
        inference__feedback__status__in=["rejected", "erased"]
    )
    if after is not None:
        reacted &= Q(inference__feedback__number__gt=after)
    if upto is not None:
        reacted &= Q(inference__feedback__number__lte=upto)
    rows = (
        Prediction.objects.filter(rollout=rollout)
        .filter(reacted)
        .values_list("arm")
        .annotate(
            n=Count("inference", distinct=True),
            bad=Count("inference", filter=bad, distinct=True),
        )
        .order_by("arm")
    )
    counts = {arm: (bad, n) for arm, n, bad in rows}
    return {arm: counts.get(arm, (0, 0)) for arm in (CHAMPION, CHALLENGER)}


def waiting_seconds() -> float | None:
    """Return how long the rollout that is due longest has waited for a look."""
    oldest = due().annotate(waited=Now() - F("next_look_at")).order_by("next_look_at").first()
    return None if oldest is None else float(oldest.waited.total_seconds())
