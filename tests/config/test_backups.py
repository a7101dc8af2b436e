"""Backups of real databases and files, and what a restore makes of them."""

import hashlib
import os
import shutil
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import msgspec
import psycopg
import pytest
from django.core.management import CommandError
from django.db import IntegrityError, OperationalError, connection

from config import backups, embedded, storage
from config.backups import BackupError, database, writing
from config.management.commands import restore as restoring
from feedback.models import Example
from privacy import erasure, erasure_log
from privacy.models import ErasureRequest, Project
from tests.commands import run
from tests.mock_s3 import MockS3
from tests.training.builders import Product, inputs, texts_of
from training.models import DatasetVersion

ROOT = Path(__file__).parents[2]
FIRST, SECOND = (text for text, _ in zip(texts_of("train"), range(2), strict=False))
MAKE = """
from django.core.management import call_command
from config import storage
call_command("migrate", verbosity=0)
call_command("create_api_key", "server", project="shop", scope="manage")
storage.put(b"weights")
"""


@pytest.fixture
def here(monkeypatch, settings, tmp_path, transactional_db):
    """An installation on the tests' database, with a data folder, files and a log of its own."""
    settings.DATA_DIR = tmp_path / "data"
    settings.STORAGE_URL = str(tmp_path / "storage")
    settings.ERASURE_LOG_URL = str(tmp_path / "log")
    monkeypatch.setenv("EMEND_DATA_DIR", str(settings.DATA_DIR))
    embedded.secret("admin_password", make=lambda: "long ago")
    return tmp_path


@pytest.fixture
def replayed(monkeypatch):
    """Only note how erasures would be replayed: a process more takes seconds."""
    return end_replays(monkeypatch, 0)


def end_replays(monkeypatch, status):
    """Have the process that replays end with that status at once; return the commands."""
    commands, real = [], subprocess.run

    def note(command, **options):
        if "replay_erasures" not in command:
            return real(command, **options)
        commands.append(command)
        return subprocess.CompletedProcess(command, status)

    monkeypatch.setattr(restoring.subprocess, "run", note)
    return commands


@pytest.fixture
def backup(here):
    return lambda: backed_up(here / "backup")


def backed_up(folder):
    status, printed, told = run("backup", folder)
    assert status == 0, told
    assert printed.startswith(f"{folder}: ")
    return folder


def restored(folder):
    status, printed, told = run("restore", folder, "--yes")
    assert status == 0, told
    return printed


def refused(*words):
    status, _, sentence = run(*words)
    assert status == 1
    return sentence


def files():
    return {(kind, name) for kind in storage.folders() for name, _ in storage.digests(kind)}


def everything():
    """Return the hash of each row of each table."""
    hashes = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT md5(t::text) FROM {table} AS t")  # noqa: S608
            hashes[table] = sorted(cursor.fetchall())
    return hashes


def lose_all(here):
    with connection.cursor() as cursor:
        tables = ", ".join(connection.introspection.table_names(cursor))
        cursor.execute(f"TRUNCATE {tables} CASCADE; CREATE TABLE stray ()")
    shutil.rmtree(here / "storage", ignore_errors=True)
    shutil.rmtree(here / "data")


def change(folder, **changes):
    """Write another manifest, with the hashes that the files have now."""
    place = folder / "manifest.json"
    manifest = msgspec.json.decode(place.read_bytes())
    for path in manifest["files"]:
        manifest["files"][path] = hashlib.sha256((folder / path).read_bytes()).hexdigest()
    place.write_bytes(msgspec.json.encode(manifest | changes))


