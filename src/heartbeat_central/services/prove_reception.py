"""A self-beat is committed: store what it proves, and the blind window that ends with it, if any."""

from datetime import datetime, timedelta
from uuid import UUID

import structlog

from heartbeat_central.domain.blind_window import BlindWindow, Cause
from heartbeat_central.domain.reception import Proven, SelfBeat, Undecided, judge
from heartbeat_central.storage import blind_windows, nodes
from heartbeat_central.storage.engine import Connection, Database

NODES_KEPT = timedelta(days=7)
WINDOWS_KEPT = timedelta(days=400)
"""Longer than the longest interval, so that none is forgotten while it still excuses anyone."""

log = structlog.get_logger(__name__)


def prove_reception(database: Database, beat: SelfBeat) -> Proven | Undecided:
    """Store that this process could receive when the self-beat set out; return what that means.

    Proof and window are committed together: nobody can see the one without the other. While it is
    undecided, nothing is stored. Raises StorageUnavailable: then nothing is proven.
    """
    # In a hurry as heartbeats are: its batch waits for it, and all that gather behind that.
    with database.write(hurried=True) as connection:
        verdict = _judge(database, connection, beat)
        if isinstance(verdict, Proven) and verdict.window is not None:
            # Others that were blind as well may be about to write the same window.
            nodes.lock(connection)
            verdict = _judge(database, connection, beat)
        if isinstance(verdict, Undecided):
            return verdict
        if verdict.window is not None:
            _add(connection, verdict.window)
        nodes.save(connection, beat.node, seen_at=beat.now.at)
        if beat.before is None:
            nodes.forget_before(connection, beat.now.at - NODES_KEPT)
    if verdict.window is not None:
        _tell(verdict.window)
    return verdict


def stop_node(database: Database, node: UUID, *, now: datetime) -> None:
    """Store that this process ends in good order, so that the next one need not wait for it."""
    with database.write() as connection:
        nodes.stop(connection, node, at=now)


def reception_proven_until(database: Database) -> datetime | None:
    """Return until when it is known that heartbeats could be received, by whichever process."""
    with database.read() as connection:
        return nodes.last_seen(connection)


def _judge(database: Database, connection: Connection, beat: SelfBeat) -> Proven | Undecided:
    return judge(beat, nodes.everyone(connection), alone=database.dialect == "sqlite")


def _add(connection: Connection, window: BlindWindow) -> None:
    if window.cause is Cause.CLOCK_SET_BACK:
        # It starts at what the clock shows now.
        nodes.set_back(connection, window.started_at)
        blind_windows.set_back(connection, window.started_at)
    blind_windows.add(connection, window)
    blind_windows.forget_before(connection, window.ended_at - WINDOWS_KEPT)


def _tell(window: BlindWindow) -> None:
    log.warning(
        "blind_window",
        cause=window.cause.value,
        started_at=window.started_at.isoformat(),
        ended_at=window.ended_at.isoformat(),
        seconds=round(window.length.total_seconds(), 3),
    )
