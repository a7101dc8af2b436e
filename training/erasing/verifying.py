"""Count what erasures took away and stands there again, as a restore of some rows or files may do.

Archives and shards may hold whom no table knows by name any more.
"""

from contextlib import suppress

from django.db.models import Exists, OuterRef

from config.errors import FileDamaged
from privacy.holders import Counts
from privacy.models import ErasureRequest, Project
from training import archives
from training.datasets import shards
from training.models import Archive, DatasetVersion, Membership, ModelVersion, Shard


def contradictions(project: Project) -> Counts:
    done = ErasureRequest.objects.filter(project=project, status="done")
    models = ModelVersion.objects.filter(task__project=project)
    back = models.filter(erasures__erasure__in=done.values("uuid"), withdrawn_at=None)
    return {
        "training.ModelVersion withdrawn": back.distinct().count(),
        "training.Archive": _archives(project),
        "training.Shard": _shards(project),
    }


def _archives(project: Project) -> int:
    """Count archives of withdrawn models, and those that hold an erased person.

    Not those from after the tombstone's end: who came anew stands there lawfully.
    """
    done = ErasureRequest.objects.filter(project=project, status="done").order_by("tombstone_until")
    until = {archives.mark_of(bytes(row.subject_digest)): row.tombstone_until for row in done}
    ours = Archive.objects.filter(model_version__task__project=project)
    held = ours.filter(subjects__overlap=list(until))
    back = {
        archive.pk
        for archive in held.only("subjects", "created_at").iterator()
        if any(archive.created_at < until[mark] for mark in until.keys() & set(archive.subjects))
    }
    withdrawn = ours.exclude(model_version__withdrawn_at=None)
    return len(back | set(withdrawn.values_list("pk", flat=True)))


def _shards(project: Project) -> int:
    """Count files with a row that was taken out of the version since."""
    changed = DatasetVersion.objects.filter(
        dataset=OuterRef("dataset"), version=OuterRef("version"), erasures__isnull=False
    )
    found = Shard.objects.filter(Exists(changed), dataset__project=project)
    return sum(_holds_more(shard) for shard in found)


def _holds_more(shard: Shard) -> bool:
    """Return whether a file has more than its version added; not of one that cannot be read."""
    is_named = Shard.objects.filter(pk=shard.pk)
    with suppress(FileDamaged):
        rows = {row.example_id for row in shards.rows_of(shard)}
        members = Membership.objects.filter(dataset=shard.dataset_id, since_version=shard.version)
        # Not one that somebody takes out just now: its file goes a little later than its row.
        return members.filter(example__in=rows).count() < len(rows) and is_named.exists()
    return False
