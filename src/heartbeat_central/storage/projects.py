"""Projects: what applications, channels, keys and members belong to."""

from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection, insert, select, text

from heartbeat_central.storage.tables import projects

_LOCK = 0x4842_4333
"""An arbitrary number that names the advisory lock of the first project."""


def first_id(connection: Connection) -> int | None:
    """Return the id of the oldest project; None when there is none."""
    return connection.execute(select(projects.c.id).order_by(projects.c.id).limit(1)).scalar()


def make_first(connection: Connection, *, name: str, now: datetime) -> int:
    """Return the id of the oldest project, made now when there is none, by one process only."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    existing = first_id(connection)
    if existing is not None:
        return existing
    made: int = connection.execute(
        insert(projects).values(uuid=uuid4(), name=name, created_at=now).returning(projects.c.id)
    ).scalar_one()
    return made
