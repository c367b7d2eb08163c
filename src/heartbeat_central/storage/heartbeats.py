"""The history: a row per signal, written in bulk, read newest first, dropped by age."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, insert, select, text, tuple_

from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.storage.tables import heartbeats

_DRAWN = text("SELECT CASE WHEN is_called THEN last_value END FROM heartbeats_id_seq")
_MICROSECOND = timedelta(microseconds=1)


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
    kind: SignalKind
    received_at: datetime
    exit_status: int | None
    duration: timedelta | None
    rid: UUID | None
    method: str
    remote_address: str | None
    user_agent: str | None
    body_size: int
    body: bytes | None


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
    """Return up to `limit` rows, newest first; `before` is (received_at, id) of the last row seen."""
    query = select(heartbeats).where(heartbeats.c.application_id == application_id)
    if before is not None:
        # The plain bound lets the index do the work; the pair settles equal times.
        query = query.where(
            heartbeats.c.received_at <= before[0],
            tuple_(heartbeats.c.received_at, heartbeats.c.id)
            < tuple_(*before, types=(heartbeats.c.received_at.type, heartbeats.c.id.type)),
        )
    query = query.order_by(heartbeats.c.received_at.desc(), heartbeats.c.id.desc()).limit(limit)
    return [_heartbeat(row) for row in connection.execute(query)]


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


def _heartbeat(row: Row[Any]) -> Heartbeat:
    return Heartbeat(
        id=row.id,
        application_id=row.application_id,
        kind=SignalKind(row.kind),
        received_at=row.received_at,
        exit_status=row.exit_status,
        duration=None if row.duration is None else timedelta(microseconds=row.duration),
        rid=row.rid,
        method=row.method,
        remote_address=row.remote_address,
        user_agent=row.user_agent,
        body_size=row.body_size,
        body=row.body,
    )