def manage(folder, *words):
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    kept |= {"EMEND_DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run(
        [sys.executable, "manage.py", *map(str, words)],
        cwd=ROOT,
        env=kept,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_works(tmp_path, monkeypatch):
    """A whole installation is lost, but for its backup."""
    data, folder = tmp_path / "data", tmp_path / "backups" / "monday"
    key = manage(data, "shell", "--no-imports", "-c", MAKE).split()[-1]
    secret = (data / "secrets" / "secret_key").read_text()
    manage(data, "backup", folder)
    shutil.rmtree(data)
    printed = manage(data, "restore", folder)
    assert "Replayed 0 erasures." in printed
    assert "Restored " in printed
    assert (data / "secrets" / "secret_key").read_text() == secret
    name = hashlib.sha256(b"weights").hexdigest()
    assert (data / "storage" / "artifacts" / name[:2] / name).read_bytes() == b"weights"
    monkeypatch.setenv("EMEND_DATA_DIR", str(data))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with (
        embedded.running(needs_redis=False, log_pattern=str(tmp_path / "{name}.log")),
        psycopg.connect(embedded.database_url()) as there,
    ):
        keys = "SELECT k.prefix, p.slug FROM privacy_apikey k JOIN privacy_project p"
        found = there.execute(f"{keys} ON p.id = k.project_id").fetchall()
    assert found == [(key[:15], "shop")]


def test_nobody_else_may_read_a_backup(here, backup):
    embedded.secret("postgres_password")
    folder = backup()
    (secret,) = (folder / "secrets").iterdir()  # the other is of PostgreSQL's files here
    assert secret.name == "admin_password"
    assert [stat.S_IMODE(place.stat().st_mode) for place in (folder, secret.parent, secret)] == [
        *(0o700, 0o700, 0o600)
    ]


def test_rows_files_and_secrets_come_back_as_they_were(here, backup, replayed):
    product = Product()
    product.add_corpus()
    product.model()
    DatasetVersion.objects.update(cluster=None)  # of the server, which a restore forgets
    rows, stored, folder = everything(), files(), backup()
    assert stored
    lose_all(here)
    restored(folder)
    assert everything() == rows
    assert files() == stored
    assert embedded.secret("admin_password") == "long ago"


def test_what_came_after_a_backup_is_gone(here, backup, replayed):
    folder = backup()
    Product().add((FIRST, "pos"))
    restored(folder)
    assert Project.objects.count() == Example.objects.count() == 0


def test_the_next_version_is_that_of_before(here, backup, replayed):
    product = Product()
    product.add_corpus()
    folder = backup()
    product.version()
    product.add((FIRST, "pos"))
    before = product.version()
    restored(folder)
    product.version()
    product.add((FIRST, "pos"))
    after = product.version()
    assert (after.content_hash, after.counts) == (before.content_hash, before.counts)


def test_no_row_of_another_server_is_missed(here, backup, replayed):
    """Its transactions had lower numbers than this one's latest version has seen."""
    product = Product()
    product.add((FIRST, "pos"))
    product.version()
    product.add((SECOND, "pos"))
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE feedback_example SET touched = 3")
        cursor.execute("SET session_replication_role = DEFAULT")
    restored(backup())
    assert inputs(product.version()) == [FIRST, SECOND]


def test_what_builds_of_a_lost_future_left_is_removed(here, backup, replayed):
    folder = backup()
    (here / "data" / "near" / "1").mkdir(parents=True)
    restored(folder)
    assert not (here / "data" / "near").exists()


def test_files_in_a_bucket_come_back(here, settings, monkeypatch, replayed):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with MockS3() as server:
        settings.STORAGE_URL = server.url
        names = {("artifacts", storage.put(b"weights")), ("images", storage.put(b"", "images"))}
        folder = backed_up(here / "backup")
        server.objects.clear()
        restored(folder)
        assert files() == names
        assert storage.get(hashlib.sha256(b"weights").hexdigest()) == b"weights"


def test_who_was_erased_after_the_backup_is_erased_again(here, backup, settings, monkeypatch):
    known = connection.get_connection_params()
    at = [f"{name}={quote(known[name], safe='')}" for name in ("host", "port") if name in known]
    user = f"{known['user']}:{quote(known['password'], safe='')}"
    monkeypatch.setenv("DATABASE_URL", f"postgres://{user}@/{known['dbname']}?{'&'.join(at)}")
    for name in ("SECRET_KEY", "STORAGE_URL", "ERASURE_LOG_URL"):
        monkeypatch.setenv(name, getattr(settings, name))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")
    product = Product()
    product.correct(FIRST, user="ann")
    folder = backup()
    asked = erasure.request(project=product.project, user_id="ann", by="test")
    restored(folder)
    again = ErasureRequest.objects.get()
    assert (str(again), again.requested_by) == (str(asked), "the erasure log")
    assert (again.status, again.user_id) == ("done", None)


def test_a_replay_that_fails_is_said(here, backup, monkeypatch):
    Product()
    folder = backup()
    end_replays(monkeypatch, 1)
    assert "people who were erased are here" in refused("restore", folder, "--yes")
    assert Project.objects.exists()


def test_the_log_of_erasures_is_kept_and_mended(here, backup, replayed):
    project = Product().project
    erasure.request(project=project, user_id="ann", by="test")
    (of_backup,) = erasure_log.entries()
    folder = backup()
    shutil.rmtree(here / "log")
    erasure.request(project=project, user_id="ben", by="test")
    (of_later,) = erasure_log.entries()
    restored(folder)
    assert list(erasure_log.entries()) == [of_backup, of_later]
    assert replayed == [[sys.executable, "manage.py", "replay_erasures"]]


@pytest.mark.parametrize("path", ["database.dump", "secrets/admin_password", "storage/*/*/*"])
@pytest.mark.parametrize("act", [Path.unlink, lambda place: place.write_bytes(b"rubbish")])
def test_a_damaged_backup_changes_nothing(here, backup, path, act):
    storage.put(b"weights")
    folder = backup()
    Product()
    (place,) = folder.glob(path)
    act(place)
    assert f"{place} is damaged or missing" in refused("restore", folder, "--yes")
    assert Project.objects.exists()


def test_a_backup_that_broke_off_is_none(here):
    (here / "backup").mkdir()
    assert "manifest.json is missing" in refused("restore", here / "backup")


def test_a_dump_that_cannot_be_loaded_leaves_all_as_it_was(here, backup):
    Product().add_corpus()
    folder = backup()
    dump = folder / "database.dump"
    dump.write_bytes(dump.read_bytes()[:-1000])
    change(folder)
    embedded.secret("later", make=str)
    rows = everything()
    assert "The database stays as it was" in refused("restore", folder, "--yes")
    assert everything() == rows


def test_what_breaks_off_between_two_statements_is_not_kept(here, monkeypatch):
    Product()
    real = database._program

    def broken(name, *arguments):
        if name != "pg_restore":
            return real(name, *arguments)
        return ["sh", "-c", "echo 'CREATE SCHEMA public;'; echo no disk >&2; exit 1"]

    monkeypatch.setattr(database, "_program", broken)
    with pytest.raises(BackupError, match="as it was: no disk"):
        database.replace(here / "database.dump")
    assert Project.objects.exists()


@pytest.mark.parametrize(
    "changes", [{"format": 2}, {"migrations": {"privacy": "9999_another_world"}}]
)
def test_what_a_newer_version_wrote_is_refused(here, backup, changes):
    folder = backup()
    change(folder, **changes)
    assert "newer version" in refused("restore", folder, "--yes")


def test_rows_are_counted(here, backup, replayed):
    folder = backup()
    rows = msgspec.json.decode((folder / "manifest.json").read_bytes())["rows"]
    change(folder, rows=rows | {"feedback": 3})
    assert "manifest's are in feedback." in refused("restore", folder, "--yes")


@pytest.mark.parametrize(
    ("place", "fault", "words"),
    [
        ("copy_secrets", OSError(28, "No space left on device"), "No space left on device. "),
        ("call_command", CommandError("Conflicting migrations."), "Conflicting migrations. "),
        ("call_command", IntegrityError("DETAIL: (user_id)=(ann)"), "(IntegrityError): is it"),
        ("call_command", KeyboardInterrupt(), "It broke off (KeyboardInterrupt). "),
    ],
)
def test_what_breaks_off_after_the_database_is_replaced_is_said(
    here, replayed, monkeypatch, place, fault, words
):
    product = Product()
    product.version()
    erasure.request(project=product.project, user_id="ann", by="test")
    ErasureRequest.objects.update(horizon=1)
    folder = backed_up(here / "backup")

    def fail(*_args, **_options):
        raise fault

    with monkeypatch.context() as patched:
        patched.setattr(backups.restoring, place, fail)
        said = refused("restore", folder, "--yes")
    assert words in said
    assert "restore once more. Start nothing before" in said
    assert "(ann)" not in said
    assert replayed == []
    assert list(DatasetVersion.objects.values_list("cluster", flat=True)) == [None]
    assert list(ErasureRequest.objects.values_list("horizon", flat=True)) == [None]
    restored(folder)


def test_a_replay_that_cannot_begin_is_said(here, backup, monkeypatch):
    folder = backup()
    monkeypatch.setattr(restoring.Command, "_is_replayed", lambda _self: 1 // 0)
    said = refused("restore", folder, "--yes")
    assert said.startswith("It broke off (ZeroDivisionError). The database is replaced")


def test_projects_are_not_overwritten_unasked(here, backup, replayed, monkeypatch):
    Product()
    folder = backup()
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert "holds 1 project(s), which would be gone. Say --yes" in refused("restore", folder)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _question: "n")
    assert refused("restore", folder) == "Nothing was restored."
    assert replayed == []
    monkeypatch.setattr("builtins.input", lambda _question: "y")
    assert run("restore", folder)[0] == 0


def test_tables_of_others_are_not_taken_along_unasked(here, backup, replayed):
    folder = backup()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE recipes ()")
    assert "gone, too: recipes. Say --yes" in refused("restore", folder)
    restored(folder)
    assert "recipes" not in connection.introspection.table_names()


def test_while_up_runs_nothing_is_restored(here, backup):
    folder = backup()
    with embedded.claimed():
        assert "stop `up` first" in refused("restore", folder, "--yes")


def test_while_others_use_the_database_nothing_is_restored(here, backup, monkeypatch):
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0.0)
    folder = backup()
    with closing(connection.copy()) as other, other.cursor():
        assert "other sessions use the database" in refused("restore", folder, "--yes")


