"""What a dataset is for: which rows it takes and which columns they have. Pure."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

PurposeName: TypeAlias = Literal["train", "eval", "preference", "unpaired"]


@dataclass(frozen=True)
class Purpose:
    """Describe a purpose.

    `takes` is a condition on a row e of feedback_example: what else there is was never meant for
    it. `kind` is an expression that gives the row's kind, which is part of its identity. Rows like
    one of the holdout are left out where `is_split`; eval cases stand on both sides for ever.
    """

    takes: str
    kind: str
    has_rejected: bool = False
    is_split: bool = True


# A down-vote alone says what was wrong and not what is right: only `unpaired` can use it.
BARE_DOWN = "(e.signal = 'down' AND e.\"case\" = '')"
PURPOSES: dict[str, Purpose] = {
    "train": Purpose(takes=f"NOT {BARE_DOWN}", kind="'train'"),
    "eval": Purpose(takes="e.\"case\" <> ''", kind='e."case"', is_split=False),
    "preference": Purpose(
        takes="e.rejected_output IS NOT NULL", kind="'preference'", has_rejected=True
    ),
    "unpaired": Purpose(
        takes=f"(e.signal = 'up' OR {BARE_DOWN})",
        kind="CASE e.signal WHEN 'up' THEN 'desirable' ELSE 'undesirable' END",
    ),
}
