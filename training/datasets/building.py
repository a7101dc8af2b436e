"""Fill a version with what its parent has and what changed since; the record is intervals."""

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from django.db import connection

from feedback.models import Task
from training import curation
from training.models import Dataset, DatasetVersion
from training.purposes import PURPOSES
from training.sethash import ROW_HASH_BYTES, SetHash

LISTED_FEEDBACK = 1_000
_NOW = """
    SELECT statement_timestamp(), system_identifier,
        pg_snapshot_xmin(pg_current_snapshot())::text::bigint FROM pg_control_system()"""
# Transaction numbers of another database, which a dump brought along, say nothing here.
_TOUCHED = ["feedback_example", "feedback", "feedback_review", "feedback_contributor"]
_TOUCHED += ["privacy_consent", "training_answertocheck"]
_WHOLE = "true"
_CHANGED = "t.example_id IN (SELECT id FROM decided)"
# What a version had for a moment, while it was built, it never had.
_CLOSE = """
    WITH ended AS (
        SELECT t.id, t.since_version FROM {table} AS t
        WHERE t.dataset_id = %(dataset)s AND t.until_version IS NULL AND {which} AND NOT {holds}
    ), never AS (
        DELETE FROM {table} AS t USING ended
        WHERE t.id = ended.id AND ended.since_version = %(version)s
    ), closed AS (
        UPDATE {table} AS t SET until_version = %(version)s FROM ended
        WHERE t.id = ended.id AND ended.since_version < %(version)s
    )
    SELECT count(*) FROM ended"""
_IS_MEMBER = """
    EXISTS (SELECT 1 FROM judged AS j WHERE j.example_id = t.example_id AND j.reason = ''
        AND j.row_hash = t.row_hash)"""
_ADMIT = """
    INSERT INTO training_membership (dataset_id, example_id, row_hash, split, since_version)
    SELECT %(dataset)s, j.example_id, j.row_hash, j.split, %(version)s FROM judged AS j
    WHERE j.reason = '' AND NOT EXISTS (
        SELECT 1 FROM training_membership AS t WHERE t.dataset_id = %(dataset)s
        AND t.example_id = j.example_id AND t.until_version IS NULL)
    ORDER BY j.example_id + 0"""  # a sort, so all is looked up before the first row is written
_LEFT_OUT = f"""
    CREATE TEMPORARY TABLE refused ON COMMIT DROP AS
    SELECT id AS example_id, reason, NULL::bigint AS holdout_example_id, NULL::float8 AS similarity
    FROM decided WHERE reason NOT IN ('', '{curation.GONE}', '{curation.GUARD}')
    UNION ALL SELECT example_id, reason, holdout_example_id, similarity
    FROM judged WHERE reason <> ''"""  # noqa: S608
_IS_LEFT_OUT = """
    EXISTS (SELECT 1 FROM refused AS r WHERE r.example_id = t.example_id AND r.reason = t.reason
        AND r.holdout_example_id IS NOT DISTINCT FROM t.holdout_example_id)"""
_LIST = """
    INSERT INTO training_leftout
        (dataset_id, example_id, reason, holdout_example_id, similarity, since_version)
    SELECT %(dataset)s, r.example_id, r.reason, r.holdout_example_id, r.similarity, %(version)s
    FROM refused AS r WHERE NOT EXISTS (
        SELECT 1 FROM training_leftout AS t WHERE t.dataset_id = %(dataset)s
        AND t.example_id = r.example_id AND t.until_version IS NULL)
    ORDER BY r.example_id + 0"""

# In some hundred lumps: to hand over a million rows one by one takes longer than to find them.
_DISTINCT = """
    SELECT split, label, count(*), string_agg(row_hash, '') FROM (
        SELECT DISTINCT ON (t.row_hash) t.row_hash, t.split,
            CASE WHEN %(has_labels)s THEN e.output #>> '{{}}' END AS label
        FROM training_membership AS t JOIN feedback_example AS e ON e.id = t.example_id
        WHERE t.dataset_id = %(dataset)s AND {changed} AND NOT EXISTS (
            SELECT 1 FROM training_membership AS twin WHERE twin.dataset_id = t.dataset_id
            AND twin.row_hash = t.row_hash AND {has_twin})
    ) AS r GROUP BY split, label, get_byte(row_hash, 0)"""
