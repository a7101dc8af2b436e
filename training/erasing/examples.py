"""Take a person's examples out of all versions, and note which models had learned from them."""

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial, reduce
from operator import or_
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet

from config.errors import Unavailable
from feedback import erasing
from feedback.models import Example, Feedback, Inference
from privacy import holders, tombstones
from privacy.holders import Counts
from privacy.models import ErasureRequest, Project
from training import archives, orphans
from training.erasing.names import forget_slices
from training.models import (
    AnswerToCheck,
    Archive,
    Dataset,
    DatasetVersion,
    Fate,
    GateResult,
    ModelCredit,
    ModelErasure,
    ModelVersion,
    Prediction,
    Run,
    Shard,
    VersionErasure,
)
from training.sethash import SetHash

# Of what a person said, of what anybody said of an answer they were shown, and of that answer.
_THEIRS = """
    WITH act AS (
        SELECT number FROM feedback WHERE number = ANY(%(feedback)s::bigint[])
        UNION SELECT number FROM feedback WHERE inference_id = ANY(%(answers)s::bigint[])
    )
    SELECT e.id FROM act JOIN feedback_example AS e ON e.feedback_id = act.number
    UNION SELECT id FROM feedback_example WHERE inference_id = ANY(%(answers)s::bigint[])"""
_ERASED = """
    DROP TABLE IF EXISTS erased;
    CREATE TEMPORARY TABLE erased ON COMMIT DROP AS
    SELECT DISTINCT unnest(%(examples)s::bigint[]) AS id"""
_STAYS = """
    SELECT dataset_id, row_hash, split, since_version, until_version FROM training_membership
    WHERE example_id IN (SELECT id FROM erased)"""
_TWINS = """
    SELECT t.dataset_id, t.row_hash, t.split, t.since_version, t.until_version
    FROM training_membership AS t WHERE (t.dataset_id, t.row_hash) IN (
        SELECT dataset_id, row_hash FROM training_membership
        WHERE example_id IN (SELECT id FROM erased))
    AND t.example_id NOT IN (SELECT id FROM erased)"""
# What was left out of training for being like one of these.
_PUSHED_OUT = """
    SELECT dataset_id, since_version, until_version FROM training_leftout
    WHERE holdout_example_id IN (SELECT id FROM erased)
    AND example_id NOT IN (SELECT id FROM erased)"""
# Where something stands that the next version would count as its parent's.
_OPEN = """
    SELECT dataset_id FROM training_membership
    WHERE until_version IS NULL AND example_id IN (SELECT id FROM erased)
    UNION SELECT dataset_id FROM training_leftout
    WHERE until_version IS NULL AND example_id IN (SELECT id FROM erased)"""
_UUIDS = """
    SELECT DISTINCT f.id::text FROM erased JOIN feedback_example AS e USING (id)
    JOIN feedback AS f ON f.number = e.feedback_id"""
_DELETED = {
    "training.LeftOut": "training_leftout WHERE example_id IN (SELECT id FROM erased)",
    "training.Membership": "training_membership WHERE example_id IN (SELECT id FROM erased)",
    "feedback.Example": "feedback_example WHERE id IN (SELECT id FROM erased)",
}


class Stay(NamedTuple):
    """An interval of versions that a row is in."""

    dataset: int
    row_hash: bytes
    split: str
    since: int
    until: int | None

    def covers(self, version: DatasetVersion) -> bool:
        return self.since <= version.version and (
            self.until is None or self.until > version.version
        )


@dataclass
class Taken:
    """What was taken out: how much of what, of which versions, and what files held of it."""

    counts: Counter[str] = field(default_factory=Counter)
    versions: list[int] = field(default_factory=list)
    taught: list[int] = field(default_factory=list)  # versions that train otherwise without it
    shards: list[str] = field(default_factory=list)


