"""Connections to SQLite and PostgreSQL, and the two kinds of transaction: read and write."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from heartbeat_central.domain.errors import Conflict, Invalid, StorageUnavailable
from heartbeat_central.storage import engine_postgresql
from heartbeat_central.storage.turns import Turns

__all__ = ["Connection", "Database", "open_database"]

BUSY_TIMEOUT = 5.0
"""Seconds that SQLite waits for another process's write."""
ALONE_TIMEOUT = 1.0
"""Seconds to wait for a SQLite file of one's own: a service that has it open won't let go of it."""

_DAMAGED_SQLITE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_INTERNAL_ERROR = "XX"
"""A class of PostgreSQL's error codes: damaged files among them."""
_READ_ONLY_POSTGRESQL = frozenset({"25006"})
"""read_only_sql_transaction: after a failover this may still be the standby."""
_CONTRADICTIONS = frozenset(
    {
        sqlite3.SQLITE_CONSTRAINT_UNIQUE,
        sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
        sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY,
        "23505",  # unique_violation
        "23503",  # foreign_key_violation
    }
)
"""What others may bring about; a NULL where none may be, for example, is a mistake of ours."""


class Database:
    """An engine and its transactions. One per process; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        event.listen(engine, "handle_error", _leave_when_unusable)
        self.engine = engine
        self.dialect = engine.dialect.name
        # SQLite has one writer. Waiting here is fair and instant; its own busy handler sleeps.
        self._turns = Turns() if self.dialect == "sqlite" else None
        self._file = Path(engine.url.database or "") if self.dialect == "sqlite" else None
        self._file_was_there = False

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that sees one snapshot of SQLite, or committed rows.

        Raises StorageUnavailable when the database can't be reached.
        """
        self._look_for_file()
        with _translated(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, hurried: bool = False) -> Iterator[Connection]:
        """Yield a connection in a transaction that commits at the end, or rolls back on an error.

        `hurried` is for those whom somebody waits for: on SQLite they get every second turn.
        Raises StorageUnavailable when the database can't be reached or refuses, and Conflict when others
        have added what may be there once, or removed what is referred to; nothing is stored.
        """
        self._look_for_file()
        with (
            _translated(),
            nullcontext() if self._turns is None else self._turns.turn(hurried=hurried),
            self.engine.connect() as raw,
            raw.execution_options(heartbeat_central_write=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Yield a read-only connection that sees one moment of the database, however long it takes.

        Raises StorageUnavailable when the database can't be reached.
        """
        if self.dialect == "sqlite":
            with self.read() as connection:
                yield connection
            return
        with (
            _translated(),
            self.engine.connect() as raw,
            raw.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            ) as connection,
            connection.begin(),
        ):
            engine_postgresql.wait_for_ever(connection)
            yield connection

    @contextmanager
    def each_for_itself(self) -> Iterator[Connection]:
        """Yield a connection to PostgreSQL that commits each statement, however long it takes.

        Raises StorageUnavailable when the database can't be reached.
        """
        with (
            _translated(),
            self.engine.connect() as raw,
            raw.execution_options(isolation_level="AUTOCOMMIT") as connection,
            engine_postgresql.without_end(connection),
        ):
            yield connection

    def ping(self) -> None:
        """Return when the database answers. Raises StorageUnavailable."""
        # SQLite answers `SELECT 1` without a look at its file.
        query = "SELECT count(*) FROM sqlite_master" if self.dialect == "sqlite" else "SELECT 1"
        with self.read() as connection:
            connection.execute(text(query))

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()

    def _look_for_file(self) -> None:
        """Raise StorageUnavailable when SQLite's file was there and is not any more.

        Open connections would go on writing to a file that has no name, and that nobody finds again
        after the next start.
        """
        if self._file is None:
            return
        if self._file.exists():
            self._file_was_there = True
        elif self._file_was_there:
            # A file that is put back is opened afresh.
            self.engine.dispose()
            raise StorageUnavailable(f"the file {self._file} is gone")


def open_database(
    url: str,
    *,
    pool_size: int = 10,
    patience: float = engine_postgresql.STATEMENT_TIMEOUT,
    alone: bool = False,
) -> Database:
    """Return the database at `url` (`sqlite:///file` or `postgresql://…`), without connecting.

    On PostgreSQL a statement may take `patience` seconds; one that hangs breaks its connection a second
    later.

    `alone` takes a SQLite file for this process only: while another has it open, every use raises
    StorageUnavailable, and the other way round. PostgreSQL has no such lock; see storage/load.py.

    Raises Invalid on field DATABASE_URL when the URL is neither.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return Database(_sqlite(parsed, alone=alone))
    return Database(engine_postgresql.make_engine(parsed, pool_size=pool_size, patience=patience))


def _parse(url: str) -> URL:
    # `postgres://` is what several hosters hand out.
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            url = "postgresql+psycopg://" + url.removeprefix(prefix)
    try:
        parsed = make_url(url)
        known = parsed.drivername in ("sqlite", "postgresql+psycopg")
    except (ArgumentError, NoSuchModuleError, ValueError):
        known = False
    if not known:
        raise Invalid.one(
            "DATABASE_URL",
            "must look like postgresql://user:password@host:5432/name or sqlite:///path/to/file.db",
        )
    return parsed


def _sqlite(url: URL, *, alone: bool) -> Engine:
    patience = ALONE_TIMEOUT if alone else BUSY_TIMEOUT
    engine = create_engine(
        url,
        connect_args={"isolation_level": None, "timeout": patience},
        # Values may be secret, and errors end in logs.
        hide_parameters=True,
        # A second connection would find the file locked by the first.
        pool_size=1 if alone else 10,
        max_overflow=0 if alone else 10,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        if alone:
            # First of all: a file that was used in WAL mode before can't be locked as a whole.
            cursor.execute("PRAGMA locking_mode=EXCLUSIVE")
        _switch_to_wal(cursor, patience)
        # FULL: a commit is on disk before a heartbeat is answered with 200.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA temp_store=MEMORY")
        # SQLite's own knows ASCII only, and people search for names in any case.
        connection.create_function("lower", 1, _lower, deterministic=True)
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that will write must say so first: upgrading a read lock later can fail
        # with "database is locked" whatever the timeout.
        write = connection.get_execution_options().get("heartbeat_central_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _switch_to_wal(cursor: sqlite3.Cursor, patience: float) -> None:
    """Write ahead to a log, so that readers and the writer don't wait for each other.

    The switch needs the file to itself for a moment and ignores the busy timeout, so processes that
    make a new database together would trip over each other.
    """
    end = time.monotonic() + patience
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() >= end:
                raise
            time.sleep(0.02)
        else:
            return


def _leave_when_unusable(context: ExceptionContext) -> None:
    """Count a damaged or read-only database as a lost connection: what is put right is opened afresh."""
    if _is_unusable(context.original_exception):
        context.is_disconnect = True


def _is_unusable(error: BaseException) -> bool:
    # The drivers have no one class for these.
    if isinstance(error, sqlite3.Error):
        # The primary result code is in the low byte: https://www.sqlite.org/rescode.html
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED_SQLITE
    state = getattr(error, "sqlstate", None) or ""
    return state in _READ_ONLY_POSTGRESQL or state.startswith(_INTERNAL_ERROR)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn a lost, busy, full, damaged or absent database, and a lost race, into errors that callers know."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise StorageUnavailable(_reason(error)) from error
    except IntegrityError as error:
        if _is_contradiction(error.orig):
            raise Conflict(f"others have changed what this is about: {_reason(error)}") from error
        raise
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StorageUnavailable(_reason(error)) from error
        raise


def _is_contradiction(error: BaseException | None) -> bool:
    code = getattr(error, "sqlite_errorcode", None) or getattr(error, "sqlstate", None)
    return code in _CONTRADICTIONS


def _reason(error: Exception) -> str:
    # The first line of the driver's own words; never the statement, whose values may be secret.
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return (str(cause).strip().splitlines() or ["the database did not answer"])[0]
