"""SQLite's write-ahead log: what is committed there is moved into the file by nobody who writes.

SQLite by itself lets every commit that makes the log long do it: the commit then takes several times as
long, under the one lock that recording needs.
"""

import sqlite3
from collections.abc import Callable

from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.engine_sqlite import translated

FEW_PAGES = 200
"""What is left to move while others wait for the lock should be no more: two batches of heartbeats write
as much."""
MOST_ROUNDS = 4
"""Under more load than that the rest is moved as it is: each round leaves what is written meanwhile."""


def move_log(database: Database, *, checkpoint: "Checkpoint | None" = None) -> bool:
    """Move the log into the file if it is long; return whether it begins anew with the next write.

    It can only begin anew when all of it is moved, which is never so while others go on writing. So most of
    it is moved beside them, and the few pages that were added meanwhile in a turn of their own. Readers
    keep what they see: while one of them takes long, the log grows, and False is returned.

    Raises StorageUnavailable.
    """
    if not database.log.is_long:
        return False
    move = checkpoint or _checkpoint
    with translated(), database.driver_connection() as connection:
        before = 0
        for _ in range(MOST_ROUNDS):
            logged, moved = move(connection)
            if moved < logged:
                # A reader keeps the rest; next time, perhaps. Moved in a turn, it would hold up everybody.
                return False
            if moved < before:
                # Somebody came to write just when all was moved.
                database.log.begins_anew()
                return True
            if moved - before <= FEW_PAGES:
                break
            before = moved
        with database.turn():
            logged, moved = move(connection)
            database.log.begins_anew()
    return logged == moved


Checkpoint = Callable[[sqlite3.Connection], tuple[int, int]]
"""Moves what it can without waiting for anybody; returns the pages that the log held when it began, and
those of them that are moved."""


def _checkpoint(connection: sqlite3.Connection) -> tuple[int, int]:
    _busy, logged, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return logged, moved
