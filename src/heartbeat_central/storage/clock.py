"""What the database says of itself: its version, and its clock, to find out whether ours is wrong."""

from datetime import UTC, datetime

from sqlalchemy import func, select

from heartbeat_central.storage.engine import Database


def database_time(database: Database) -> datetime | None:
    """Return what time the PostgreSQL server has; None for SQLite, which has no clock of its own.

    Raises StorageUnavailable.
    """
    if database.dialect == "sqlite":
        return None
    with database.read() as connection:
        at = connection.execute(select(func.clock_timestamp())).scalar_one()
    assert isinstance(at, datetime)
    return at.astimezone(UTC)


def version(database: Database) -> str:
    """Return name and version: `PostgreSQL 18.4`. Raises StorageUnavailable."""
    with database.read() as connection:
        numbers = connection.dialect.server_version_info or ()
    name = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}[database.dialect]
    return f"{name} {'.'.join(map(str, numbers))}"
