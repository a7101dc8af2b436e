"""Write a backup, beside its place until it is whole."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from django.conf import settings

from config import backups, embedded, storage
from config.backups import BackupError, Manifest, database
from config.errors import FileDamaged, FileMissing
from config.storage.folder import Folder

PROGRESS_FILES = 1_000

Say = Callable[[str], None]


def write(folder: Path, say: Say) -> Manifest:
    """Write all that the installation keeps to a new or empty folder; raises BackupError."""
    partial = folder.with_name(f"{folder.name}.partial")
    _look_for_room(folder, partial)
    partial.mkdir(mode=0o700, parents=True)
    try:
        manifest = _fill(partial, say)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return manifest


def _look_for_room(folder: Path, partial: Path) -> None:
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise BackupError(f"{folder} is not empty: a backup gets a folder of its own.")
    if folder.is_mount():
        raise BackupError(f"{folder} is a disk of its own: name a folder in it.")
    if partial.exists():
        raise BackupError(f"{partial} is left of a backup that broke off: remove it first.")
    # A dump is compressed, and holds no index.
    need = database.size() // 2 + sum(storage.folders().values())
    above = next(place for place in folder.parents if place.exists())
    free = shutil.disk_usage(above).free
    if free < need:
        message = f"{above} has {free / 1e6:.0f} MB free; the backup needs about"
        raise BackupError(f"{message} {need / 1e6:.0f} MB.")


def _fill(folder: Path, say: Say) -> Manifest:
    started_at = datetime.now(UTC)
    say("Writing the database.")
    migrations, rows = database.migrations(), database.dump(folder / backups.DUMP)
    say("Writing files.")
    left_out = copy(settings.STORAGE_URL, str(folder / backups.STORAGE), say)
    copy_secrets(embedded.secret_path(backups.SECRET).parent, folder / backups.SECRETS)
    # Last: whoever was erased while all this was written stands in the log.
    left_out += copy(settings.ERASURE_LOG_URL, str(folder / backups.ERASURES), say)
    say("Reading all of it again.")
    manifest = Manifest(
        format=backups.FORMAT,
        started_at=started_at,
        ended_at=datetime.now(UTC),
        database=database.name(),
        postgres=database.version(),
        migrations=migrations,
        keys=backups.keys(settings.SECRET_KEY, settings.ERASURE_KEY),
        rows=rows,
        left_out=left_out,
        files={
            str(place.relative_to(folder)): backups.digest_of(place)
            for place in sorted(folder.rglob("*"))
            if place.is_file()
        },
    )
    document = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    Folder(folder).write(backups.MANIFEST, document)
    return manifest


def copy(source: str, target: str, say: Say, *, is_adding: bool = False) -> list[str]:
    """Copy all files from one place to another; return those that are damaged and were left out.

    `is_adding` copies only what is not there.
    """
    damaged, copied = [], 0
    for folder in sorted(storage.folders(url=source)):
        there = {name for name, _ in storage.digests(folder, url=target)} if is_adding else set()
        for name, _ in storage.digests(folder, url=source):
            if len(name) != storage.DIGEST_LENGTH or name in there:
                continue  # left by an interrupted write, or known
            try:
                storage.put(storage.get(name, folder, url=source), folder, url=target)
            except FileMissing:
                continue  # removed since it was listed
            except FileDamaged:
                say(f"The file {folder}/{name} is damaged and left out.")
                damaged.append(f"{folder}/{name}")
            copied += 1
            if copied % PROGRESS_FILES == 0:
                say(f"{copied} files.")
    return damaged


def copy_secrets(source: Path, target: Path) -> None:
    """Copy secrets over those of the same names, for this account alone to read."""
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for place in source.glob("[!.]*"):
        if place.name != backups.NOT_OURS:
            Folder(target).write(place.name, place.read_bytes())
