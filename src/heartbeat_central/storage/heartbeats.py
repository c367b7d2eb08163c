"""The history: a row per signal, written in bulk, read newest first, dropped by age."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection, func, insert, select, text, tuple_

from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.storage import careful
from heartbeat_central.storage.tables import heartbeats

_DRAWN = text("SELECT CASE WHEN is_called THEN last_value END FROM heartbeats_id_seq")
_MICROSECOND = timedelta(microseconds=1)
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class NewHeartbeat:
    """One row to write."""

    application_id: int
    signal: Signal
    duration: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """One row of the history."""

    id: int
    application_id: int
    kind: SignalKind | None
    """None: what is stored is no kind that this version knows."""
    received_at: datetime
    exit_status: int | None
    duration: timedelta | None
    rid: UUID | None
    method: str
    remote_address: str | None
    user_agent: str | None
    body_size: int
    body: bytes | None

    @property
    def label(self) -> str:
        """Return the word for its kind."""
        return "unknown" if self.kind is None else self.kind.label


def insert_many(connection: Connection, rows: Sequence[NewHeartbeat]) -> None:
    """Store all rows in one statement."""
    if rows:
        connection.execute(insert(heartbeats), [_values(row) for row in rows])


def page(
    connection: Connection,
    application_id: int,
    *,
    limit: int,
    before: tuple[datetime, int] | None = None,
) -> list[Heartbeat]:
    """Return up to `limit` rows, newest first; `before` is (received_at, id) of the last row seen.

    Those whose time can't be read are left out: there is no place for them. What else of one can't be read
    is left out of it.
    """
    query = select(heartbeats).where(
        heartbeats.c.application_id == application_id,
        careful.is_readable(heartbeats.c.received_at),
    )
    if before is not None:
        # The plain bound lets the index do the work; the pair settles equal times.
        query = query.where(
            heartbeats.c.received_at <= before[0],
            tuple_(heartbeats.c.received_at, heartbeats.c.id)
            < tuple_(*before, types=(heartbeats.c.received_at.type, heartbeats.c.id.type)),
        )
    query = query.order_by(heartbeats.c.received_at.desc(), heartbeats.c.id.desc()).limit(limit)
    return [_heartbeat(row) for row in careful.rows(connection, query, heartbeats.c.id)]


def newest_id(connection: Connection) -> int:
    """Return the highest id that a heartbeat was given. On PostgreSQL it may not be committed yet."""
    if connection.dialect.name == "sqlite":
        newest: int | None = connection.execute(select(func.max(heartbeats.c.id))).scalar()
    else:
        newest = connection.execute(_DRAWN).scalar()
    return newest or 0


def _values(row: NewHeartbeat) -> dict[str, Any]:
    signal = row.signal
    return {
        "application_id": row.application_id,
        "kind": int(signal.kind),
        "received_at": signal.received_at,
        "exit_status": signal.exit_status,
        "duration": None if row.duration is None else row.duration // _MICROSECOND,
        "rid": signal.rid,
        "method": signal.method,
        "remote_address": signal.remote_address,
        "user_agent": signal.user_agent,
        "body_size": signal.body_size,
        "body": signal.body,
    }


def _heartbeat(row: Any) -> Heartbeat:
    # SQLite takes anything into any column.
    return Heartbeat(
        id=row.id,
        application_id=row.application_id,
        kind=_kind(row.kind),
        received_at=row.received_at,
        exit_status=_only(int, row.exit_status),
        duration=_length(row.duration),
        rid=row.rid,
        method=_only(str, row.method) or "",
        remote_address=_only(str, row.remote_address),
        user_agent=_only(str, row.user_agent),
        body_size=_only(int, row.body_size) or 0,
        body=_only(bytes, row.body),
    )


def _kind(stored: Any) -> SignalKind | None:
    try:
        return SignalKind(stored)
    except ValueError:
        return None


def _length(microseconds: Any) -> timedelta | None:
    try:
        return None if microseconds is None else timedelta(microseconds=microseconds)
    except (TypeError, OverflowError):
        return None


def _only(expected: type[_Value], value: Any) -> _Value | None:
    return value if isinstance(value, expected) else None
