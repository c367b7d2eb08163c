"""A value that changes when what a project's pages show has changed."""

from collections.abc import Hashable

from heartbeat_central.storage import outbox, states
from heartbeat_central.storage.engine import Database


def fingerprint(database: Database, project_id: int) -> Hashable:
    """Return the value: one query over the narrow state rows, and the end of an index.

    Raises StorageUnavailable.
    """
    with database.read() as connection:
        # Attempts are not told apart by project: a look too many costs less than a wider index.
        return states.fingerprint(connection, project_id), outbox.last_attempt(connection)
