"""Which way of storing touches goes with which database."""

from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.touches import TouchStore
from heartbeat_central.storage.touches_postgresql import PostgresqlTouchStore
from heartbeat_central.storage.touches_sqlite import SqliteTouchStore


def open_touch_store(database: Database) -> TouchStore:
    """Return the store for this kind of database; it connects when it is first used."""
    return (SqliteTouchStore if database.dialect == "sqlite" else PostgresqlTouchStore)(database)