_ADDED = {
    "changed": "t.since_version = %(version)s",
    "has_twin": "twin.since_version < %(version)s "
    "AND (twin.until_version IS NULL OR twin.until_version >= %(version)s)",
}
_REMOVED = {"changed": "t.until_version = %(version)s", "has_twin": "twin.until_version IS NULL"}
_CHANGES = ((_ADDED, 1), (_REMOVED, -1))
_THERE = {"changed": "t.until_version IS NULL", "has_twin": "false"}
_TALLY = """
    SELECT {columns}, {number} FROM {rows}
    WHERE t.dataset_id = %(dataset)s AND {which} GROUP BY {columns}"""
_BY_CHANGE = {
    "number": "count(*) FILTER (WHERE t.since_version = %(version)s)"
    " - count(*) FILTER (WHERE t.until_version = %(version)s)",
    "which": "(t.since_version = %(version)s OR t.until_version = %(version)s)",
}
_OF_ALL = {"number": "count(*)", "which": "t.until_version IS NULL"}
_EXAMPLES = """
    training_membership AS t JOIN feedback_example AS e ON e.id = t.example_id
    LEFT JOIN feedback AS f ON f.number = e.feedback_id"""
_ADDED_FEEDBACK = f"""
    SELECT DISTINCT f.number, f.id::text FROM {_EXAMPLES}
    WHERE t.dataset_id = %(dataset)s AND t.since_version = %(version)s AND f.number IS NOT NULL
    ORDER BY f.number LIMIT {LISTED_FEEDBACK}"""  # noqa: S608

# What a version had and left out, decided as it was, but that some rows may have been like one of
# the holdout that is there no more: these are asked again. The row's hash stays as it was.
_AS_DECIDED = """
    DROP TABLE IF EXISTS decided;
    CREATE TEMPORARY TABLE decided ON COMMIT DROP AS
    WITH stay AS (
        SELECT example_id, split::text, '' AS reason FROM training_membership
        WHERE dataset_id = %(like)s AND since_version <= %(number)s
        AND (until_version IS NULL OR until_version > %(number)s)
        UNION ALL
        SELECT example_id, 'train', CASE WHEN reason IN ('in_holdout', 'near_holdout') THEN ''
            ELSE reason::text END FROM training_leftout
        WHERE dataset_id = %(like)s AND since_version <= %(number)s
        AND (until_version IS NULL OR until_version > %(number)s)
    )
    SELECT e.id, stay.split, {kind}::text AS kind, stay.reason
    FROM stay JOIN feedback_example AS e ON e.id = stay.example_id
    WHERE NOT e.id = ANY(%(never)s::bigint[])"""
_AS_HASHED = """
    UPDATE judged AS j SET row_hash = t.row_hash FROM training_membership AS t
    WHERE j.reason = '' AND t.example_id = j.example_id AND t.dataset_id = %(like)s
    AND t.since_version <= %(number)s
    AND (t.until_version IS NULL OR t.until_version > %(number)s)"""