# Once more in the transaction that deletes the rows: until then some may have become examples.
@erasing.before_rows
def take_out(erasure: ErasureRequest) -> Counts:
    """Take a person out of the versions, and note the models and the files that go later.

    Call in a transaction that may rewrite history, when nothing of the person can come any more.
    """
    project, digest = erasure.project, bytes(erasure.subject_digest)
    user_id = erasure.user_id or ""  # whose name is gone may stand in archives still: nobody is ""
    shown = erasing.pictured(project, user_id)  # others', with the person's pictures
    datasets = _lock(project.tasks.values_list("pk", flat=True))
    held = erasing.hold(project, user_id, *shown)
    feedback = [*held.theirs, *held.others]
    tasks = _tasks_of(
        Feedback.objects.filter(pk__in=feedback), Inference.objects.filter(pk__in=held.answers)
    )
    _begin_anew([dataset for dataset in datasets if dataset.task_id in tasks])
    forget_slices(tasks)
    examples = _examples_of(feedback, held.answers)
    taken = _take_out(erasure.uuid, examples)
    taken.counts.update(_delete_of_answers(held.answers))
    holding = archives.holding(project, digest)
    _condemn(erasure, taken, holding)
    holders.note_files(erasure, "shards", taken.shards)
    condemned = Archive.objects.filter(model_version__erasures__erasure=erasure.uuid)
    taken.counts["training.Archive"] = condemned.count()
    gone = archives.remove(condemned)
    holding |= Archive.objects.filter(dataset_version__in=taken.versions)
    leaving = archives.Leaving(archives.mark_of(digest), gone=set(examples))
    written = archives.leave_out(holding, leaving)
    taken.counts["training.Archive"] += len(written)
    holders.note_files(erasure, archives.FOLDER, [*gone, *written])
    return dict(taken.counts)


def unlink(project: Project, user_id: str, _to: str | None) -> None:
    """Take out what may still say whose it is; versions that come next are built of all rows.

    Call in a transaction that may rewrite history.
    """
    tasks = _tasks_of(
        Feedback.objects.filter(project=project, user_id=user_id),
        Inference.objects.filter(task__project=project, user_id=user_id),
    )
    _begin_anew(_lock(tasks))
    held = erasing.hold(project, user_id)
    theirs = set(_examples_of([*held.theirs], held.answers))
    feedback, answers = erasing.identifying(project, user_id)
    gone = _examples_of(feedback, answers)
    taken = _take_out(uuid4(), gone)
    _delete_of_answers(answers)
    _remove_later("shards", taken.shards)
    digest = tombstones.digest_of(project, user_id)
    leaving = archives.Leaving(archives.mark_of(digest), set(gone), theirs.difference(gone))
    _remove_later(archives.FOLDER, archives.leave_out(archives.holding(project, digest), leaving))


def _tasks_of(*of_tasks: QuerySet[Any]) -> set[int]:
    return {task for rows in of_tasks for task in rows.values_list("task", flat=True).distinct()}


def expire(examples: list[int], cause: UUID) -> None:
    """Take examples out of all versions and delete them; models keep what they learned.

    What versions note of one cause adds up. Call in a transaction.
    """
    tasks = Example.objects.filter(pk__in=examples).values_list("task", flat=True)
    datasets = _lock(set(tasks))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL emend.erasing = 'on'")
        cursor.execute(_ERASED, {"examples": examples})
        cursor.execute(_OPEN)
        changed = {pk for (pk,) in cursor.fetchall()}
    _begin_anew([dataset for dataset in datasets if dataset.pk in changed])
    _remove_later("shards", _take_out(cause, examples).shards)


def delete_checks(checks: QuerySet[AnswerToCheck]) -> None:
    """Delete checks of answers; inputs that the slice lets go by it may teach again."""
    _begin_anew(_lock(checks.filter(is_random=True).values_list("task", flat=True)))
    checks.delete()


def _remove_later(folder: str, digests: list[str]) -> None:
    transaction.on_commit(partial(_remove, folder, digests))


def _remove(folder: str, digests: list[str]) -> None:
    with suppress(Unavailable):  # upkeep removes what nothing names
        orphans.erase(folder, set(digests) - orphans.named(folder, digests))


def _examples_of(feedback: list[int], answers: list[int]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_THEIRS, {"feedback": feedback, "answers": answers})
        return [pk for (pk,) in cursor.fetchall()]


