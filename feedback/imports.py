"""Starting data: examples that did not come from feedback."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction

from config.errors import Malformed, Problem
from feedback.capture import build_inference, require_free_disk
from feedback.models import Example, Task
from feedback.serializers import SentBody

BATCH_ROWS = 2_000


@transaction.atomic
def import_examples(
    task: Task, pairs: Iterable[tuple[Any, Any]], *, split: str | None = None
) -> int:
    """Store pairs of input and output as examples; return how many.

    They are checked and redacted like any inference. `split` ("train" or "holdout") holds for
    inputs that the task does not know yet; without it the input's hash decides. Raises Malformed
    with the place of the first bad pair, and stores none.
    """
    require_free_disk()
    made = Example.objects.bulk_create(
        (_example(task, number, pair, split) for number, pair in enumerate(pairs)),
        batch_size=BATCH_ROWS,
    )
    return len(made)


def _example(task: Task, number: int, pair: tuple[Any, Any], split: str | None) -> Example:
    try:
        parts = build_inference(task, *pair, SentBody())
    except Malformed as error:
        placed = [Problem(f"/items/{number}{p.pointer}", p.code, p.detail) for p in error.errors]
        raise Malformed(f"Item {number}: {error.detail}", errors=placed) from None
    input_hash = bytes(parts.input_hash)
    return Example(
        task=task,
        source="import",
        input=parts.input,
        output=parts.output,
        input_hash=input_hash,
        base_weight=1.0,
        split=Example.objects.side_of(task, input_hash, wish=split),
    )
