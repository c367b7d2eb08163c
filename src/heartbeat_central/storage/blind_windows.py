"""Blind windows, and what is still to be done about them."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, insert, or_, select, update

from heartbeat_central.domain.blind_window import NO_WINDOWS, BlindWindow, BlindWindows, Cause
from heartbeat_central.domain.state import State, silent_since
from heartbeat_central.storage.tables import blind_windows

MOST = 10_000
"""That are kept: what restarts every few seconds for a day must not fill the database."""


def add(connection: Connection, window: BlindWindow) -> None:
    """Store a new window."""
    connection.execute(
        insert(blind_windows).values(
            started_at=window.started_at, ended_at=window.ended_at, cause=window.cause.value
        )
    )


def since(connection: Connection, moment: datetime) -> BlindWindows:
    """Return the windows that ended at `moment` or later."""
    rows = connection.execute(select(blind_windows).where(blind_windows.c.ended_at >= moment))
    return BlindWindows(map(_window, rows))


def since_heard(connection: Connection, applications: Collection[State]) -> BlindWindows:
    """Return the windows that matter to one of these applications: since any was last heard from."""
    # Of a state that can't be read nobody knows.
    readable = [state for state in applications if state.problem is None]
    if not readable:
        return NO_WINDOWS
    return since(connection, min(map(silent_since, readable)))


def set_back(connection: Connection, now: datetime) -> None:
    """Cut what lies ahead off the windows that are known, for the clock was set back to `now`.

    Those of clocks that were set back stay: they say what is shown twice.
    """
    cut = and_(blind_windows.c.ended_at > now, blind_windows.c.cause != Cause.CLOCK_SET_BACK.value)
    connection.execute(
        update(blind_windows).where(cut, blind_windows.c.started_at > now).values(started_at=now)
    )
    connection.execute(update(blind_windows).where(cut).values(ended_at=now))


def forget_before(connection: Connection, moment: datetime) -> None:
    """Forget the windows that ended before `moment`, and the oldest of more than MOST."""
    oldest = (
        select(blind_windows.c.id).order_by(blind_windows.c.id.desc()).offset(MOST).limit(1)
    ).scalar_subquery()
    connection.execute(
        delete(blind_windows).where(
            or_(blind_windows.c.ended_at < moment, blind_windows.c.id <= oldest)
        )
    )


def ask_for_digest(connection: Connection, window_id: int, *, due_at: datetime) -> None:
    """Have a digest sent at `due_at`, if none was asked for yet."""
    connection.execute(
        update(blind_windows)
        .where(blind_windows.c.id == window_id, blind_windows.c.digest_due_at.is_(None))
        .values(digest_due_at=due_at)
    )


def to_digest(connection: Connection, *, now: datetime) -> list[BlindWindow]:
    """Return the windows whose digest is due, the oldest first."""
    query = select(blind_windows).where(_undigested(now)).order_by(blind_windows.c.id)
    return [_window(row) for row in connection.execute(query)]


def digested(connection: Connection, window_id: int, *, now: datetime) -> bool:
    """Store that the digest is written; False when another process has done so."""
    updated = connection.execute(
        update(blind_windows)
        .where(blind_windows.c.id == window_id, _undigested(now))
        .values(digested_at=now)
    )
    return updated.rowcount == 1


def to_settle(connection: Connection) -> list[BlindWindow]:
    """Return the windows of a clock that was set back after which not all has been looked at."""
    query = select(blind_windows).where(
        blind_windows.c.cause == Cause.CLOCK_SET_BACK.value, blind_windows.c.settled_at.is_(None)
    )
    return [_window(row) for row in connection.execute(query.order_by(blind_windows.c.id))]


def settled(connection: Connection, window_id: int, *, now: datetime) -> bool:
    """Store that all has been looked at that lay ahead; False when another process has done so."""
    updated = connection.execute(
        update(blind_windows)
        .where(blind_windows.c.id == window_id, blind_windows.c.settled_at.is_(None))
        .values(settled_at=now)
    )
    return updated.rowcount == 1


def _undigested(now: datetime) -> Any:
    return and_(blind_windows.c.digest_due_at <= now, blind_windows.c.digested_at.is_(None))


def _window(row: Row[Any]) -> BlindWindow:
    return BlindWindow(
        started_at=row.started_at, ended_at=row.ended_at, cause=Cause(row.cause), id=row.id
    )
