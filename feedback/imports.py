"""Starting data: examples that did not come from feedback."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, get_args

from django.db import connection, transaction

from config import json
from config.api import malformed
from config.errors import Malformed, Problem
from feedback.capture import require_free_disk
from feedback.capture.cleaning import check_input, check_output, clean
from feedback.modalities.base import is_number
from feedback.models import Example, Task
from feedback.normalise import content_hash
from feedback.signals import Case

BATCH_ROWS = 2_000
# What a thumb says of an output, without a word on what would be right.
_SIGNALS = {None: "", True: "up", False: "down"}


class Item(NamedTuple):
    """One row of starting data, as a file or a request holds it: nothing is checked yet.

    With a `case` it is one of the `eval` datasets, too. `label` false says that the output is not
    desirable: only `unpaired` datasets take it.
    """

    input: Any
    output: Any
    split: str | None = None
    weight: float = 1.0
    rejected: Any = None
    case: str = ""
    label: bool | None = None
    place: str = ""  # where a person finds it; else it goes by its number
    fault: str = ""  # why its reader could not read it: then it holds nothing else


class Row(NamedTuple):
    """An example before it is stored; names are those of columns."""

    task_id: int
    signal: str
    input: str  # JSON, as the outputs are
    output: str
    rejected_output: str | None
    case: str
    input_hash: bytes
    base_weight: float
    split: str  # which it wishes for, until it is chosen; "" for none
    source: str = "import"
    is_pinned: bool = False


_COLUMNS = ", ".join(f'"{name}"' for name in Row._fields)
_COPY = f"COPY feedback_example ({_COLUMNS}) FROM STDIN"


@transaction.atomic
def import_examples(
    task: Task,
    items: Iterable[Item | tuple[Any, Any]],
    *,
    split: str | None = None,
    refused: list[Malformed] | None = None,
) -> int:
    """Store items, or pairs of input and output, as examples; return how many.

    They are checked and redacted like any inference. An item's split, else `split` ("train" or
    "holdout"), holds for inputs that the task does not know yet; without either the input's hash
    decides. Raises Malformed with the place of the first bad item, and stores none; with a list
    `refused` the bad ones are left out and told there.
    """
    require_free_disk()
    count = 0
    rows = _rows(task, items, split or "", refused)
    while batch := list(islice(rows, BATCH_ROWS)):
        sides = _sides(task, batch)
        with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for row in batch:
                copy.write_row(row._replace(split=sides[row.input_hash]))
        count += len(batch)
    return count


def _rows(
    task: Task,
    items: Iterable[Item | tuple[Any, Any]],
    split: str,
    refused: list[Malformed] | None,
) -> Iterator[Row]:
    for number, pair in enumerate(items):
        item = Item(*pair)
        try:
            _check(task, item)
        except Malformed as error:
            told = _placed(error, f"/items/{number}", item.place or f"Item {number}")
            if refused is None:
                raise told from None
            refused.append(told)
        else:
            yield _row(task, item, split)


def _sides(task: Task, batch: list[Row]) -> dict[bytes, str]:
    """Return the side of each input: that which is known, else the first one wished for."""
    wishes: dict[bytes, str] = {}
    for row in batch:
        wishes[row.input_hash] = wishes.get(row.input_hash) or row.split
    sides: dict[bytes, str] = {}
    for wish in set(wishes.values()):
        wished = [digest for digest, side in wishes.items() if side == wish]
        sides |= Example.objects.sides_of(task.pk, wished, wish=wish)
    return sides


def _check(task: Task, item: Item) -> None:
    if item.fault:
        raise malformed("", item.fault)
    content = {"input": item.input, "output": item.output, "rejected": item.rejected}
    try:
        json.loads(json.dumps(content))  # what no request could send comes in by no file
    except json.Malformed as error:
        raise malformed(error.pointer, error.detail) from None
    check_input(task, item.input)
    check_output(task, item.input, item.output)
    if item.rejected is not None:
        try:
            check_output(task, item.input, item.rejected)
        except Malformed as error:
            raise _placed(error, "/rejected", "Rejected", within="/output") from None
    _check_notes(item)


def _check_notes(item: Item) -> None:
    """Judge what an item says besides its content."""
    if not is_number(item.weight) or not 0 <= item.weight <= 1:
        raise malformed("/weight", "A number from 0 to 1.")
    if item.split not in (None, "train", "holdout"):
        raise malformed("/split", "train or holdout.")
    if item.case not in get_args(Case):
        raise malformed("/case", "golden, regression or nothing.")
    if item.label is not None and not isinstance(item.label, bool):
        raise malformed("/label", "true (desirable), false or nothing.")
    if item.label is False and item.case:  # a case says what is right, and is trained on
        raise malformed("/label", f"false (undesirable) is no {item.case} case.")


def _placed(error: Malformed, pointer: str, place: str, *, within: str = "") -> Malformed:
    problems = [
        Problem(pointer + p.pointer.removeprefix(within), p.code, p.detail) for p in error.errors
    ]
    return Malformed(f"{place}: {error.detail}", errors=problems)


def _row(task: Task, item: Item, split: str) -> Row:
    found = clean(task, item.output, item.input)
    (clean_input,) = found.others
    rejected = None if item.rejected is None else clean(task, item.rejected).output
    return Row(
        task_id=task.pk,
        signal=_SIGNALS[item.label],
        input=json.dumps(clean_input).decode(),
        output=json.dumps(found.output).decode(),
        rejected_output=None if rejected is None else json.dumps(rejected).decode(),
        case=item.case,
        input_hash=content_hash(task.kind.identity(clean_input, found.output)),
        base_weight=item.weight,
        split=item.split or split,
    )
