"""Connections to SQLite and PostgreSQL, and the two kinds of transaction: read and write."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, event, text
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
from heartbeat_central.storage import engine_postgresql, engine_sqlite
from heartbeat_central.storage.engine_sqlite import DatabaseFile, Identity, LogLength
from heartbeat_central.storage.turns import Turns

__all__ = ["Connection", "Database", "open_database"]

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
        self._file = DatabaseFile(engine.url.database or "") if self.dialect == "sqlite" else None
        self._opened: Identity | None = None
        self.log = LogLength()
        """Of SQLite's; PostgreSQL looks after its own."""

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
            self._turn(hurried=hurried),
            self.engine.connect() as raw,
            raw.execution_options(heartbeat_central_write=True) as connection,
            connection.begin(),
            self._counted(connection),
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

    @contextmanager
    def turn(self, *, hurried: bool = False) -> Iterator[Identity | None]:
        """Hold the turn to write on SQLite, for those who write through a connection of their own.

        Yields what tells the file from another that was put in its place: who opened that one connects
        anew. Raises StorageUnavailable when the file is gone.
        """
        self._look_for_file()
        with self._turn(hurried=hurried):
            yield self._opened

    @contextmanager
    def driver_connection(self) -> Iterator[Any]:
        """Lend a connection of the driver itself, in no transaction.

        Raises StorageUnavailable when there is none to be had; the driver's own errors pass.
        """
        with _translated():
            pooled = self.engine.raw_connection()
        try:
            yield pooled.driver_connection
        except BaseException as error:
            pooled.invalidate(error)
            raise
        finally:
            pooled.close()

    def own_connection(self) -> Any:
        """Return a driver's connection, set up like all others, that the caller closes.

        Raises StorageUnavailable when there is none to be had.
        """
        with _translated():
            pooled = self.engine.raw_connection()
        connection = pooled.driver_connection
        pooled.detach()
        return connection

    @contextmanager
    def _counted(self, connection: Connection) -> Iterator[None]:
        """Note how much is written on this connection."""
        if self._turns is None:
            yield
            return
        driver: Any = connection.connection.driver_connection
        before = driver.total_changes
        yield
        self.log.add(driver.total_changes - before)

    @contextmanager
    def _turn(self, *, hurried: bool) -> Iterator[None]:
        if self._turns is None:
            yield
            return
        with self._turns.turn(hurried=hurried):
            try:
                yield
            except (OperationalError, StorageUnavailable):
                self.log.may_fill_the_disk()
                raise

    def _look_for_file(self) -> None:
        """Raise StorageUnavailable when SQLite's file was there and is not any more."""
        if self._file is None:
            return
        try:
            found = self._file.identity()
        except StorageUnavailable:
            self.engine.dispose()
            raise
        if found != self._opened:
            # A file that is put back is opened afresh.
            if self._opened is not None:
                self.engine.dispose()
            self._opened = found


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
        return Database(engine_sqlite.make_engine(parsed, alone=alone))
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


def _leave_when_unusable(context: ExceptionContext) -> None:
    """Count a damaged or read-only database as a lost connection: what is put right is opened afresh."""
    if _is_unusable(context.original_exception):
        context.is_disconnect = True


def _is_unusable(error: BaseException) -> bool:
    # The drivers have no one class for these.
    if isinstance(error, sqlite3.Error):
        return engine_sqlite.is_damaged(error)
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
