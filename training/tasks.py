"""Builds, runs and rollouts as the worker runs them."""

from contextlib import suppress

from config import leases
from config.celery import bell
from config.errors import EmendError, LeaseLost
from training import (
    archives,
    checking,
    contributors,
    crediting,
    datasets,
    gates,
    orphans,
    rollouts,
    runs,
)
from training.models import Run


@bell("training.build_versions", waiting=datasets.waiting_seconds, is_short=False)
def build_versions() -> None:
    while datasets.build_next():
        pass


@bell("training.execute_runs", waiting=runs.waiting_seconds, is_short=False)
def execute_runs() -> None:
    while run := runs.claim():
        execute(run)


def execute(run: Run, on_progress: runs.Progress = lambda _ratio: None) -> bool:
    """Train a claimed run and let the gates judge it; return whether they passed it."""
    with suppress(LeaseLost):  # another worker goes on with it
        try:
            with leases.heartbeat(run):
                return gates.judge_run(run, runs.train(run, on_progress))
        except EmendError as error:
            runs.finish(run, "failed", error)
    return False


@bell("training.start_due_runs", waiting=runs.due_waiting_seconds)
def start_due_runs() -> None:
    runs.start_due()


@bell("training.advance_rollouts", waiting=rollouts.waiting_seconds)
def advance_rollouts() -> None:
    rollouts.look_at_due()


@bell("training.score_contributors", waiting=contributors.waiting_seconds, is_short=False)
def score_contributors() -> None:
    contributors.score_due()


@bell("training.choose_answers", waiting=checking.waiting_seconds, is_short=False)
def choose_answers() -> None:
    checking.choose_due()


@bell(orphans.TASK, waiting=orphans.waiting_seconds, is_short=False)
def remove_orphans() -> None:
    orphans.remove()


@bell("training.archive", waiting=archives.waiting_seconds, is_short=False)
def archive() -> None:
    while archives.archive_next():
        pass


@bell("training.credit_models", waiting=crediting.waiting_seconds, is_short=False)
def credit_models() -> None:
    while crediting.credit_next():
        pass
