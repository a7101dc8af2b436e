"""Starting data: examples that did not come from feedback."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

from django.db import transaction

from config.errors import Malformed, Problem
from feedback.capture import require_free_disk
from feedback.capture.cleaning import check_input, check_output, clean
from feedback.models import Example, Task
from feedback.normalise import content_hash

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
    count = 0
    numbered = enumerate(pairs)
    while batch := [_example(task, *item) for item in islice(numbered, BATCH_ROWS)]:
        sides = Example.objects.sides_of(task.pk, [bytes(e.input_hash) for e in batch], wish=split)
        for example in batch:
            example.split = sides[bytes(example.input_hash)]
        count += len(Example.objects.bulk_create(batch))
    return count


def _example(task: Task, number: int, pair: tuple[Any, Any]) -> Example:
    input_, output = pair
    try:
        check_input(task, input_)
        check_output(task, input_, output)
    except Malformed as error:
        placed = [Problem(f"/items/{number}{p.pointer}", p.code, p.detail) for p in error.errors]
        raise Malformed(f"Item {number}: {error.detail}", errors=placed) from None
    found = clean(task, output, input_)
    (clean_input,) = found.others
    return Example(
        task=task,
        source="import",
        input=clean_input,
        output=found.output,
        input_hash=content_hash(task.kind.identity(clean_input, found.output)),
        base_weight=1.0,
    )