def test_a_session_that_is_ending_is_waited_for(here, backup, monkeypatch, replayed):
    folder = backup()
    with closing(connection.copy()) as other, other.cursor():
        # It looks again once the other has ended.
        monkeypatch.setattr(database.time, "sleep", lambda _seconds: other.close())
        restored(folder)


def test_other_keys_are_not_taken_unasked(here, backup, settings, replayed):
    folder = backup()
    settings.SECRET_KEY = settings.ERASURE_KEY = "another"
    told = refused("restore", folder)
    assert "SECRET_KEY is not the backup's" in told
    assert "ERASURE_KEY (where it is not set, SECRET_KEY) is not the backup's" in told
    restored(folder)


def test_a_generated_key_gives_way_to_that_of_the_backup(here, settings, replayed):
    settings.SECRET_KEY = settings.ERASURE_KEY = embedded.secret("secret_key")
    folder = backed_up(here / "backup")
    shutil.rmtree(here / "data")
    settings.SECRET_KEY = settings.ERASURE_KEY = embedded.secret("secret_key")
    assert run("restore", folder)[0] == 0


def test_a_folder_that_holds_something_is_refused(here):
    (here / "backup").mkdir()
    backed_up(here / "backup")
    assert "is not empty" in refused("backup", here / "backup")
    (here / "other.partial").mkdir()
    assert "broke off" in refused("backup", here / "other")


