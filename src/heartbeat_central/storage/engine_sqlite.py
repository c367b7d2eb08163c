"""Connections to SQLite, and the file that they all lead to."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from heartbeat_central.domain.errors import Invalid, StorageUnavailable

OLDEST = (3, 35)
"""It knows `INSERT … RETURNING`. Python takes the SQLite of the system, which some have older."""
BUSY_TIMEOUT = 5.0
"""Seconds that SQLite waits for another process's write."""
ALONE_TIMEOUT = 1.0
"""Seconds to wait for a SQLite file of one's own: a service that has it open won't let go of it."""
PAGE = 4096
"""Bytes."""
LONG_LOG = 2_000
"""Pages that are written before the log is moved into the file. A longer one makes recording no faster."""
LONGEST_LOG = 8_000
"""Pages after which a commit moves it itself, should nobody else have done it."""
KEPT_LOG = LONGEST_LOG * PAGE
"""Bytes that its file keeps when it begins anew; a reader that takes long may have made it larger."""

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

Identity = tuple[int, int]
"""Device and inode: a file that was put back under the same name has another."""


class DatabaseFile:
    """The file of a SQLite database."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._was_there = False

    def identity(self) -> Identity | None:
        """Return what tells the file from another of its name; None while it isn't made yet.

        Raises StorageUnavailable when it was there and is not any more: open connections would go on
        writing to a file that has no name, and that nobody finds again after the next start.
        """
        try:
            found = os.stat(self._path)
        except OSError as error:
            if not self._was_there:
                return None
            raise StorageUnavailable(f"the file {self._path} is gone") from error
        self._was_there = True
        return found.st_dev, found.st_ino


class LogLength:
    """About how much this process has written to the log since it was last moved into the file.

    Counted by whoever holds the turn to write.
    """

    def __init__(self) -> None:
        self._pages = 0
        self._when_long: Callable[[], None] = _nobody

    @property
    def is_long(self) -> bool:
        return self._pages >= LONG_LOG

    def when_long(self, call: Callable[[], None]) -> None:
        """Have `call` called, by the thread that writes, when the log has become long."""
        self._when_long = call

    def add(self, pages: int) -> None:
        """Note that so many pages were written, a page for a row, say."""
        before = self._pages
        self._pages += pages
        # Called again when it is twice as long: a reader may have kept it from being moved.
        if self._pages // LONG_LOG != before // LONG_LOG:
            self._when_long()

    def may_fill_the_disk(self) -> None:
        """Have it moved, however long it is: what is in the file already takes room here, too."""
        if not self.is_long:
            self._pages = LONG_LOG
            self._when_long()

    def begins_anew(self) -> None:
        self._pages = 0


def expect_version(version: tuple[int, ...]) -> None:
    """Raise Invalid on field DATABASE_URL when Python's SQLite is too old."""
    if version < OLDEST:
        found, needed = (".".join(map(str, one)) for one in (version, OLDEST))
        raise Invalid.one(
            "DATABASE_URL",
            f"leads to SQLite, of which this Python brings {found} and {needed} is needed; use a Python "
            "that brings a newer one, or a PostgreSQL database",
        )


def make_engine(url: URL, *, alone: bool) -> Engine:
    """Return an engine whose commits are on disk when they return; `alone`: see open_database.

    Raises Invalid on field DATABASE_URL when Python's SQLite is too old.
    """
    expect_version(sqlite3.sqlite_version_info)
    patience = ALONE_TIMEOUT if alone else BUSY_TIMEOUT
    engine = create_engine(
        url,
        connect_args={"isolation_level": None, "timeout": patience},
        # Values may be secret, and errors end in logs.
        hide_parameters=True,
        # A second connection would find the file locked by the first.
        pool_size=1 if alone else 10,
        max_overflow=0 if alone else 10,
        # Each connection keeps pages and statements: the one that was used last holds the freshest.
        pool_use_lifo=True,
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
        # Some builds overwrite whatever is deleted: pruning would write the pages that it frees.
        cursor.execute("PRAGMA secure_delete=FAST")
        cursor.execute(f"PRAGMA wal_autocheckpoint={LONGEST_LOG}")
        cursor.execute(f"PRAGMA journal_size_limit={KEPT_LOG}")
        cursor.close()
        # SQLite's own knows ASCII only, and people search for names in any case.
        connection.create_function("lower", 1, _lower, deterministic=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that will write must say so first: upgrading a read lock later can fail
        # with "database is locked" whatever the timeout.
        write = connection.get_execution_options().get("heartbeat_central_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def is_damaged(error: sqlite3.Error) -> bool:
    """Return whether an error says that the file is damaged, or no database at all."""
    # The primary result code is in the low byte: https://www.sqlite.org/rescode.html
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the driver raises for a busy, full, damaged or absent file into StorageUnavailable.

    For those who use its connections without SQLAlchemy.
    """
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.InterfaceError) as error:
        raise StorageUnavailable(str(error)) from error
    except sqlite3.DatabaseError as error:
        if is_damaged(error):
            raise StorageUnavailable(str(error)) from error
        raise


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


def _nobody() -> None:
    """Stand for who moves the log: SQLite itself does when it is very long."""