def fill(version: DatasetVersion) -> None:
    """Decide what is in the version and note what identifies it; call in its transaction."""
    dataset = Dataset.objects.select_related("task__project").get(pk=version.dataset_id)
    parent = dataset.versions.filter(status="ready").order_by("-version").first()
    version.parent = None if parent is None else parent.version
    version.rules = curation.rules_of(dataset)
    version.task_history_id = dataset.task.history.latest().pk
    version.dataset_history_id = dataset.history.latest().pk
    version.as_of, version.cluster, seen_to = _query(_NOW)[0]
    _query("SET LOCAL work_mem = '128MB'")  # sorts and joins of a million rows stay in memory
    if parent is not None and parent.cluster != version.cluster:
        _forget_transactions()
    is_alike = parent is not None and (parent.rules, parent.cluster) == (
        version.rules,
        version.cluster,
    )
    base = parent if is_alike else None
    sides = None
    if PURPOSES[dataset.purpose].is_split:
        sides = curation.Sides(dataset, version=version, parent=base)
    _advance(version, dataset, sides, since=None if base is None else base.seen_to)
    _identify(version, parent, base, dataset.task)
    # Who withdraws from now on waits until the version is there, and is not in the next; who did
    # so while it was built is not in this one. What takes long is done before.
    _query("LOCK TABLE privacy_consent IN SHARE MODE")
    ((version.as_of, _, version.seen_to),) = _query(_NOW)
    if _advance(version, dataset, sides, since=seen_to):
        _identify(version, parent, base, dataset.task)
    was_compared = base is None or base.is_compared
    version.is_compared = was_compared and (sides is None or sides.is_compared)


def fill_as(version: DatasetVersion, like: DatasetVersion, *, never: set[int]) -> None:
    """Fill a version with what another had, as if erased people had never been there.

    What other people decided stands as it was recorded then, `never` aside; all else is computed
    anew. Both are for training. Call in the version's transaction.
    """
    dataset = version.dataset
    parent = dataset.versions.filter(status="ready").order_by("-version").first()
    version.parent = None if parent is None else parent.version
    version.as_of, version.task_history_id = like.as_of, like.task_history_id
    version.dataset_history_id = dataset.history.latest().pk
    ((_, version.cluster, version.seen_to),) = _query(_NOW)
    asked = {"like": like.dataset_id, "number": like.version, "never": sorted(never)}
    _query("SET LOCAL work_mem = '128MB'")
    _query(_AS_DECIDED.format(kind=PURPOSES[dataset.purpose].kind), asked)
    _query("CREATE INDEX ON decided (id); ANALYZE decided")
    sides = curation.Sides(dataset, version=version, parent=None)
    curation.judge(dataset, sides, is_whole=True)
    _query(_AS_HASHED, asked)
    _record(version, is_whole=True)
    _identify(version, parent, None, dataset.task)
    version.is_compared = sides.is_compared