def test_without_room_nothing_is_begun(here, monkeypatch):
    monkeypatch.setattr(database, "size", lambda: 10**18)
    assert "MB free; the backup needs about" in refused("backup", here / "backup")
    assert not list(here.glob("backup*"))


def test_what_breaks_off_leaves_nothing(here, monkeypatch):
    monkeypatch.setattr(writing, "copy", lambda *_args: (_ for _ in ()).throw(OSError("no disk")))
    assert refused("backup", here / "backup") == "no disk"
    assert not list(here.glob("backup*"))


def test_a_database_that_was_never_migrated_is_said(here):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_migrations RENAME TO others")
        said = refused("backup", here / "backup")
        cursor.execute("ALTER TABLE others RENAME TO django_migrations")
    assert said == (
        "The database refused or does not answer (ProgrammingError): is it there, and migrated?"
    )
    assert not list(here.glob("backup*"))


def test_a_database_that_does_not_answer_is_said(here, backup, monkeypatch):
    folder = backup()

    def fail():
        raise OperationalError("password of ann is wrong")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "cursor", fail)
        for words in (("backup", here / "other"), ("restore", folder, "--yes")):
            assert "does not answer (OperationalError)" in refused(*words)


def test_a_damaged_file_is_left_out_and_said(here):
    name = storage.put(b"weights")
    storage.put(b"others")
    (here / "storage" / "artifacts" / name[:2] / name).write_bytes(b"rubbish")
    status, printed, told = run("backup", here / "backup")
    assert status == 0
    assert f"artifacts/{name} is damaged" in told
    assert "1 files, 0 erasures in the log, 1 damaged files left out" in printed


def test_a_file_that_goes_meanwhile_is_no_fault(here, monkeypatch):
    gone, kept = "0" * 64, storage.put(b"weights")
    monkeypatch.setattr(storage, "digests", lambda *_args, **_url: iter([(gone, 0), (kept, 0)]))
    folder = backed_up(here / "backup")
    assert [place.name for place in (folder / "storage").rglob("?" * 64)] == [kept]


def test_no_argument_tells_the_password(here, monkeypatch):
    commands = []
    real = subprocess.Popen.__init__

    def note(self, command, *args, **options):
        commands.append(" ".join(map(str, command)))
        real(self, command, *args, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", note)
    folder = backed_up(here / "backup")
    database.replace(folder / "database.dump")
    names = [Path(command.split()[0]).name for command in commands]
    assert [name for name in names if name != "pg_config"] == ["pg_dump", "pg_restore", "psql"]
    assert not [line for line in commands if connection.settings_dict["PASSWORD"] in line]
