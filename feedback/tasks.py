"""Processing as the worker runs it: one task for each queue, so that none delays another."""

from functools import partial

from config.celery import bell
from feedback import figures, traffic
from feedback.processing import process_queue, waiting_seconds
from feedback.review import ranking

TEXT, LAYOUT, IMAGE = "process.text", "process.layout", "process.image"


@bell("feedback.process_text", waiting=partial(waiting_seconds, TEXT))
def process_text() -> None:
    process_queue(TEXT)


@bell("feedback.process_layout", waiting=partial(waiting_seconds, LAYOUT))
def process_layout() -> None:
    process_queue(LAYOUT)


@bell("feedback.process_image", waiting=partial(waiting_seconds, IMAGE))
def process_image() -> None:
    process_queue(IMAGE)


@bell("feedback.measure_tasks", waiting=traffic.waiting_seconds, is_short=False)
def measure_tasks() -> None:
    traffic.measure_tasks()


@bell("feedback.measure_figures", waiting=figures.waiting_seconds, is_short=False)
def measure_figures() -> None:
    figures.measure()


@bell(ranking.TASK, waiting=ranking.waiting_seconds, is_short=False)
def rank_queue() -> None:
    ranking.rank_queue()
