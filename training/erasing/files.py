"""Remove what is left of models and rows that are gone: their files."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from privacy.holders import Counts
from privacy.models import ErasureRequest
from training import orphans
from training.datasets import shards
from training.erasing.retraining import decided_by
from training.models import DatasetVersion, Fate, ModelVersion, Shard

FOLDERS = ("artifacts", "shards", "archives")
SLACK = timedelta(seconds=10)  # some stores date files by the second


def remove_files(erasure: ErasureRequest) -> Counts:
    """Withdraw the models of an erasure, and remove files that nothing needs any more.

    Files that were noted and turn out to be needed stay, and are not noted any more: the model of
    somebody's exact twin, or a part of a version that held nothing of the person. Raises
    Unavailable.
    """
    noted = {folder: set(erasure.files.get(folder, ())) for folder in FOLDERS}
    noted["artifacts"] |= _withdraw(erasure)
    _write_shards(erasure)
    counts, before = {}, _requested_at(erasure)
    for folder in FOLDERS:
        digests = noted[folder] - orphans.named(folder, noted[folder])
        orphans.erase(folder, digests)
        # What was rolled back, and nobody wrote down. Whoever wrote before the request has ended:
        # who stores a file has locked a row, and the first step waits for all who had.
        orphans.remove_from(folder, before)
        erasure.files[folder] = sorted(digests)
        counts[f"storage/{folder}"] = len(digests)
    return counts


def _requested_at(erasure: ErasureRequest) -> datetime:
    """Return when it was asked for, or a little earlier, by the clock that dates the files."""
    now = orphans.now()
    row = ErasureRequest.objects.filter(pk=erasure.pk)
    age: timedelta = row.values_list(Now() - F("created_at"), flat=True).get()
    return now - age - SLACK


@transaction.atomic
def _withdraw(erasure: ErasureRequest) -> set[str]:
    """Mark all models of the erasure; return the names of their files."""
    concerned = decided_by(erasure)
    concerned.filter(fate=Fate.PENDING).update(fate=Fate.REMOVED)
    models = ModelVersion.objects.filter(erasures__in=concerned)
    ModelVersion.objects.filter(pk__in=models.values("pk"), withdrawn_at=None).update(
        withdrawn_at=Now()
    )
    return set(models.values_list("weights_hash", flat=True))


def _write_shards(erasure: ErasureRequest) -> None:
    """Write the files of versions that lost theirs."""
    changed = DatasetVersion.objects.filter(erasures__erasure=erasure.uuid)
    for dataset in {version.dataset for version in changed.select_related("dataset")}:
        written = Shard.objects.filter(dataset=dataset).values("version")
        lacking = dataset.versions.filter(status="ready").exclude(version__in=written)
        for version in lacking.order_by("version"):
            shards.write(dataset, version.version)
