"""How far the rollups go: up to an id, so that each heartbeat is counted once.

Both databases find what lies between two ids without an index on the time that recording would have
to pay for. What the heartbeats between two ids come to is stored in several short transactions, in the
order of the applications and hours; so how far that goes belongs to it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select, text, update

from heartbeat_central.storage import heartbeats
from heartbeat_central.storage.rollups import Key
from heartbeat_central.storage.tables import rollup_progress

_LOCK = 0x4842_4334
"""An arbitrary number that names this advisory lock."""
# A transaction locks the history before it draws its first id, and until after its commit is seen.
_WRITERS = text(
    "SELECT virtualtransaction FROM pg_locks WHERE relation = 'heartbeats'::regclass"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND mode = 'RowExclusiveLock' AND pid <> pg_backend_pid()"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is in the rollups."""

    rolled_id: int
    """Every heartbeat up to this id is."""
    rolling_id: int
    """Those up to this one are being added; when none are, it is `rolled_id`."""
    rolled_key: Key
    """Of those, what comes up to this application and hour is added."""


NO_KEY: Key = (0, datetime(1970, 1, 1, tzinfo=UTC))
"""Before the first."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The ids that heartbeats had been given at one moment."""

    up_to: int
    writers: frozenset[str]
    """The transactions that were writing then, and may commit an id as low later (PostgreSQL)."""


def claim(connection: Connection) -> bool:
    """Return whether this node may roll up until the transaction ends; False: another one does.

    On SQLite one process does all, and `advance` finds out should there be two.
    """
    if connection.dialect.name == "sqlite":
        return True
    query = text("SELECT pg_try_advisory_xact_lock(:lock)")
    return bool(connection.execute(query, {"lock": _LOCK}).scalar_one())


def drawn(connection: Connection) -> Drawn:
    """Return up to which id heartbeats have ids by now."""
    # In this order: whoever draws an id after the first look draws a higher one.
    up_to = heartbeats.newest_id(connection)
    if connection.dialect.name == "sqlite":
        # One writer commits ids in their order.
        return Drawn(up_to, frozenset())
    return Drawn(up_to, frozenset(connection.execute(_WRITERS).scalars()))


def is_settled(connection: Connection, ids: Drawn) -> bool:
    """Return whether every heartbeat with one of these ids is committed, or gone for good."""
    return not ids.writers or ids.writers.isdisjoint(connection.execute(_WRITERS).scalars())


def rolled_id(connection: Connection) -> int:
    """Return the id up to which every heartbeat is in the rollups."""
    return progress(connection).rolled_id


def progress(connection: Connection) -> Progress:
    """Return how far the rollups go."""
    row = connection.execute(select(rollup_progress)).one()
    return Progress(
        rolled_id=row.rolled_id,
        rolling_id=row.rolling_id,
        rolled_key=(row.rolled_application_id, row.rolled_hour),
    )


def advance(connection: Connection, since: Progress, to: Progress) -> bool:
    """Note that the rollups go from `since` to `to` now; False when another process was first."""
    updated = connection.execute(
        update(rollup_progress)
        .where(*(rollup_progress.c[name] == value for name, value in _values(since).items()))
        .values(_values(to))
    )
    return updated.rowcount == 1


def _values(progress: Progress) -> dict[str, Any]:
    application_id, hour = progress.rolled_key
    return {
        "rolled_id": progress.rolled_id,
        "rolling_id": progress.rolling_id,
        "rolled_application_id": application_id,
        "rolled_hour": hour,
    }
