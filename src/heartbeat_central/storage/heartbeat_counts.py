"""What heartbeats come to by application and hour, counted by the database."""

from datetime import timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    and_,
    case,
    extract,
    func,
    literal,
    or_,
    select,
    type_coerce,
)

from heartbeat_central.domain.rollup import HOUR, NOTHING, Rollup
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.storage import careful
from heartbeat_central.storage.rollups import Key, to_rollup
from heartbeat_central.storage.tables import heartbeats
from heartbeat_central.storage.types import Moment

_MICROSECOND = timedelta(microseconds=1)
_LONGEST = timedelta(days=366) // _MICROSECOND
"""Of a run: those are paired for days."""
_LARGEST_KEY = 2**63 - 1
"""On SQLite a text or a blob comes after it."""


def count(
    connection: Connection, *, after: int, to: int, after_key: Key, most: int | None
) -> dict[Key, Rollup]:
    """Return what the heartbeats with ids in (after, to] come to, by application and hour, in order.

    Those behind the application and hour `after_key`; no more than `most`, some of them, when there are more.
    """
    application_id, hour = after_key
    beats = heartbeats.c
    found = _count(
        connection,
        and_(
            beats.id > after,
            beats.id <= to,
            or_(
                beats.application_id > application_id,
                and_(beats.application_id == application_id, beats.received_at >= hour + HOUR),
            ),
        ),
        most,
    )
    return dict(sorted(found.items(), key=lambda one: one[0]))


def recount(connection: Connection, key: Key, *, to: int) -> Rollup:
    """Return what all heartbeats of one application's hour with ids up to `to` come to."""
    application_id, hour = key
    found = _count(
        connection,
        and_(
            heartbeats.c.application_id == application_id,
            heartbeats.c.received_at >= hour,
            heartbeats.c.received_at < hour + HOUR,
            heartbeats.c.id <= to,
        ),
        most=1,
    )
    return found.get(key, NOTHING)


def _count(
    connection: Connection, wanted: ColumnElement[bool], most: int | None
) -> dict[Key, Rollup]:
    beats = heartbeats.c
    sqlite_time = connection.dialect.name == "sqlite"
    hour = _hour(sqlite_time)
    success = beats.kind == SignalKind.SUCCESS
    before = func.lag(beats.received_at).over(
        partition_by=(beats.application_id, hour, success), order_by=beats.received_at
    )
    # Nothing can be said of a row that holds anything else, and it must not keep the others from counting.
    readable = and_(careful.is_readable(beats.received_at), beats.application_id <= _LARGEST_KEY)
    rows = (
        select(
            beats.application_id,
            hour.label("hour"),
            beats.kind,
            case((beats.duration.between(0, _LONGEST), beats.duration)).label("duration"),
            case((success, beats.received_at)).label("succeeded_at"),
            case((success, _microseconds_since(before, sqlite_time))).label("gap"),
        )
        .where(wanted, readable)
        .subquery()
    )
    found = connection.execute(
        select(
            rows.c.application_id,
            type_coerce(rows.c.hour, Moment()).label("starts_at"),
            func.count(rows.c.succeeded_at).label("successes"),
            func.count(case((rows.c.kind == SignalKind.FAIL, 1))).label("failures"),
            func.min(rows.c.succeeded_at).label("first_success_at"),
            func.max(rows.c.succeeded_at).label("last_success_at"),
            func.coalesce(func.max(rows.c.gap), 0).label("longest_gap"),
            func.count(rows.c.duration).label("runs"),
            func.coalesce(func.sum(rows.c.duration), 0).label("run_time"),
            func.coalesce(func.max(rows.c.duration), 0).label("longest_run"),
            literal(0).label("down"),
        )
        .group_by(rows.c.application_id, rows.c.hour)
        .limit(most)
    )
    return {(row.application_id, row.starts_at): to_rollup(row) for row in found}


def _hour(sqlite_time: bool) -> ColumnElement[Any]:
    if sqlite_time:
        stored = type_coerce(heartbeats.c.received_at, BigInteger)
        return stored - stored % (HOUR // _MICROSECOND)
    return func.date_trunc("hour", heartbeats.c.received_at, "UTC")


def _microseconds_since(before: ColumnElement[Any], sqlite_time: bool) -> ColumnElement[Any]:
    if sqlite_time:
        stored = type_coerce(heartbeats.c.received_at, BigInteger)
        return stored - type_coerce(before, BigInteger)
    passed = extract("epoch", heartbeats.c.received_at - before)
    return (passed * 1_000_000).cast(BigInteger)