def _delete_of_answers(answers: list[int]) -> Counts:
    """Delete by which model answers were given, and that moderators were to check them."""
    return {
        row._meta.label: row._default_manager.filter(inference__in=answers)._raw_delete("default")
        or 0  # None where no answer is asked for
        for row in (Prediction, AnswerToCheck)
    }


def _take_out(cause: UUID, examples: list[int]) -> Taken:
    """Take examples out of the versions, which are locked, and delete them."""
    taken = Taken()
    with connection.cursor() as cursor:
        cursor.execute(_ERASED, {"examples": examples})
        cursor.execute("CREATE INDEX ON erased (id); ANALYZE erased")
        cursor.execute(_STAYS)
        stays = [_stay(row) for row in cursor.fetchall()]
        cursor.execute(_TWINS)
        twins = [_stay(row) for row in cursor.fetchall()]
        cursor.execute(_UUIDS)
        uuids = {said for (said,) in cursor.fetchall()}
        cursor.execute(_PUSHED_OUT)
        pushed_out = cursor.fetchall()
    _forget_in_versions(cause, taken, stays, twins)
    taken.taught += _versions_of(pushed_out)
    _forget_ids(examples, taken.versions, uuids)
    _forget_shards(taken, stays)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE training_leftout SET holdout_example_id = NULL"
            " WHERE holdout_example_id IN (SELECT id FROM erased)"
        )
        for label, rows in _DELETED.items():
            cursor.execute(f"DELETE FROM {rows}")  # noqa: S608
            taken.counts[label] = cursor.rowcount
        cursor.execute("DROP TABLE erased")
    return taken


def _stay(row: tuple[Any, ...]) -> Stay:
    dataset, row_hash, *where = row
    return Stay(dataset, bytes(row_hash), *where)


def _lock(tasks: Iterable[int]) -> list[Dataset]:
    """Wait for builds and writers of shards, and let none begin before this transaction ends."""
    datasets = Dataset.objects.filter(task__in=tasks).order_by("pk")
    locked = list(datasets.select_for_update(no_key=True, of=("self",)))
    versions = DatasetVersion.objects.filter(dataset__in=locked).order_by("pk")
    list(versions.select_for_update(no_key=True, of=("self",)).values_list("pk"))
    return locked


def _begin_anew(datasets: list[Dataset]) -> None:
    """Have the next versions built of all rows: what was deleted leaves nothing that changed.

    The files by which rows are compared go, too: no build has them in hand, see `_lock`.
    """
    newest = DatasetVersion.objects.filter(dataset__in=datasets, status="ready")
    newest = newest.order_by("dataset", "-version").distinct("dataset")
    DatasetVersion.objects.filter(pk__in=[version.pk for version in newest]).update(rules="")
    for dataset in datasets:
        name = f"*-{dataset.pk}-{dataset.created_at.timestamp():.0f}"
        for folder in (Path(settings.DATA_DIR) / "near").glob(name):
            shutil.rmtree(folder, ignore_errors=True)


def _forget_in_versions(cause: UUID, taken: Taken, stays: list[Stay], twins: list[Stay]) -> None:
    """Note of each version what is left; a row is gone only when its last twin is."""
    for dataset, theirs in _by_dataset(stays).items():
        others = [stay for stay in twins if stay.dataset == dataset]
        ready = DatasetVersion.objects.filter(dataset=dataset, status="ready")
        first = min(stay.since for stay in theirs)
        for version in ready.filter(version__gte=first).order_by("version").iterator():
            gone = [stay for stay in theirs if stay.covers(version)]
            if gone:
                kept = {stay.row_hash for stay in others if stay.covers(version)}
                _forget_rows(version, {stay.row_hash for stay in gone} - kept)
                splits = Counter(stay.split for stay in gone)
                _note(version, cause, splits)
                taken.versions.append(version.pk)
                taken.taught += [version.pk] if splits["train"] else []
    taken.counts["training.DatasetVersion changed"] = len(taken.versions)


