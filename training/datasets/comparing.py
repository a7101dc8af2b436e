"""What makes one version of a dataset differ from another."""

from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple

from django.db import connection

from feedback.models import Example
from training.curation import permission
from training.models import DatasetVersion

LISTED_ROWS = 1_000  # of each kind of change
# Rows that one version has and the other has not, by hash; of exact twins any.
_ONLY_IN = """
    SELECT DISTINCT ON (t.row_hash) encode(e.input_hash, 'hex'), t.split, e.id
    FROM training_membership AS t JOIN feedback_example AS e ON e.id = t.example_id
    WHERE t.dataset_id = %(dataset)s AND {changed}
    AND t.since_version <= %(mine)s AND (t.until_version IS NULL OR t.until_version > %(mine)s)
    AND NOT EXISTS (
        SELECT 1 FROM training_membership AS twin WHERE twin.dataset_id = t.dataset_id
        AND twin.row_hash = t.row_hash AND twin.since_version <= %(other)s
        AND (twin.until_version IS NULL OR twin.until_version > %(other)s))
    ORDER BY t.row_hash, e.id"""


class Change(NamedTuple):
    """A row that only one of two versions has."""

    input_hash: str
    split: str
    example: int


def diff(version: DatasetVersion, against: DatasetVersion) -> dict[str, Any]:
    """Tell which rows `version` has and `against` has not, and the reverse.

    Counts are of all distinct rows. Listed are up to 1,000 of each kind, without people who opted
    out; a row that went and one that came with the same input are one change.
    """
    came, went = _only_in(version, against), _only_in(against, version)
    never = permission.forbidden(version.dataset.task)
    before: dict[str, list[Change]] = {}
    for change in went:
        before.setdefault(change.input_hash, []).append(change)
    changed, added = [], []
    for change in came:
        old = before.get(change.input_hash)
        if old:
            changed.append((old.pop(), change))
        else:
            added.append(change)
    removed = [change for left in before.values() for change in left]

    def listed(rows: Iterable[tuple[Change, ...]]) -> list[tuple[Change, ...]]:
        shown = (row for row in rows if not never & {change.example for change in row})
        return list(islice(shown, LISTED_ROWS))

    pairs, new, gone = listed(changed), listed((c,) for c in added), listed((c,) for c in removed)
    said = _contents([change.example for row in pairs + new + gone for change in row])
    return {
        "added": len(came),
        "removed": len(went),
        "rows": {
            "changed": [
                {**said[after.example], "from": said[before.example]["output"]}
                for before, after in pairs
            ],
            "added": [said[change.example] for (change,) in new],
            "removed": [said[change.example] for (change,) in gone],
        },
    }


def _only_in(mine: DatasetVersion, other: DatasetVersion) -> list[Change]:
    is_later = mine.version > other.version
    changed = "t.since_version > %(other)s" if is_later else "t.until_version <= %(other)s"
    versions = {"dataset": mine.dataset_id, "mine": mine.version, "other": other.version}
    with connection.cursor() as cursor:
        cursor.execute(_ONLY_IN.format(changed=changed), versions)
        return [Change(*row) for row in cursor.fetchall()]


def _contents(examples: list[int]) -> dict[int, dict[str, Any]]:
    rows = Example.objects.filter(pk__in=examples).values("pk", "input", "output")
    return {row.pop("pk"): row for row in rows}
