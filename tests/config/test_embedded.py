"""PostgreSQL and Redis from wheels: real ones, in data folders of their own."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import environ
import kombu
import psycopg
import pytest

from config import embedded
from config.supervisor import CannotRunError

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from config import embedded
embedded.ensure_running(needs_redis=True)
print("running", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def initialised(tmp_path_factory):
    """Make one data folder with a database for all tests here; as root nobody else may enter it."""
    folder = tmp_path_factory.mktemp("data") / "emend"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMEND_DATA_DIR", str(folder))
        patch.delenv("DATABASE_URL", raising=False)
        patch.delenv("REDIS_URL", raising=False)
        with running():
            pass
    return folder


@pytest.fixture
def data(monkeypatch, initialised):
    return use(monkeypatch, initialised)


@pytest.fixture
def empty(monkeypatch, tmp_path):
    yield use(monkeypatch, tmp_path / "emend")
    shutil.rmtree(embedded.run_dir(), ignore_errors=True)  # may lie elsewhere: a long test name


def use(monkeypatch, folder):
    monkeypatch.setenv("EMEND_DATA_DIR", str(folder))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    return folder


def running(**options):
    log_pattern = str(embedded.data_dir() / "logs" / "{name}.log")
    return embedded.running(needs_redis=True, log_pattern=log_pattern, **options)


def hold():
    """Start a command that holds the services until its standard input ends."""
    command = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout.readline() == "running\n"
    return command


def postmaster_pid(data):
    """Return the pid that stands in the server's file; None while it restarts."""
    try:
        return int((data / "postgres" / "postmaster.pid").read_text().split()[0])
    except (FileNotFoundError, IndexError):
        return None


def wait_until(is_so, *, timeout_seconds=20):
    deadline = time.monotonic() + timeout_seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_works(data):
    with running():
        with psycopg.connect(embedded.database_url()) as connection:
            query = "SELECT split_part(version(), ' ', 2), current_setting('fsync')"
            version, fsync = connection.execute(query).fetchone()
        with kombu.Connection(embedded.redis_url()) as broker:
            broker.ensure_connection(max_retries=1)
        pid = postmaster_pid(data)
    assert version.split(".")[0] == "18"
    assert fsync == "on"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not [path for path in embedded.run_dir().rglob("*") if path.is_socket()]


def test_it_listens_on_no_port(data):
    with running(), psycopg.connect(embedded.database_url()) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_the_password_is_asked(data):
    url = embedded.database_url().replace(embedded.secret("postgres_password"), "guess")
    with running(), pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(url)


def test_django_reads_the_url(data):
    config = environ.Env.db_url_config(embedded.database_url())
    assert config["OPTIONS"] == {"host": str(embedded.run_dir() / "postgres")}
    assert config["NAME"] == config["USER"] == "emend"


def test_no_log_holds_what_people_wrote(data):
    canary = "canary-7f3a"
    statements = [
        "SELECT %s::int",
        "INSERT INTO words VALUES (%s)",
        "SELECT (%s::text || '-')::uuid",
    ]
    with running(), psycopg.connect(embedded.database_url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE words (word text PRIMARY KEY)")
        connection.execute("INSERT INTO words VALUES (%s)", [canary])
        connection.execute(f"DO $$ BEGIN RAISE WARNING '{canary}'; END $$")
        for statement in statements:
            with pytest.raises(psycopg.Error, match=canary):
                connection.execute(statement, [canary])
    log = (data / "logs" / "postgres.log").read_text()
    assert "database system is ready" in log
    assert canary not in log


def test_commands_share_what_one_of_them_started(data):
    first = hold()
    with running():
        pid = postmaster_pid(data)
        first.stdin.close()
        assert "waiting" in first.stderr.readline()
        with psycopg.connect(embedded.database_url()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert first.poll() is None
        assert postmaster_pid(data) == pid
    assert first.wait(20) == 0
    first.stdout.close()
    first.stderr.close()
    assert not (data / "postgres" / "postmaster.pid").exists()


def test_terminate_stops_the_services(data):
    command = hold()
    command.terminate()
    command.communicate(timeout=20)
    assert command.returncode == 128 + signal.SIGTERM
    assert not (data / "postgres" / "postmaster.pid").exists()


@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv of util-linux")
def test_the_services_die_with_a_killed_command(data):
    command = hold()
    command.kill()
    command.communicate()
    wait_until(lambda: not (data / "postgres" / "postmaster.pid").exists())
    with running():  # and nothing that they left stands in the way
        assert postmaster_pid(data)


def test_a_killed_server_comes_back(data):
    with running():
        killed = postmaster_pid(data)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: postmaster_pid(data) not in {killed, None})
        wait_until(embedded._postgres_answers)


def test_another_major_is_refused(empty):
    (empty / "postgres").mkdir(parents=True)
    (empty / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(CannotRunError, match=r"made by PostgreSQL 17, this is 18"), running():
        pass


def test_a_failed_start_leaves_nothing(empty):
    (empty / "postgres").mkdir(parents=True)
    (empty / "postgres" / "PG_VERSION").write_text("18\n")
    with pytest.raises(CannotRunError, match="did not answer"):
        embedded._start_missing(impatient(), needs_redis=True)
    assert not [path for path in embedded.run_dir().rglob("*") if path.is_socket()]


def impatient():
    log_pattern = str(embedded.data_dir() / "logs" / "{name}.log")
    supervisor = embedded.Supervisor(log_pattern=log_pattern)
    wait_ready = supervisor.wait_ready
    supervisor.wait_ready = lambda: wait_ready(timeout_seconds=0.5)
    return supervisor


def test_no_folder_above_changes_its_mode(data):
    modes = {folder: stat.S_IMODE(folder.stat().st_mode) for folder in data.parents}
    with running():
        assert modes == {folder: stat.S_IMODE(folder.stat().st_mode) for folder in data.parents}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_runs_it_as_somebody_else(data):
    with running():
        owner = subprocess.run(
            ["ps", "-o", "uid=", "-p", str(postmaster_pid(data))],
            capture_output=True,
            text=True,
            check=True,
        )
    assert int(owner.stdout) == (data / "postgres").stat().st_uid != 0


def test_a_long_path_gets_a_short_socket(monkeypatch, tmp_path):
    use(monkeypatch, tmp_path / ("long" * 30))
    folder = embedded.run_dir()
    assert len(os.fsencode(folder / "postgres" / ".s.PGSQL.5432")) < 90
    with running(), psycopg.connect(embedded.database_url()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    shutil.rmtree(folder)


def test_a_socket_folder_of_somebody_else_is_refused(monkeypatch, tmp_path):
    use(monkeypatch, tmp_path / ("other" * 30))
    folder = embedded.run_dir()
    (tmp_path / "trap").mkdir()
    folder.symlink_to(tmp_path / "trap")
    with pytest.raises(CannotRunError, match="belongs to somebody else"), running():
        pass
    folder.unlink()


def test_urls_of_the_environment_start_nothing(empty, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://db/emend")
    monkeypatch.setenv("REDIS_URL", "redis://redis/0")
    with running():
        assert not (empty / "postgres").exists()


def test_a_secret_is_made_once(empty):
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: embedded.secret("key"), range(32)))
    assert len(made) == 1
    path = embedded.secret_path("key")
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent)] == [0o600, 0o700]
    assert list(path.parent.iterdir()) == [path]


def test_one_command_claims_the_folder(empty):
    with embedded.claimed() as is_first, embedded.claimed() as is_second:
        assert (is_first, is_second) == (True, False)
    with embedded.claimed() as is_third:
        assert is_third
