"""The project that everything belongs to until there are several."""

from datetime import datetime

from heartbeat_central.storage import projects
from heartbeat_central.storage.engine import Database

NAME = "Default"


def default_project_id(database: Database, *, now: datetime) -> int:
    """Return the id of the first project; the first start makes it."""
    with database.read() as connection:
        existing = projects.first_id(connection)
    if existing is not None:
        return existing
    with database.write() as connection:
        return projects.make_first(connection, name=NAME, now=now)
