"""Touches on SQLite: one statement a batch, which is a transaction of its own.

Each call of the driver lets go of Python's lock and waits to get it back, while the event loop parses the
next heartbeats. So a batch is one call: its rows go into a view, and a trigger of that view, which SQLite
carries out without Python, touches the application and adds to the history.
"""

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.engine_sqlite import PAGE, Identity, translated
from heartbeat_central.storage.touches import Touches

CACHED_KIB = 16 * 1024
"""Of pages that the writer has at hand: the states of 100,000 applications and where their histories end."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_COLUMNS = (
    *("application_id", "status", "heard_at"),
    *("kind", "received_at", "exit_status", "rid", "method"),
    *("remote_address", "user_agent", "body_size", "body"),
)
_NOTHING = (None,) * len(_COLUMNS)
_FIRST_SIZES = (1, 4, 16)
"""Rows of a statement; the next ones double. Few sizes, so that each is prepared once and found again."""

# Both are the connection's own, and gone with it. A row without an application fills up the statement.
_VIEW = f"CREATE TEMP VIEW touch AS SELECT {', '.join(f'NULL AS {name}' for name in _COLUMNS)}"
_TRIGGER = """
CREATE TEMP TRIGGER store_touch INSTEAD OF INSERT ON touch WHEN NEW.application_id IS NOT NULL
BEGIN
    UPDATE application_states
    SET last_heartbeat_at = max(coalesce(last_heartbeat_at, NEW.heard_at),
                                coalesce(NEW.heard_at, last_heartbeat_at))
    WHERE application_id = NEW.application_id AND status = NEW.status
      AND (status = 'paused' OR started_at IS NULL AND check_at IS NOT NULL
           AND (extended_at IS NULL OR NEW.heard_at >= extended_at));
    SELECT RAISE(ABORT, 'no longer as it was seen') WHERE changes() = 0;
    INSERT INTO heartbeats (application_id, kind, received_at, exit_status, rid, method,
                            remote_address, user_agent, body_size, body)
    VALUES (NEW.application_id, NEW.kind, NEW.received_at, NEW.exit_status, NEW.rid, NEW.method,
            NEW.remote_address, NEW.user_agent, NEW.body_size, NEW.body);
END
"""
_STORE = "INSERT INTO touch VALUES {rows}"
_FIND = """
SELECT application.uuid, application.id, state.status = 'paused'
FROM applications AS application JOIN application_states AS state ON state.application_id = application.id
WHERE application.uuid IN ({uuids})
  AND (state.status = 'paused'
       OR state.status = 'up' AND state.started_at IS NULL AND state.check_at IS NOT NULL)
"""


class SqliteTouchStore:
    """Holds a connection of its own, which finds the pages and the statement of the last batch again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: sqlite3.Connection | None = None
        self._opened: Identity | None = None

    def find(self, uuids: Collection[UUID]) -> Mapping[UUID, tuple[int, bool]]:
        sought = [one.hex for one in uuids]
        size = _size(len(sought))
        # In turn, though it only reads: so it can't be kept from a file that was put back meanwhile.
        with self._database.turn(hurried=True) as file, self._connected(file) as connection:
            found = connection.execute(
                _find(size), sought + [None] * (size - len(sought))
            ).fetchall()
        return {UUID(uuid): (id_, bool(is_paused)) for uuid, id_, is_paused in found}

    def store(self, touches: Touches) -> Collection[int]:
        values = _values(touches)
        size = _size(len(touches.signals))
        values += _NOTHING * (size - len(touches.signals))
        try:
            with self._database.turn(hurried=True) as file, self._connected(file) as connection:
                connection.execute(_store(size), values)
                self._database.log.add(_pages(touches))
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_TRIGGER:
                raise
            # Somebody else changed one of them. Who it was does not matter: all are judged again.
            return [one.application_id for one in touches.applications]
        return ()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _connected(self, file: Identity | None) -> Iterator[sqlite3.Connection]:
        """Yield the connection to this file; after an error the next one is made anew."""
        if file != self._opened:
            self.close()
        try:
            if self._connection is None:
                self._connection = _connect(self._database)
                self._opened = file
            with translated():
                yield self._connection
        except sqlite3.IntegrityError:
            # A statement that was refused leaves nothing behind.
            raise
        except BaseException:
            self.close()
            raise


def _connect(database: Database) -> sqlite3.Connection:
    connection: sqlite3.Connection = database.own_connection()
    connection.execute(f"PRAGMA cache_size=-{CACHED_KIB}")
    connection.execute(_VIEW)
    connection.execute(_TRIGGER)
    return connection


def _size(rows: int) -> int:
    """Return how many rows a statement for so many has; SQLite takes 2,730 of them at most."""
    for size in _FIRST_SIZES:
        if rows <= size:
            return size
    while size < rows:
        size *= 2
    return size


def _pages(touches: Touches) -> int:
    """Return about how many pages change: one of the index and one of the states for each, and the bodies."""
    bodies = sum(len(one.body) for _, one in touches.signals if one.body)
    return 2 * len(touches.signals) + bodies // PAGE


@lru_cache
def _store(rows: int) -> str:
    row = f"({', '.join('?' * len(_COLUMNS))})"
    return _STORE.format(rows=", ".join([row] * rows))


@lru_cache
def _find(uuids: int) -> str:
    return _FIND.format(uuids=", ".join("?" * uuids))


def _values(touches: Touches) -> list[Any]:
    seen = {
        one.application_id: (
            one.application_id,
            "paused" if one.is_paused else "up",
            None if one.heard_at is None else (one.heard_at - _EPOCH) // _MICROSECOND,
        )
        for one in touches.applications
    }
    values: list[Any] = []
    for application_id, one in touches.signals:
        values += seen[application_id]
        values += (
            int(one.kind),
            (one.received_at - _EPOCH) // _MICROSECOND,
            one.exit_status,
            None if one.rid is None else one.rid.hex,
            one.method,
            one.remote_address,
            one.user_agent,
            one.body_size,
            one.body,
        )
    return values
