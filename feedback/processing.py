"""Pending feedback becomes training-ready examples, in batches, exactly once.

A batch is claimed in a transaction of its own: `ready_at` moves past a lease and `attempts`
counts. If the worker dies the rows are ready again when the lease ends, and are then claimed
one at a time, so that a row that kills its worker harms no other; after three deaths alone it
is `failed` and waits for a person.
"""

import time
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from config.errors import EmendError
from feedback.errors import ExampleRefused, WorkerDied
from feedback.modalities.base import ExampleDraft
from feedback.models import Example, Feedback, Inference, Review, Status, Task
from feedback.signals import SIGNALS

BATCH_ROWS = 200
LEASE_SECONDS = 15
MAX_ATTEMPTS = 4  # one in a batch, three alone
DRAIN_SECONDS = 20


def waiting_seconds(queue: str) -> float | None:
    """Return how long the oldest ready row of the queue has waited; None if there is none."""
    oldest = Feedback.objects.ready(queue).annotate(waited=Now() - F("ready_at")).first()
    return None if oldest is None else float(oldest.waited.total_seconds())


def process_queue(queue: str) -> int:
    """Process ready rows until none is left or the time of one task is up; return how many."""
    total = 0
    ends_at = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < ends_at:
        claimed = claim(queue)
        if not claimed:
            break
        total += process(claimed)
    return total


@transaction.atomic
def claim(queue: str) -> dict[int, int]:
    """Lease up to a batch of ready rows; return each row's number and its attempt.

    A row that was tried before is claimed alone; one that was tried too often becomes failed.
    """
    rows = list(
        Feedback.objects.ready(queue)
        .select_for_update(skip_locked=True)
        .values_list("number", "attempts")[:BATCH_ROWS]
    )
    spent = [number for number, attempts in rows if attempts >= MAX_ATTEMPTS]
    Feedback.objects.filter(number__in=spent).update(status=Status.FAILED, error=WorkerDied.code)
    fresh = [number for number, attempts in rows if attempts == 0]
    tried = [number for number, attempts in rows if 0 < attempts < MAX_ATTEMPTS]
    # In the order of their time: neither kind may keep the other waiting.
    chosen = tried[:1] if rows and rows[0][1] else fresh
    Feedback.objects.filter(number__in=chosen).update(
        attempts=F("attempts") + 1, ready_at=Now() + timedelta(seconds=LEASE_SECONDS)
    )
    attempts_of = dict(rows)
    return {number: attempts_of[number] + 1 for number in chosen}


def process(claimed: dict[int, int]) -> int:
    """Turn claimed rows into examples; effect and status change commit together.

    Rows whose lease was lost to another worker are left alone (the attempt is the fencing
    token). A row that cannot become an example fails alone, with its code.
    """
    done: list[int] = []
    examples: list[Example] = []
    with transaction.atomic():
        for row in _still_ours(claimed):
            try:
                examples += build_examples(row)
                done.append(row.number)
            except EmendError as error:
                Feedback.objects.filter(number=row.number).update(
                    status=Status.FAILED, error=error.code
                )
        outdated = Example.objects.filter(feedback__in=done, superseded_at=None)
        outdated.update(superseded_at=Now())
        Example.objects.bulk_create(examples)
        Feedback.objects.filter(number__in=done).update(status=Status.PROCESSED, processed_at=Now())
    return len(done)


def _still_ours(claimed: dict[int, int]) -> list[Feedback]:
    rows = (
        Feedback.objects.pending()
        .filter(number__in=claimed)
        .select_related("task", "inference", "review")
        .select_for_update(of=["self"])
        .order_by("number")
    )
    return [row for row in rows if row.attempts == claimed[row.number]]


def build_examples(feedback: Feedback) -> list[Example]:
    """Return the examples that this feedback and its standing review teach; none for many signals.

    Raises ExampleRefused if the review accepted something that is not an output of the task.
    """
    review: Review | None = getattr(feedback, "review", None)
    corrected = feedback.corrected
    if review is not None and review.corrected is not None:
        corrected = review.corrected
    drafts = feedback.task.kind.to_examples(
        signal=feedback.signal, original=feedback.original, corrected=corrected
    )
    return [_example(feedback, review, draft) for draft in drafts]


def _example(feedback: Feedback, review: Review | None, draft: ExampleDraft) -> Example:
    labels = feedback.task.labels
    if feedback.task.kind.validate_output(draft.output, labels=labels):
        raise ExampleRefused  # the task's labels changed since the feedback was captured
    return Example(
        task=feedback.task,
        feedback=feedback,
        source="audit" if feedback.source == "audit" else "feedback",
        signal=feedback.signal,
        input=feedback.inference.input,
        output=draft.output,
        rejected_output=draft.rejected_output,
        case=draft.case,
        is_pinned=review is not None and review.is_pinned,
        input_hash=bytes(feedback.input_hash),
        base_weight=SIGNALS[feedback.signal].weight,
        split=Example.objects.side_of(feedback.task, bytes(feedback.input_hash)),
        review_history_id=None if review is None else review.history.latest().pk,
    )


def add_silent_examples(task: Task) -> int:
    """Make an example of each answer that people let stand; return how many are new.

    Their weight is the task's `silence_weight`; with 0 silence says nothing and none is made.
    """
    weight = task.options.silence_weight
    if not weight:
        return 0
    silent = Inference.objects.silent(task).filter(examples=None)
    made = Example.objects.bulk_create(
        (
            Example(
                task=task,
                inference=inference,
                source="silence",
                input=inference.input,
                output=inference.output,
                input_hash=bytes(inference.input_hash),
                base_weight=weight,
                split=Example.objects.side_of(task, bytes(inference.input_hash)),
            )
            for inference in silent.iterator(chunk_size=2_000)
        ),
        batch_size=2_000,
        ignore_conflicts=True,
    )
    return len(made)
