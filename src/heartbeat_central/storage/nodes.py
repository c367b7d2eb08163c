"""Processes that take heartbeats: one narrow row each, rewritten by every self-beat."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Connection, delete, func, insert, select, text, update

from heartbeat_central.domain.reception import Node
from heartbeat_central.storage.tables import nodes

_LOCK = 0x4842_4E44
"""An arbitrary number that names our advisory lock on PostgreSQL."""


def everyone(connection: Connection) -> list[Node]:
    """Return the processes that have beaten, also those that ended."""
    return [
        Node(id=row.id, seen_at=row.seen_at, stopped_at=row.stopped_at)
        for row in connection.execute(select(nodes))
    ]


def lock(connection: Connection) -> None:
    """Let no other process decide on a blind window until the transaction ends."""
    # On SQLite the write transaction is the lock.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def save(connection: Connection, node: UUID, *, seen_at: datetime) -> None:
    """Store that a process could receive at `seen_at`."""
    known = connection.execute(
        update(nodes).where(nodes.c.id == node).values(seen_at=seen_at, stopped_at=None)
    )
    if known.rowcount == 0:
        connection.execute(insert(nodes).values(id=node, started_at=seen_at, seen_at=seen_at))


def stop(connection: Connection, node: UUID, *, at: datetime) -> None:
    """Store that a process ends in good order."""
    connection.execute(update(nodes).where(nodes.c.id == node).values(stopped_at=at))


def end_all(connection: Connection, *, as_of: datetime) -> None:
    """Store that nobody receives any more, for these are the tables of a backup made at `as_of`.

    So the time since then is a blind window, also where no process had been noted yet.
    """
    ended = connection.execute(
        update(nodes).values(stopped_at=func.coalesce(nodes.c.stopped_at, nodes.c.seen_at))
    )
    if ended.rowcount == 0:
        at = {"started_at": as_of, "seen_at": as_of, "stopped_at": as_of}
        connection.execute(insert(nodes).values(id=uuid4(), **at))


def last_seen(connection: Connection) -> datetime | None:
    """Return until when it is known that heartbeats could be received; None: never yet."""
    return connection.execute(select(func.max(nodes.c.seen_at))).scalar()


def set_back(connection: Connection, now: datetime) -> None:
    """Take back what processes proved at times that are still to come, for the clock was set back."""
    connection.execute(update(nodes).where(nodes.c.seen_at > now).values(seen_at=now))


def forget_before(connection: Connection, moment: datetime) -> None:
    """Forget the processes that were not seen since `moment`, but never the newest of all."""
    newest = select(func.max(nodes.c.seen_at)).scalar_subquery()
    connection.execute(delete(nodes).where(nodes.c.seen_at < moment, nodes.c.seen_at < newest))
