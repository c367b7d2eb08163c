"""Brings the schema up to date, once, however many processes start at the same moment."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from heartbeat_central.domain.errors import UnknownSchema
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.engine_postgresql import wait_for_ever

_LOCK = 0x4842_4331
"""An arbitrary number that names our advisory lock on PostgreSQL."""


def upgrade(database: Database) -> None:
    """Run every migration that is missing, all in one transaction.

    Others that start meanwhile wait, then find nothing to do. Raises StorageUnavailable, and
    UnknownSchema when a newer version of the program has been at work.
    """
    with database.write() as connection:
        lock(connection)
        revision = revision_of(connection)
        if revision is not None and not is_known(revision):
            raise UnknownSchema(
                f"The tables are at revision {revision}, and this version of the program knows only "
                f"those up to {newest_revision()}; use the version that brought them there, or restore "
                "a backup from before."
            )
        upgrade_to(connection, "head")


def lock(connection: Connection) -> None:
    """Keep others from changing the tables, and services from starting, until the transaction ends."""
    # SQLite: the write transaction is the lock. A transaction's lock also works through pgbouncer.
    if connection.dialect.name == "postgresql":
        wait_for_ever(connection)
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def upgrade_to(connection: Connection, revision: str) -> None:
    """Run the migrations up to `revision`, `head` for all of them, in the caller's transaction."""
    command.upgrade(_config(connection), revision)


def current_revision(database: Database) -> str | None:
    """Return the revision of the schema; None when there is no schema yet."""
    with database.read() as connection:
        return revision_of(connection)


def revision_of(connection: Connection) -> str | None:
    """Return the revision of the schema as a transaction sees it; None when there is no schema."""
    return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str:
    """Return the revision that this code was written for."""
    head = ScriptDirectory.from_config(_config(None)).get_current_head()
    assert head is not None
    return head


def is_known(revision: str) -> bool:
    """Return whether this code can bring tables of that revision up to date."""
    script = ScriptDirectory.from_config(_config(None))
    return revision in {known.revision for known in script.walk_revisions()}


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
