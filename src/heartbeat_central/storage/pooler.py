"""Whether something before PostgreSQL hands its connections around."""

from sqlalchemy import Connection, func, select

from heartbeat_central.storage.engine import Database

FOUND = (
    "DATABASE_URL leads to a pooler that gives each transaction another connection to PostgreSQL"
)
REMEDY = "connect to PostgreSQL itself, or to a pool that keeps one connection for each client"


def is_pooled_by_transaction(database: Database) -> bool:
    """Return whether a pooler gives each transaction whichever connection is free.

    What is set or prepared on a connection is then found by others, and lost to us: time limits, and the
    statement that stores heartbeats. Raises StorageUnavailable.
    """
    if database.dialect != "postgresql":
        return False
    with database.each_for_itself() as one:
        mine = _backend(one)
        with database.read() as other:
            # A pooler hands on the one that has just become free. Should it have had another, that which
            # is in use now is out of reach.
            return _backend(other) == mine or _backend(one) != mine


def _backend(connection: Connection) -> int:
    pid: int = connection.execute(select(func.pg_backend_pid())).scalar_one()
    return pid