def _query(statement: str, parameters: Any = None) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def _write(statement: str, parameters: Any) -> int:
    """Return how many rows were written."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)


def _forget_transactions() -> None:
    for table in _TOUCHED:
        _query(
            f"UPDATE {table} SET touched = 0 "  # noqa: S608
            "WHERE touched > pg_current_xact_id()::text::bigint"
        )


def _advance(
    version: DatasetVersion, dataset: Dataset, sides: curation.Sides | None, *, since: int | None
) -> bool:
    """Bring the record to what holds now, by all examples or by those of `since`, if any.

    Returns whether anything came, went or is left out for another reason.
    """
    curation.choose(dataset, sides, since=since)
    return _record(version, is_whole=since is None)


def _record(version: DatasetVersion, *, is_whole: bool) -> bool:
    """End and open intervals by the temporary tables `decided` and `judged`."""
    here = _here(version)
    _query("ANALYZE judged")
    which = _WHOLE if is_whole else _CHANGED
    _query("DROP TABLE IF EXISTS refused")
    _query(_LEFT_OUT)
    _query("CREATE INDEX ON refused (example_id); ANALYZE refused")
    memberships = {"table": "training_membership", "which": which, "holds": _IS_MEMBER}
    left_out = {"table": "training_leftout", "which": which, "holds": _IS_LEFT_OUT}
    changes = _query(_CLOSE.format(**memberships), here)[0][0] + _write(_ADMIT, here)
    changes += _query(_CLOSE.format(**left_out), here)[0][0] + _write(_LIST, here)
    if is_whole:
        _query("ANALYZE training_membership, training_leftout")
    return bool(changes)


def _identify(
    version: DatasetVersion, parent: DatasetVersion | None, base: DatasetVersion | None, task: Task
) -> None:
    """Note the version's hash and counts: those of `base` and what changed, or of all rows.

    Exact twins count once, so a row is gone only when its last twin is.
    """
    known = {} if base is None else base.counts
    splits: Counter[str] = Counter(known.get("splits"))
    labels: Counter[str | None] = Counter(known.get("labels"))
    identity = SetHash(None if base is None else bytes(base.current_state))
    changed: Counter[int] = Counter()
    with ThreadPoolExecutor(1) as beside:  # sums up while the database checks and counts
        sums: list[Future[None]] = []
        for which, step in ((_THERE, 1),) if base is None else _CHANGES:
            for split, label, number, hashes in _distinct(version, task, which):
                sums.append(beside.submit(identity.add if step > 0 else identity.remove, hashes))
                changed[step] += number
                splits[split] += step * number
                labels[label] += step * number
        del labels[None]
        _query("SET CONSTRAINTS ALL IMMEDIATE")
        if parent is not None and base is None:  # all was read, not what differs from the parent
            for which, step in _CHANGES:
                changed[step] = sum(row[2] for row in _distinct(version, task, which))
        version.counts = {
            "total": splits.total(),
            "added": changed[1],
            "removed": changed[-1],
            "splits": _positive(splits),
            "labels": _positive(labels),
            "sources": _note_sources(version, base),
            "left_out": _left_out(version, base),
        }
        for done in sums:
            done.result()
    version.hash_state = version.current_state = identity.state
    version.content_hash = version.current_hash = identity.hexdigest()


def _left_out(version: DatasetVersion, base: DatasetVersion | None) -> dict[str, int]:
    left_out: Counter[str] = Counter({} if base is None else base.counts["left_out"])
    for reason, number in _tally(version, base, "t.reason", "training_leftout AS t"):
        left_out[reason] += number
    return _positive(left_out)


def _distinct(
    version: DatasetVersion, task: Task, which: dict[str, str]
) -> Iterator[tuple[str, str | None, int, Iterator[bytes]]]:
    """Yield split, label, number and hashes of rows that came or went with the version."""
    parameters = _here(version) | {"has_labels": task.kind.has_label_output}
    with connection.chunked_cursor() as cursor:
        cursor.execute(_DISTINCT.format(**which), parameters)
        for split, label, number, joined in cursor:
            yield split, label, number, _hashes(joined)


def _hashes(joined: bytes) -> Iterator[bytes]:
    hashes = memoryview(joined)
    for start in range(0, len(hashes), ROW_HASH_BYTES):
        yield bytes(hashes[start : start + ROW_HASH_BYTES])


def _here(version: DatasetVersion) -> dict[str, Any]:
    return {"dataset": version.dataset_id, "version": version.version}


def _tally(
    version: DatasetVersion, base: DatasetVersion | None, columns: str, rows: str
) -> list[Any]:
    """Count by columns what came less what went since `base`, or all there is."""
    clauses = _OF_ALL if base is None else _BY_CHANGE
    return _query(_TALLY.format(columns=columns, rows=rows, **clauses), _here(version))


def _positive(counts: Mapping[Any, int]) -> dict[str, int]:
    return {name: counts[name] for name in sorted(counts) if counts[name] > 0}


def _note_sources(version: DatasetVersion, base: DatasetVersion | None) -> dict[str, int]:
    """Say which feedback the version was made from; return how many examples by their source."""
    said = {} if base is None else base.feedback_source
    sources: Counter[str] = Counter({} if base is None else base.counts["sources"])
    by_signal: Counter[str] = Counter(said.get("by_signal"))
    by_source: Counter[str] = Counter(said.get("by_source"))
    for source, signal, sender, number in _tally(
        version, base, "e.source, e.signal, f.source", _EXAMPLES
    ):
        sources[source] += number
        if sender is not None:
            by_signal[signal] += number
            by_source[sender] += number
    version.feedback_source = {
        "count": by_source.total(),
        "by_signal": _positive(by_signal),
        "by_source": _positive(by_source),
        "added": [feedback_id for _, feedback_id in _query(_ADDED_FEEDBACK, _here(version))],
        "lineage": f"/api/v1/datasets/{version.name}/versions/{version.version}/lineage/",
    }
    return _positive(sources)
