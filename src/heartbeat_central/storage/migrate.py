"""Brings the schema up to date, once, however many processes start at the same moment.

Services may be at work meanwhile. Whoever waits for a lock on a table makes everyone wait that comes after,
heartbeats among them. So each revision is a transaction of its own, which gives up soon when it can't have
a lock, and tries again a moment later; and what takes long is done before it, in ways that lock nobody out.

Where nothing is missing, which is nearly every start and command, Alembic isn't even imported: that would
take longer than all else that most commands do.
"""

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection, column, inspect, select, table, text, update

from heartbeat_central.domain.errors import StorageUnavailable, UnknownSchema
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.engine_postgresql import wait_for_ever
from heartbeat_central.storage.partitions import LOCK_TIMEOUT

if TYPE_CHECKING:
    from alembic.config import Config

PAUSE = 1.0
"""Seconds until a lock is tried for again: recording catches up on what waited behind the last try."""

_VERSION = table("alembic_version", column("version_num"), column("works_with"))
"""`works_with`, which a migration declares: the oldest revision whose code still works on the tables."""
_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = 0x4842_4331
"""An arbitrary number that names our advisory lock on PostgreSQL."""
_LOCKED_OUT = ("55P03", "40P01")
"""lock_not_available, and deadlock_detected where the server looks for those more often than usual."""

log = structlog.get_logger(__name__)


def upgrade(database: Database, *, pause: Callable[[float], object] = time.sleep) -> None:
    """Run every migration that is missing, each in a transaction of its own.

    Others that start meanwhile wait, then find nothing to do. A table that somebody reads for long, as a
    backup does, is waited for without an end. What a newer version has made of the tables is left as it
    is. Raises StorageUnavailable, and UnknownSchema when this version can't work with that.
    """
    told = False
    while True:
        try:
            while not _upgrade_once(database):
                pass
        except StorageUnavailable as error:
            if not _is_locked_out(error):
                raise
            if not told:
                log.warning("upgrade_waits", reason=str(error))
                told = True
            pause(PAUSE)
        else:
            return


def _upgrade_once(database: Database) -> bool:
    """Run the next migration, or all of them on an empty database; return whether that was the last."""
    with database.write() as connection:
        if connection.dialect.name == "postgresql":
            # For our own lock as well: who waits for that holds a snapshot, and another process that
            # builds an index concurrently, with the lock in its hands, waits for the end of all snapshots.
            connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT}"))
        lock(connection)
        revision = revision_of(connection)
        if revision is None:
            upgrade_to(connection, "head")
            return True
        if not is_known(revision):
            _expect_to_work(connection, revision)
            return True
        following = next((one for one in _revisions() if one > revision), None)
        if following is None:
            return True
        _prepare(database, following)
        upgrade_to(connection, following)
        return False


def _expect_to_work(connection: Connection, revision: str) -> None:
    """Raise UnknownSchema unless the newer tables say that this code works with them."""
    if not _works_with_older(connection):
        raise UnknownSchema(
            f"The tables are at revision {revision}, and this version of the program, which knows "
            f"those up to {newest_revision()}, can't work with them; use the version that brought "
            "them there, or restore a backup from before."
        )
    log.warning("tables_are_newer", revision=revision, known=newest_revision())


def _works_with_older(connection: Connection) -> bool:
    # Tables that this code doesn't know were made by a newer one. It has left there the oldest revision
    # whose code still works with them: who knows that revision is at least as new.
    oldest = connection.execute(select(_VERSION.c.works_with)).scalar_one_or_none()
    return oldest is not None and is_known(oldest)


def _prepare(database: Database, revision: str) -> None:
    """Run what a migration has to do outside of its transaction, while that holds our lock alone.

    `prepare(connection)` of a migration gets a connection to PostgreSQL that commits every statement: for
    CREATE INDEX CONCURRENTLY. It must find what it left behind half done, and `upgrade` must do without.
    """
    if database.dialect != "postgresql":
        return
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(_config(None)).get_revision(revision)
    prepare = getattr(script.module, "prepare", None)
    if prepare is None:
        return
    with database.each_for_itself() as connection:
        prepare(connection)


def _is_locked_out(error: StorageUnavailable) -> bool:
    cause: Any = error.__cause__
    return getattr(getattr(cause, "orig", None), "sqlstate", None) in _LOCKED_OUT


def lock(connection: Connection) -> None:
    """Keep others from changing the tables, and services from starting, until the transaction ends."""
    # SQLite: the write transaction is the lock. A transaction's lock also works through pgbouncer.
    if connection.dialect.name == "postgresql":
        wait_for_ever(connection)
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def upgrade_to(connection: Connection, revision: str) -> None:
    """Run the migrations up to `revision`, `head` for all of them, in the caller's transaction."""
    from alembic import command
    from alembic.script import ScriptDirectory

    config = _config(connection)
    command.upgrade(config, revision)
    if "works_with" in {one["name"] for one in inspect(connection).get_columns(_VERSION.name)}:
        reached = revision_of(connection)
        script = ScriptDirectory.from_config(config).get_revision(reached or "base")
        # A migration that doesn't say with which older code its tables work leaves none of them in.
        oldest = getattr(script.module, "works_with", reached)
        connection.execute(update(_VERSION).values(works_with=oldest))


def current_revision(database: Database) -> str | None:
    """Return the revision of the schema; None when there is no schema yet."""
    with database.read() as connection:
        return revision_of(connection)


def revision_of(connection: Connection) -> str | None:
    """Return the revision of the schema as a transaction sees it; None when there is no schema."""
    if not inspect(connection).has_table(_VERSION.name):
        return None
    revision: str | None = connection.execute(select(_VERSION.c.version_num)).scalar_one_or_none()
    return revision


def newest_revision() -> str:
    """Return the revision that this code was written for."""
    return _revisions()[-1]


def fits(database: Database) -> bool:
    """Return whether this code works with the tables as they are: its own, or newer ones that say so."""
    with database.read() as connection:
        revision = revision_of(connection)
        if revision is None or is_known(revision):
            return revision == newest_revision()
        return _works_with_older(connection)


def is_known(revision: str) -> bool:
    """Return whether this code can bring tables of that revision up to date."""
    return revision in _revisions()


@cache
def _revisions() -> tuple[str, ...]:
    """Return all that this code knows, oldest first: their files' names begin with them."""
    names = (file.name for file in (_SCRIPTS / "versions").glob("[0-9]*_*.py"))
    return tuple(sorted(name.partition("_")[0] for name in names))


def _config(connection: Connection | None) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    return config
