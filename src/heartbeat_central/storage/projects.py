"""Projects: what applications, channels, keys and members belong to."""

from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection, insert, select, text, update

from heartbeat_central.storage.tables import projects

_LOCK = 0x4842_4333
"""An arbitrary number that names the advisory lock of the first project."""


def first_id(connection: Connection) -> int | None:
    """Return the id of the oldest project; None when there is none."""
    return connection.execute(select(projects.c.id).order_by(projects.c.id).limit(1)).scalar()


def note_change(connection: Connection, project_id: int) -> None:
    """Count a change that somebody made to the project's applications."""
    connection.execute(
        update(projects).where(projects.c.id == project_id).values(changes=projects.c.changes + 1)
    )


def changes(connection: Connection, project_id: int) -> int | None:
    """Return how many changes there were; None when there is no such project."""
    query = select(projects.c.changes).where(projects.c.id == project_id)
    return connection.execute(query).scalar()


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
