"""Housekeeping of the history: room ahead is made, what is too old goes in bounded steps."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from heartbeat_central.storage import heartbeats, outbox, partitions
from heartbeat_central.storage.engine import Database

STEP = 2_000
"""Rows per transaction, so that no heartbeat waits long for the write lock."""

log = structlog.get_logger(__name__)


def make_room(database: Database, *, now: datetime) -> None:
    """Make sure that the partitions of the coming weeks exist (PostgreSQL)."""
    if database.dialect == "postgresql":
        with database.write() as connection:
            partitions.lock_layout(connection)
            partitions.make_ahead(connection, now=now)


def prune_history(database: Database, *, now: datetime, keep_days: int) -> int:
    """Delete heartbeats and finished alerts older than `keep_days`; return the rows deleted.

    On PostgreSQL whole days are dropped, which costs the same whatever they hold. Each step is a
    transaction of its own.
    """
    oldest = now - timedelta(days=keep_days)
    deleted = _in_steps(database, outbox.delete_alerts_older_than, oldest)
    if database.dialect == "sqlite":
        deleted += _in_steps(database, heartbeats.delete_older_than, oldest)
    else:
        with database.write() as connection:
            partitions.lock_layout(connection)
            days = partitions.drop_older_than(connection, oldest)
        if days:
            log.info("history_days_dropped", count=days)
    if deleted:
        log.info("history_pruned", rows=deleted)
    return deleted


def _in_steps(database: Database, delete: Callable[..., int], oldest: datetime) -> int:
    deleted = 0
    while True:
        with database.write() as connection:
            count = delete(connection, oldest, most=STEP)
        deleted += count
        if count < STEP:
            return deleted
