"""Files by their SHA-256, in a folder and in a bucket."""

import errno
import hashlib
import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config import storage
from config.errors import FileDamaged, Unavailable
from config.storage import bucket, folder
from tests.mock_s3 import MockS3

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def disk(settings, tmp_path):
    settings.STORAGE_URL = str(tmp_path / "storage")
    return Path(settings.STORAGE_URL)


@pytest.fixture
def s3(settings, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with MockS3() as server:
        settings.STORAGE_URL = server.url
        yield server


@pytest.fixture(params=["disk", "s3"])
def place(request):
    """Let a test run once in a folder and once in a bucket."""
    return request.getfixturevalue(request.param)


def file_of(disk, digest, name="artifacts"):
    return disk / name / digest[:2] / digest


def test_it_works(place):
    digest = storage.put(b"weights")
    assert digest == hashlib.sha256(b"weights").hexdigest()
    assert storage.get(digest) == b"weights"


@pytest.mark.parametrize("size", [0, 11_000_000])
def test_nothing_and_much_come_back(place, size):
    data = os.urandom(size)
    assert storage.get(storage.put(data)) == data


def test_a_file_that_is_not_there_is_a_clear_error(place):
    with pytest.raises(FileDamaged, match="No file"):
        storage.get("0" * 64)


def test_what_folders_hold_is_apart(place):
    digest = storage.put(b"picture", "images")
    with pytest.raises(FileDamaged):
        storage.get(digest, "artifacts")


def test_a_changed_file_is_refused_and_mended_by_storing_it_again(place):
    digest = storage.put(b"weights")
    damage(place, digest)
    with pytest.raises(FileDamaged, match="changed"):
        storage.get(digest)
    storage.put(b"weights")
    assert storage.get(digest) == b"weights"


def damage(place, digest):
    if isinstance(place, Path):
        file_of(place, digest).write_bytes(b"rubbish")
    else:
        key = f"some/where/artifacts/{digest[:2]}/{digest}"
        place.objects[key] = (b"rubbish", place.objects[key][1])


def test_files_are_listed_with_their_time(place):
    expected = {storage.put(f"{n}".encode(), "images") for n in range(5)}
    storage.put(b"another")
    listed = dict(storage.digests("images"))
    assert listed.keys() == expected
    now = datetime.now(UTC)
    assert all(now - timedelta(minutes=1) < at <= now for at in listed.values())


def test_a_folder_that_is_not_there_holds_nothing(place):
    assert list(storage.digests("images")) == []


def test_folders_are_told_with_their_bytes(place):
    assert storage.folders() == {}
    for data, folder_name in ((b"weights", "artifacts"), (b"one", "images"), (b"two", "images")):
        storage.put(data, folder_name)
    assert storage.folders() == {"artifacts": 7, "images": 6}


def test_a_deleted_file_is_gone(place):
    digest = storage.put(b"weights")
    assert storage.delete(digest) is True
    assert list(storage.digests()) == []


def test_deleting_what_is_not_there_says_so(place):
    assert storage.delete("0" * 64) is False


@pytest.mark.parametrize(("since", "is_removed"), [(timedelta(-1), False), (timedelta(1), True)])
def test_what_was_written_since_is_not_deleted(place, since, is_removed):
    digest = storage.put(b"weights")
    unless_since = datetime.now(UTC) + since
    assert storage.delete(digest, unless_since=unless_since) is is_removed
    assert bool(list(storage.digests())) is not is_removed


def test_what_is_stored_during_its_removal_stays(disk, monkeypatch):
    digest = storage.put(b"weights")
    os.utime(file_of(disk, digest), (0, 0))
    look = folder._written_at

    def look_and_store(file):
        written_at = look(file)
        storage.put(b"weights")
        return written_at

    monkeypatch.setattr(folder, "_written_at", look_and_store)
    storage.delete(digest, unless_since=LONG_AGO)
    assert storage.get(digest) == b"weights"


def test_storing_again_makes_a_file_young(disk):
    digest = storage.put(b"weights")
    os.utime(file_of(disk, digest), (0, 0))
    storage.put(b"weights")
    assert dict(storage.digests())[digest] > LONG_AGO


@pytest.mark.parametrize("name", ["../" * 21 + "x", "0" * 63, "/etc/passwd", "0" * 64 + "/../x"])
def test_a_name_that_is_no_digest_is_a_defect(place, name):
    with pytest.raises(ValueError, match="SHA-256"):
        storage.get(name)


def test_a_write_that_breaks_off_leaves_the_file_as_it_was(disk, monkeypatch):
    digest = storage.put(b"weights")
    break_writes(monkeypatch, errno.ENOSPC)
    with pytest.raises(Unavailable):
        storage.put(b"weights")
    assert [name for name, _ in storage.digests()] == [digest]
    assert storage.get(digest) == b"weights"


def break_writes(monkeypatch, number):
    def refuse(_descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(folder.os, "fsync", refuse)


def test_what_a_killed_process_left_is_listed_and_can_be_deleted(disk):
    program = (
        "import os, signal\n"
        "from config.storage import folder\n"
        "folder.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"place = folder.from_url({str(disk)!r})\n"
        f"(place.root / 'artifacts/00').mkdir(parents=True)\n"
        f"place.write('artifacts/00/{'0' * 64}', b'weights')\n"
    )
    subprocess.run([sys.executable, "-c", program], check=False, timeout=20)
    ((name, _),) = storage.digests()
    assert name.startswith("0" * 64 + ".")
    assert storage.delete(name) is True
    assert list(storage.digests()) == []


def test_the_log_says_why_without_a_path(disk, monkeypatch, caplog):
    break_writes(monkeypatch, errno.EROFS)
    with pytest.raises(Unavailable):
        storage.put(b"weights")
    assert caplog.messages == ["storage.unavailable reason=EROFS"]


def test_a_store_that_refuses_the_key_is_unavailable(s3, caplog):
    s3.refusal = 403
    with pytest.raises(Unavailable):
        storage.get("0" * 64)
    assert caplog.messages == ["storage.unavailable reason=ACCESS_DENIED"]


@pytest.mark.parametrize("act", [storage.put, lambda _: list(storage.digests())])
def test_a_store_that_is_away_is_unavailable(s3, act):
    s3.refusal = 503
    with pytest.raises(Unavailable):
        act(b"weights")


def test_a_hiccup_of_the_store_is_tried_again(s3):
    s3.refusal, s3.refusals = 503, 1
    assert storage.get(storage.put(b"weights")) == b"weights"


def test_a_store_that_never_answers_is_given_up(settings, monkeypatch):
    monkeypatch.setattr(bucket, "SILENCE_SECONDS", 1.0)
    monkeypatch.setattr(bucket, "ATTEMPTS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        settings.STORAGE_URL = f"s3://b/p?endpoint={address}&scheme=http&region=here"
        started = time.monotonic()
        with pytest.raises(Unavailable):
            storage.get("0" * 64)
    assert time.monotonic() - started < 5


def test_requests_are_signed_for_the_region(s3):
    storage.put(b"weights")
    assert "Credential=key/" in s3.authorization
    assert "/nowhere/s3/" in s3.authorization


def test_a_file_url_is_a_folder(settings, tmp_path):
    settings.STORAGE_URL = f"{tmp_path.as_uri()}/with%20space"
    digest = storage.put(b"weights")
    assert file_of(tmp_path / "with space", digest).read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://host/folder", "is a path"),
        ("file://host/folder", "is a path"),
        ("s3://", "s3://bucket/prefix"),
        ("s3://key:secret@bucket/p", "without credentials"),
        ("s3://bucket/p?color=red", "color"),
        ("s3://bucket/p?scheme=ftp", "ftp"),
    ],
)
def test_a_url_that_names_no_store_is_said_clearly(settings, url, said):
    settings.STORAGE_URL = url
    assert said in storage.problem()
    with pytest.raises(Unavailable):
        storage.put(b"weights")


def test_a_store_that_works_is_no_problem_and_keeps_nothing(place):
    assert storage.problem() == ""
    assert list(storage.digests("probes")) == []


def test_a_store_that_refuses_is_a_problem(s3):
    s3.refusal = 403
    assert "ACCESS_DENIED" in storage.problem()


def test_a_folder_that_is_a_file_is_a_problem(disk):
    disk.write_bytes(b"")
    assert "storage" in storage.problem()


def test_who_stores_in_a_folder_loads_no_client_of_s3():
    program = (
        "import sys\n"
        "from config.storage import folder\n"
        "assert not [name for name in sys.modules if name.startswith('pyarrow')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)