def _versions_of(intervals: Iterable[tuple[int, int, int | None]]) -> list[int]:
    """Return the versions of these datasets, from a number until before the other."""
    within = [
        Q(dataset=dataset, version__gte=since) & (Q(version__lt=until) if until else Q())
        for dataset, since, until in set(intervals)
    ]
    found = DatasetVersion.objects.filter(reduce(or_, within, Q(pk=None)))
    return list(found.values_list("pk", flat=True))


def _note(version: DatasetVersion, cause: UUID, splits: Counter[str]) -> None:
    row, _ = VersionErasure.objects.get_or_create(
        dataset_version=version, erasure=cause, defaults={"rows": 0}
    )
    splits = splits + Counter(row.splits)
    row.rows, row.splits, row.current_hash = splits.total(), dict(splits), version.current_hash
    row.save()


def _by_dataset(stays: list[Stay]) -> dict[int, list[Stay]]:
    found = defaultdict(list)
    for stay in stays:
        found[stay.dataset].append(stay)
    return found


def _forget_rows(version: DatasetVersion, hashes: set[bytes]) -> None:
    identity = SetHash(bytes(version.current_state))
    identity.remove(hashes)
    version.current_state, version.current_hash = identity.state, identity.hexdigest()
    version.save(update_fields=["current_state", "current_hash"])


def _forget_ids(examples: list[int], versions: list[int], uuids: set[str]) -> None:
    """Take the ids of feedback out of what versions and gates list."""
    for version in DatasetVersion.objects.filter(pk__in=versions).only("feedback_source"):
        added = version.feedback_source.get("added", [])
        if uuids.intersection(added):
            version.feedback_source["added"] = [said for said in added if said not in uuids]
            version.save(update_fields=["feedback_source"])
    # Gates ask what no version takes, too.
    tasks = set(Example.objects.filter(pk__in=examples).values_list("task", flat=True))
    for gate in GateResult.objects.filter(run__task__in=tasks, details__has_key="flips"):
        flips = gate.details["flips"]
        if uuids.intersection(flips):
            gate.details["flips"] = [said for said in flips if said not in uuids]
            gate.save(update_fields=["details"])


def _forget_shards(taken: Taken, stays: list[Stay]) -> None:
    """Delete the rows that name files with something of it; they are made again when read."""
    for dataset, theirs in _by_dataset(stays).items():
        added = {stay.since for stay in theirs}
        found = Shard.objects.filter(dataset=dataset, version__in=added)
        taken.shards += list(found.values_list("sha256", flat=True))
        found.delete()


def _condemn(erasure: ErasureRequest, taken: Taken, holding: QuerySet[Archive]) -> None:
    """Note the models that had learned from it, and have runs that read it begin again.

    Of what a version had to train on and lost since, only archives tell whose it was.
    """
    of_these = Run.objects.filter(dataset_version__in=taken.versions, status="running")
    running = list(of_these.values_list("pk", flat=True))
    # Who is at it has lost it, and stores nothing any more.
    of_these.update(attempts=F("attempts") + 1, lease_until=None)
    unfinished = ModelVersion.objects.filter(run__in=running, run__status="running")
    holders.note_files(erasure, "artifacts", unfinished.values_list("weights_hash", flat=True))
    unfinished.delete()
    lost = VersionErasure.objects.filter(splits__has_key="train").values("dataset_version")
    learned = holding.filter(dataset_version__in=lost).values("model_version")
    models = ModelVersion.objects.filter(
        Q(run__dataset_version__in=taken.taught) | Q(pk__in=learned)
    ).order_by("pk")
    for model in models:
        # What another erasure withdrew has its place taken, or has none any more.
        known = model.erasures.exclude(fate=Fate.PENDING).order_by("pk").first()
        found = {} if known is None else {"fate": known.fate, "replacement": known.replacement}
        ModelErasure.objects.get_or_create(
            model_version=model, erasure=erasure.uuid, defaults=found
        )
    credited = ModelCredit.objects.filter(model_version__in=models)
    taken.counts["training.ModelCredit"] = credited.delete()[0]
