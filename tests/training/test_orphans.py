"""Files that nothing names go; all others stay."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models.functions import Now

from config import storage
from config.errors import FileDamaged, Unavailable
from feedback.models import Image
from privacy.models import Upkeep
from training import orphans, tasks
from training.models import Shard

DAYS = 2


@pytest.fixture(autouse=True)
def _own_storage(settings, tmp_path):
    settings.STORAGE_URL = str(tmp_path / "storage")


def stored(settings, data, folder="artifacts"):
    """Store bytes two days ago."""
    digest = storage.put(data, folder)
    grow_old(Path(settings.STORAGE_URL) / folder / digest[:2] / digest)
    return digest


def grow_old(path):
    then = path.stat().st_mtime - timedelta(days=DAYS).total_seconds()
    os.utime(path, (then, then))


def is_there(digest, folder="artifacts"):
    return digest in dict(storage.digests(folder))


def test_it_works(product, settings):
    named = product.register(stored(settings, b"weights")).weights_hash
    orphan = stored(settings, b"rolled back")
    assert orphans.remove() == 1
    assert is_there(named)
    assert not is_there(orphan)


def test_a_picture_is_named_by_its_row(product, settings):
    digest = stored(settings, b"picture", "images")
    Image.objects.create(
        project=product.project,
        is_verified=False,
        sha256=digest,
        width=1,
        height=1,
        difference_hash=0,
    )
    assert orphans.remove() == 0
    Image.objects.all().delete()
    assert orphans.remove() == 1


def test_a_shard_is_named_by_its_row(product, settings):
    digest = stored(settings, b"rows", "shards")
    Shard.objects.create(dataset=product.dataset, version=1, part=0, sha256=digest)
    assert orphans.remove() == 0
    Shard.objects.all().delete()
    assert orphans.remove() == 1


def test_a_model_does_not_name_a_picture(product, settings):
    digest = stored(settings, b"same bytes", "images")
    product.register(digest)
    assert orphans.remove() == 1


def test_a_young_file_stays(product):
    digest = storage.put(b"its row is on the way")
    assert orphans.remove() == 0
    assert is_there(digest)


def test_what_an_interrupted_write_left_goes(product, settings):
    digest = stored(settings, b"weights")
    product.register(digest)
    left = Path(settings.STORAGE_URL) / "artifacts" / digest[:2] / f"{digest}.abcd1234"
    left.write_bytes(b"wei")
    grow_old(left)
    assert orphans.remove() == 1
    assert storage.get(digest) == b"weights"


def test_what_is_stored_again_meanwhile_stays(product, settings, monkeypatch):
    digest = stored(settings, b"weights")
    look = orphans.named

    def look_and_store(folder, names):
        named = look(folder, names)
        storage.put(b"weights")
        return named

    monkeypatch.setattr(orphans, "named", look_and_store)
    assert orphans.remove() == 0
    assert is_there(digest)


def test_age_goes_by_the_clock_of_the_store(product, settings, monkeypatch):
    digest = stored(settings, b"weights")
    now = orphans.now()
    monkeypatch.setattr(orphans, "now", lambda: now - timedelta(days=DAYS))
    assert orphans.remove() == 0
    assert is_there(digest)


def test_other_folders_are_left_alone(product, settings):
    digest = stored(settings, b"rows", "elsewhere")
    assert orphans.remove() == 0
    assert is_there(digest, "elsewhere")


def test_many_files_are_asked_for_in_batches(product, settings, monkeypatch):
    monkeypatch.setattr(orphans, "BATCH", 3)
    for number in range(8):
        stored(settings, f"{number}".encode())
    kept = product.register(stored(settings, b"weights")).weights_hash
    assert orphans.remove() == 8
    assert storage.get(kept) == b"weights"


def test_they_are_looked_for_once_a_day(product):
    assert orphans.waiting_seconds() == 0.0
    tasks.remove_orphans.run()
    assert orphans.waiting_seconds() is None
    Upkeep.objects.update(done_at=Now() - timedelta(days=1))
    assert orphans.waiting_seconds() == 0.0


def test_the_log_says_how_many(product, settings, caplog):
    stored(settings, b"rolled back")
    with caplog.at_level("INFO", "training.orphans"):
        orphans.remove()
    assert caplog.messages == ["orphans.removed files=1"]


def test_a_store_that_is_away_is_said(product, settings, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    settings.STORAGE_URL = str(tmp_path / "file")
    with pytest.raises(Unavailable):
        orphans.remove()
    assert orphans.waiting_seconds() == 0.0


def test_a_removed_file_is_damaged_to_who_asks(product, settings):
    digest = stored(settings, b"rolled back")
    orphans.remove()
    with pytest.raises(FileDamaged):
        storage.get(digest)
