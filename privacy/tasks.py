"""Erasures and retention as the worker runs them."""

from config.celery import bell
from privacy import erasure, retention


@bell("privacy.erase", waiting=erasure.waiting_seconds, is_short=False)
def erase() -> None:
    while erasure.erase_next():
        pass


@bell(retention.TASK, waiting=retention.waiting_seconds, is_short=False)
def apply_retention() -> None:
    retention.apply_due()
