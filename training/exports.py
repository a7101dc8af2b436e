"""A dataset version as a file of some format, written while it is sent."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection

from feedback import images
from feedback.models import Image
from training import datasets
from training.errors import FormatUnsuitable
from training.formats import COLUMNS, FORMATS, About, suitable
from training.models import DatasetVersion

_NAMES = {"chosen": "output", "original": "rejected"}  # what purposes call what rows hold


@dataclass(frozen=True)
class Export:
    name: str
    content_type: str
    pieces: Iterator[bytes]


def export(version: DatasetVersion, name: str, *, split: str | None = None) -> Export:
    """Write a version in a format; raises FormatUnsuitable and FileDamaged before it begins.

    `split` is train, holdout or all; by default all, or train where rows do not say their side.
    """
    datasets.require_ready(version)
    dataset = version.dataset
    known = suitable(dataset.task.modality, dataset.purpose)
    if name not in known:
        raise FormatUnsuitable(f"One of: {', '.join(known)}.")
    datasets.require_files(version)
    format_ = FORMATS[name]
    split = split or ("all" if format_.tells_splits else "train")
    pieces = format_.write(rows(version, split), _about(version))
    filename = f"{version.name}-v{version.version}{format_.suffix}"
    return Export(filename, format_.content_type, pieces)


def rows(version: DatasetVersion, split: str) -> Iterator[dict[str, Any]]:
    """Yield what exports tell of rows: their content and their kind, never a person."""
    columns = [(name, _NAMES.get(name, name)) for name in COLUMNS[version.dataset.purpose]]
    seen = _seen(version) if version.dataset.purpose == "eval" else set()
    for row in datasets.rows(version, split=None if split == "all" else split):
        told = {"label": row.kind == "desirable", "is_seen": row.example_id in seen}
        yield {name: told[of] if of in told else getattr(row, of) for name, of in columns}


# What was trained on is known by its content: a later twin of it was, too.
_SEEN = """
    SELECT e.id FROM training_membership AS t JOIN feedback_example AS e ON e.id = t.example_id
    WHERE t.dataset_id = %(dataset)s AND t.since_version <= %(version)s AND EXISTS (
        SELECT 1 FROM feedback_example AS taught
        JOIN training_membership AS m ON m.example_id = taught.id AND m.split = 'train'
        JOIN training_dataset AS d ON d.id = m.dataset_id AND d.purpose = 'train'
        JOIN training_datasets AS v ON v.dataset_id = d.id AND v.version = m.since_version
        WHERE taught.task_id = e.task_id AND taught.input_hash = e.input_hash
        AND taught.output = e.output AND v.as_of <= %(as_of)s)"""


def _seen(version: DatasetVersion) -> set[int]:
    """Return the examples whose rows a train dataset taught from when this was built."""
    asked = {"dataset": version.dataset_id, "version": version.version, "as_of": version.as_of}
    with connection.cursor() as cursor:
        cursor.execute(_SEEN, asked)
        return {pk for (pk,) in cursor.fetchall()}


def _about(version: DatasetVersion) -> About:
    task = version.dataset.task

    def picture(image_id: str) -> tuple[bytes, str]:
        image = Image.objects.get(project=task.project_id, uuid=image_id)
        return images.load(image), image.media_type

    return About(
        name=version.name,
        version=version.version,
        content_hash=version.content_hash,
        created_at=version.created_at,
        modality=task.modality,
        purpose=version.dataset.purpose,
        labels=list(task.labels),
        counts=version.counts,
        picture=picture,
    )
