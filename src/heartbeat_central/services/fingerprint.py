"""A value that changes when what a project's pages show has changed."""

from collections.abc import Hashable

from heartbeat_central.storage import states
from heartbeat_central.storage.engine import Database


def fingerprint(database: Database, project_id: int) -> Hashable:
    """Return the value: one query over the narrow state rows. Raises StorageUnavailable."""
    with database.read() as connection:
        return states.fingerprint(connection, project_id)
