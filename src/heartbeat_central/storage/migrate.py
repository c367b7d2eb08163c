"""Brings the schema up to date, once, however many processes start at the same moment."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from heartbeat_central.storage.engine import Database

_LOCK = 0x4842_4331
"""An arbitrary number that names our advisory lock on PostgreSQL."""


def upgrade(database: Database) -> None:
    """Run every migration that is missing, all in one transaction.

    Others that start meanwhile wait, then find nothing to do. Raises StorageUnavailable.
    """
    with database.write() as connection:
        # SQLite: the write transaction is the lock. A transaction's lock also works through pgbouncer.
        if database.dialect == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        command.upgrade(_config(connection), "head")


def current_revision(database: Database) -> str | None:
    """Return the revision of the schema; None when there is no schema yet."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str:
    """Return the revision that this code was written for."""
    head = ScriptDirectory.from_config(_config(None)).get_current_head()
    assert head is not None
    return head


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
