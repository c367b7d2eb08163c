"""When this service could receive heartbeats, and when it could not."""

from sqlalchemy import (
    Column,
    String,
    Table,
    Uuid,
)

from heartbeat_central.storage.tables.base import metadata
from heartbeat_central.storage.types import Key, Moment

# Processes that take heartbeats: when each last proved that it could.
nodes = Table(
    "nodes",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("started_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
    # When it ended in good order; NULL also when it was killed.
    Column("stopped_at", Moment),
    # One row is written every second: no index on what changes, and room for its next version.
    postgresql_with={"fillfactor": "10"},
)

blind_windows = Table(
    "blind_windows",
    metadata,
    Column("id", Key, primary_key=True),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment, nullable=False, index=True),
    Column("cause", String(16), nullable=False),
    # Its digest: NULL while no application has been excused because of it.
    Column("digest_due_at", Moment),
    Column("digested_at", Moment),
    # A clock that was set back: when all that lies ahead of it had been looked at.
    Column("settled_at", Moment),
    sqlite_autoincrement=True,
)
