"""Real servers in processes of their own: the service, its baselines, PostgreSQL, receivers."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psycopg

from bench import processes
from bench.data import SECRET_KEY
from bench.scale import Scale
from heartbeat_central.storage.engine import Database, open_database
from tests.support import postgres
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
ADMIN = {"ADMIN_EMAIL": "bench@example.org", "ADMIN_PASSWORD": "a password of the benchmark"}


class Server:
    """A running server and what it has used of the machine."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int,
        environment: Mapping[str, str],
        ready: str,
    ) -> None:
        """Start it; it is ready once `ready` answers 200."""
        self.url = f"http://127.0.0.1:{port}"
        self._command = " ".join(command)
        self._ready = ready
        self._folder = Path(tempfile.mkdtemp(prefix="heartbeat-bench-"))
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        begun = time.perf_counter()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                env={**kept, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.pid = self._process.pid
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise
        self.started_in = time.perf_counter() - begun
        """Seconds from its start to its first 200."""

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, and delete what it left."""
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def cpu_seconds(self) -> float:
        """Return the processor time it has used since it started."""
        return processes.cpu_seconds(self.pid)

    def memory_mib(self) -> float:
        """Return the memory that it holds now."""
        return processes.memory_mib(self.pid)

    def log(self) -> str:
        """Return what it has written."""
        return self._log.read_text(errors="replace")

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self._command} did not start:\n{self.log()}")
            time.sleep(0.005)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + self._ready, timeout=5) as response:
                return bool(response.status == 200)
        except urllib.error.HTTPError:
            return False
        except OSError:
            return False


def service(database_url: str, *arguments: str, **settings: str) -> Server:
    """Start Heartbeat Central on a database."""
    port = free_port()
    return Server(
        [sys.executable, str(ROOT / "app.py"), *arguments],
        port=port,
        environment={
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "BASE_URL": f"http://127.0.0.1:{port}",
            "HEARTBEAT_DATA_DIR": "data",
            "HEARTBEAT_ALLOW_PRIVATE_TARGETS": "true",
            "DATABASE_URL": database_url,
            "SECRET_KEY": SECRET_KEY,
            **ADMIN,
            **settings,
        },
        ready="/health",
    )


def constant() -> Server:
    """Start the same server and edge, with nothing behind it: every heartbeat is answered at once."""
    port = free_port()
    return Server(
        [sys.executable, "-m", "bench.baselines.constant", str(port)],
        port=port,
        environment={},
        ready="/heartbeat/00000000-0000-4000-8000-000000000000",
    )


def commit_per_request(database_url: str, *, workers: int, threads: int) -> Server:
    """Start the baseline that commits each heartbeat on its own, on a filled database."""
    port = free_port()
    return Server(
        [
            *(sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}"),
            *("--worker-class", "gthread", "--workers", str(workers), "--threads", str(threads)),
            *("--keep-alive", "75", "--log-level", "warning"),
            "bench.baselines.commit_per_request:create_app()",
        ],
        port=port,
        environment={"DATABASE_URL": database_url, "THREADS": str(threads)},
        ready="/ready",
    )


class Postgres:
    """One PostgreSQL server for a run; a fresh database whenever one is asked for."""

    def __init__(self, server: postgres.Server) -> None:
        self._server = server
        with psycopg.connect(server.url, autocommit=True) as connection:
            backend = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert backend is not None
        self.pid = processes.parent(backend[0])
        self._made = 0

    def new_url(self) -> str:
        """Return the address of a new, empty database."""
        self._made += 1
        name = f"bench_{self._made}"
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._server.url.rpartition("/")[0] + f"/{name}"

    def drop(self, url: str) -> None:
        """Drop a database, whoever is connected."""
        name = url.rpartition("/")[2]
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def cpu_seconds(self) -> float:
        """Return the processor time that the whole server has used."""
        return processes.cpu_seconds(self.pid)


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL server as it is configured by default, fsync and all."""
    with postgres.Server() as server:
        yield Postgres(server)


class Bench:
    """What every topic gets: how much to measure, and databases to measure on."""

    def __init__(self, postgres_server: Postgres, scale: Scale) -> None:
        self.postgres = postgres_server
        self.scale = scale

    @contextlib.contextmanager
    def empty_database(self, dialect: str) -> Iterator[str]:
        """Yield the URL of an empty database on `postgresql` or `sqlite`; it is deleted afterwards."""
        if dialect == "postgresql":
            url = self.postgres.new_url()
            try:
                yield url
            finally:
                self.postgres.drop(url)
            return
        with tempfile.TemporaryDirectory(prefix="heartbeat-bench-") as folder:
            yield f"sqlite:///{folder}/heartbeat-central.db"

    @contextlib.contextmanager
    def opened(self, url: str) -> Iterator[Database]:
        """Yield a database to fill and to count in."""
        database = open_database(url)
        try:
            yield database
        finally:
            database.close()


DIALECTS = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}
