"""A value that changes when what a project's pages show has changed."""

from collections.abc import Hashable

from heartbeat_central.storage import heartbeats, incidents, outbox, projects
from heartbeat_central.storage.engine import Database


def fingerprint(database: Database, project_id: int) -> Hashable:
    """Return the value, which costs the same however many applications and heartbeats there are.

    It may differ a moment before the change itself can be seen: on PostgreSQL a heartbeat has its id
    before it is committed. It isn't told apart by project: a look too many costs less than more indexes.
    Raises StorageUnavailable.
    """
    with database.read() as connection:
        return (
            projects.changes(connection, project_id),
            heartbeats.newest_id(connection),
            incidents.newest_id(connection),
            outbox.last_attempt(connection),
        )
