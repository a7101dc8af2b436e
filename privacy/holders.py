"""The table in which each app says what it holds of a person, and brings what takes it away.

An app registers its `Holdings` when it is ready. Erasures walk them from the top of the house to
the bottom: what was derived goes before what it was derived from.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Model, Q

from privacy.models import ErasureRequest, Project

Counts = dict[str, int]  # by the label of a holder, perhaps with a word on what was done


class Told(NamedTuple):
    """What a person sent once, and what became of it, in words for that person."""

    number: int
    at: datetime
    what: str
    became: list[dict[str, str]]  # at, text; oldest first


@dataclass(frozen=True)
class Holder:
    """What one table, or one other place, holds of a person; in words for a privacy officer.

    `label` is a model's (`feedback.Feedback`), or names the place (`storage/images`). A holder of
    nothing says so with an empty `holds`.
    """

    label: str
    holds: str = ""
    on_erasure: str = ""
    kept: str = ""


@dataclass(frozen=True)
class Step:
    """One part of an erasure; `says` is what a person reads while it goes on.

    An atomic step runs in one transaction with the note that it is done. Any other may be begun
    again after it was cut off or after a later one failed, and must come to the same counts; it
    comes when all rows are gone.
    """

    name: str
    says: str
    run: Callable[[ErasureRequest], Counts]
    is_atomic: bool = True


def _contradict_nothing(_project: Project) -> Counts:
    return {}


def _names_nothing(_folder: str, _names: Collection[str]) -> set[str]:
    return set()


def _nobody(_project: Project) -> Iterable[tuple[str, str]]:
    return ()


def _nothing(_project: Project, _user_id: str) -> Iterator[tuple[str, Iterator[Any]]]:
    return iter(())


def _prove_nothing(_erasure: ErasureRequest) -> dict[str, Any]:
    return {}


def _count_nothing(_project: Project, _user_id: str) -> Counts:
    return {}


def _tell_nothing(_project: Project, _user_id: str, _before: int | None) -> Iterator[Told]:
    return iter(())


def _unlink_nothing(_project: Project, _user_id: str, _to: str | None) -> None:
    pass


@dataclass(frozen=True)
class Holdings:
    """What one app brings.

    `people` yields every pair of a holder's label and a user_id that its tables hold. `held`
    yields, for the export, names of sections and their rows. `unlink` puts another user_id, or
    none, in the place of a person's, in a transaction that may rewrite history. `proven` returns
    what the receipt says beside counts and files. `counted` returns how many rows the sections of
    `held` have, fast, and `told` yields what a person sent with what became of it, newest first,
    where `before` is the number of the last one that was read. `named` returns which of a folder's
    files its rows name. `contradictions` counts what was emptied once and holds something again.
    """

    holders: Sequence[Holder]
    steps: Sequence[Step] = ()
    people: Callable[[Project], Iterable[tuple[str, str]]] = _nobody
    held: Callable[[Project, str], Iterator[tuple[str, Iterator[Any]]]] = _nothing
    unlink: Callable[[Project, str, str | None], None] = _unlink_nothing
    proven: Callable[[ErasureRequest], dict[str, Any]] = _prove_nothing
    counted: Callable[[Project, str], Counts] = _count_nothing
    told: Callable[[Project, str, int | None], Iterator[Told]] = _tell_nothing
    named: Callable[[str, Collection[str]], set[str]] = _names_nothing
    contradictions: Callable[[Project], Counts] = _contradict_nothing


_holdings: list[Holdings] = []


def register(holdings: Holdings) -> None:
    """Add what an app holds; apps become ready from the bottom of the house to its top."""
    _holdings.append(holdings)


def registered() -> list[Holdings]:
    """Return what all apps hold, from the top of the house to its bottom."""
    return _holdings[::-1]


def holders() -> list[Holder]:
    return [holder for holdings in _holdings for holder in holdings.holders]


def steps() -> list[Step]:
    """Return the rows' steps of all apps, then what takes long: nothing is made of rows by then."""
    found = [step for holdings in registered() for step in holdings.steps]
    return sorted(found, key=lambda step: not step.is_atomic)


def people(project: Project) -> Iterator[tuple[str, str]]:
    for holdings in registered():
        yield from holdings.people(project)


def counted(project: Project, user_id: str) -> Counts:
    """Return how many rows are held of a person, by the sections of the export."""
    counts: Counter[str] = Counter()
    for holdings in registered():
        counts.update(holdings.counted(project, user_id))
    return {section: n for section, n in counts.items() if n}


def of_project(model: type[Model], project: Project) -> Q:
    """Return which rows of a model are a project's, or lost what would tell whose they are."""
    fields = {field.name: field.related_model for field in model._meta.fields}
    owners = (f"{name}__project" for name, owner in fields.items() if hasattr(owner, "project"))
    path = "project" if "project" in fields else next(owners)
    return Q(**{path: project}) | Q(**{f"{path}__isnull": True})


def named(folder: str, names: Collection[str]) -> set[str]:
    """Return which of a folder's files any row names."""
    return {name for holdings in _holdings for name in holdings.named(folder, names)}


def note_files(erasure: ErasureRequest, folder: str, digests: Iterable[str]) -> None:
    """Remember files that a later step removes; call in an atomic step."""
    known = set(erasure.files.get(folder, ()))
    erasure.files[folder] = sorted(known | set(digests))
