"""The sign-ins that were tried lately, by whom for whose account: as a hash, and nothing else."""

from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, text

from heartbeat_central.storage.tables import sign_in_tries as tries


def lock(connection: Connection, subject: bytes) -> None:
    """Let no other transaction look at or add tries of this subject until this one ends.

    On SQLite the write transaction is the lock.
    """
    if connection.dialect.name == "postgresql":
        key = int.from_bytes(subject[:8], "big", signed=True)
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def count(connection: Connection, subject: bytes, *, since: datetime) -> int:
    """Return how many tries of this subject there were since then."""
    return connection.execute(
        select(func.count()).where(tries.c.subject == subject, tries.c.tried_at > since)
    ).scalar_one()


def add(connection: Connection, subject: bytes, *, now: datetime) -> None:
    """Store a try."""
    connection.execute(insert(tries).values(subject=subject, tried_at=now))


def remove_older(connection: Connection, moment: datetime) -> int:
    """Delete the tries from before `moment`; return how many."""
    return connection.execute(delete(tries).where(tries.c.tried_at <= moment)).rowcount
