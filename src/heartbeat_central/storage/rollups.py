"""Hourly and daily rollups of the history, and how far they go.

Each heartbeat is counted once: what lies between the id up to which everything is rolled and one up
to which everything is committed. Both databases find those rows by their ids, so that recording pays
for no index on the time.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Table,
    and_,
    bindparam,
    case,
    column,
    extract,
    func,
    literal,
    or_,
    select,
    text,
    type_coerce,
    update,
    values,
)
from sqlalchemy.dialects import postgresql, sqlite

from heartbeat_central.domain.rollup import HOUR, Rollup, Span
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.storage.tables import (
    INCIDENT_UNROLLED,
    applications,
    daily_rollups,
    heartbeats,
    hourly_rollups,
    incidents,
    rollup_progress,
)
from heartbeat_central.storage.types import Moment

SETTLE = timedelta(minutes=1)
"""From drawing ids to having a transaction number takes microseconds; a statement ends after 30 s."""

Key = tuple[int, datetime]
"""An application's id and the start of an hour or a day."""

_LOCK = 0x4842_4334
"""An arbitrary number that names this advisory lock."""
_Item = TypeVar("_Item")
_CHUNK = 1_000
"""Values that one statement lists."""
_TABLES: Mapping[Span, Table] = {Span.HOUR: hourly_rollups, Span.DAY: daily_rollups}
_MICROSECOND = timedelta(microseconds=1)
_SPANS_OF_TIME = ("longest_gap", "run_time", "longest_run")
_FROM_HEARTBEATS = (
    *("successes", "failures", "first_success_at", "last_success_at"),
    *("longest_gap", "runs", "run_time", "longest_run"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the rollups go."""

    rolled_id: int
    """Every heartbeat up to this id is in the rollups."""
    fence_id: int | None
    """Every id up to this one has been drawn; whether all are committed, time tells (PostgreSQL)."""
    fence_transaction: int | None
    fenced_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrolled:
    """An outage whose downtime the rollups don't hold to its end."""

    id: int
    application_id: int
    opened_at: datetime
    closed_at: datetime | None
    rolled_until: datetime | None


def claim(connection: Connection) -> bool:
    """Return whether this node may roll up until the transaction ends; False: another one does.

    On SQLite one process does all, and `advance` finds out should there be two.
    """
    if connection.dialect.name == "sqlite":
        return True
    query = text("SELECT pg_try_advisory_xact_lock(:lock)")
    return bool(connection.execute(query, {"lock": _LOCK}).scalar_one())


def progress(connection: Connection) -> Progress:
    """Return how far the rollups go."""
    row = connection.execute(select(rollup_progress)).one()
    return Progress(
        rolled_id=row.rolled_id,
        fence_id=row.fence_id,
        fence_transaction=row.fence_transaction,
        fenced_at=row.fenced_at,
    )


def settled_id(connection: Connection, reached: Progress, *, now: datetime) -> int | None:
    """Return an id up to which every heartbeat is committed, or gone for good; None: not known yet.

    SQLite commits ids in their order. On PostgreSQL a transaction may hold a low id for as long as it
    likes. All that were drawn before the fence belong to transactions older than the fence's own, so
    they are settled once no transaction as old is running.
    """
    if connection.dialect.name == "sqlite":
        newest = connection.execute(select(func.max(heartbeats.c.id))).scalar()
        return max(newest or 0, reached.rolled_id)
    if reached.fence_id is None or reached.fenced_at is None or now < reached.fenced_at + SETTLE:
        return None
    running, newest = connection.execute(
        text(
            "SELECT pg_snapshot_xmin(seen)::text::bigint, pg_snapshot_xmax(seen)::text::bigint"
            " FROM pg_current_snapshot() AS seen"
        )
    ).one()
    fence = reached.fence_transaction or 0
    # A fence from the future was made before this database was restored into another cluster.
    return reached.fence_id if running >= fence or fence >= newest else None


def fence(connection: Connection, *, now: datetime) -> None:
    """Note which ids have been drawn by now (PostgreSQL). Needs a write transaction."""
    # In this order: whoever drew an id that we see has an older transaction number than ours.
    drawn = connection.execute(
        text("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM heartbeats_id_seq")
    ).scalar_one()
    connection.execute(
        update(rollup_progress).values(
            fence_id=drawn,
            fence_transaction=text("pg_current_xact_id()::text::bigint"),
            fenced_at=now,
        )
    )


def advance(connection: Connection, reached: Progress, *, to: int) -> bool:
    """Note that everything up to id `to` is rolled; False when another process was first."""
    updated = connection.execute(
        update(rollup_progress)
        .where(rollup_progress.c.rolled_id == reached.rolled_id)
        .values(rolled_id=to)
    )
    return updated.rowcount == 1


def count(connection: Connection, *, after: int, to: int) -> dict[Key, Rollup]:
    """Return what the heartbeats with ids in (after, to] come to, by application and hour."""
    return _count(connection, and_(heartbeats.c.id > after, heartbeats.c.id <= to))


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
    )
    return found.get(key, Rollup())


def load(connection: Connection, span: Span, keys: Collection[Key]) -> dict[Key, Rollup]:
    """Return the stored rollups with these keys."""
    table = _TABLES[span]
    found: dict[Key, Rollup] = {}
    for chunk in _chunks(keys):
        wanted = (
            values(column("application_id", BigInteger), column("starts_at", Moment), name="wanted")
            .data(chunk)
            .cte("wanted")
        )
        query = select(table).join(
            wanted,
            and_(
                table.c.application_id == wanted.c.application_id,
                table.c.starts_at == wanted.c.starts_at,
            ),
        )
        for row in connection.execute(query):
            found[row.application_id, row.starts_at] = _rollup(row)
    return found


def between(
    connection: Connection, span: Span, application_id: int, *, since: datetime, until: datetime
) -> dict[datetime, Rollup]:
    """Return an application's rollups that start in [since, until), by their start, oldest first."""
    table = _TABLES[span]
    rows = connection.execute(
        select(table)
        .where(
            table.c.application_id == application_id,
            table.c.starts_at >= since,
            table.c.starts_at < until,
        )
        .order_by(table.c.starts_at)
    )
    return {row.starts_at: _rollup(row) for row in rows}


def keep_existing(connection: Connection, application_ids: Iterable[int]) -> set[int]:
    """Return those of the applications that exist, and keep them from being deleted meanwhile."""
    existing: set[int] = set()
    for chunk in _chunks(sorted(set(application_ids))):
        existing.update(
            connection.execute(
                select(applications.c.id)
                .where(applications.c.id.in_(chunk))
                .order_by(applications.c.id)
                .with_for_update(read=True, key_share=True)
            ).scalars()
        )
    return existing


def save(connection: Connection, span: Span, rollups: Mapping[Key, Rollup]) -> None:
    """Store rollups; the downtime that is stored stays as it is."""
    if rollups:
        statement = _upsert(connection, _TABLES[span])
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["application_id", "starts_at"],
                set_={name: statement.excluded[name] for name in _FROM_HEARTBEATS},
            ),
            [
                _values(key, rollup)
                for key, rollup in sorted(rollups.items(), key=lambda one: one[0])
            ],
        )


def add_downtime(connection: Connection, span: Span, down: Mapping[Key, timedelta]) -> None:
    """Add to the downtime of rollups, making those that lack; it may be less than nothing."""
    if down:
        table = _TABLES[span]
        statement = _upsert(connection, table)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["application_id", "starts_at"],
                set_={"down": table.c.down + statement.excluded.down},
            ),
            [
                _values(key, Rollup(down=more))
                for key, more in sorted(down.items(), key=lambda one: one[0])
            ],
        )


def unrolled_incidents(connection: Connection, *, until: datetime, most: int) -> list[Unrolled]:
    """Return up to `most` outages with downtime to count: to their end, or to `until` while open."""
    counted = func.coalesce(incidents.c.rolled_until, incidents.c.opened_at)
    rows = connection.execute(
        select(
            incidents.c.id,
            incidents.c.application_id,
            incidents.c.opened_at,
            incidents.c.closed_at,
            incidents.c.rolled_until,
        )
        .where(INCIDENT_UNROLLED, or_(incidents.c.closed_at.is_not(None), counted < until))
        .order_by(incidents.c.id)
        .limit(most)
    )
    return [
        Unrolled(
            id=row.id,
            application_id=row.application_id,
            opened_at=row.opened_at,
            closed_at=row.closed_at,
            rolled_until=row.rolled_until,
        )
        for row in rows
    ]


def roll_incident(connection: Connection, incident: Unrolled, *, until: datetime) -> bool:
    """Note how far an outage is counted; False when another process counted it meanwhile."""
    as_seen = incidents.c.rolled_until.is_not_distinct_from(
        literal(incident.rolled_until, Moment())
    )
    updated = connection.execute(
        update(incidents).where(incidents.c.id == incident.id, as_seen).values(rolled_until=until)
    )
    return updated.rowcount == 1


def _count(connection: Connection, wanted: ColumnElement[bool]) -> dict[Key, Rollup]:
    beats = heartbeats.c
    sqlite_time = connection.dialect.name == "sqlite"
    hour = _hour(sqlite_time)
    success = beats.kind == SignalKind.SUCCESS
    before = func.lag(beats.received_at).over(
        partition_by=(beats.application_id, hour, success), order_by=beats.received_at
    )
    rows = (
        select(
            beats.application_id,
            hour.label("hour"),
            beats.kind,
            beats.duration,
            case((success, beats.received_at)).label("succeeded_at"),
            case((success, _microseconds_since(before, sqlite_time))).label("gap"),
        )
        .where(wanted)
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
        ).group_by(rows.c.application_id, rows.c.hour)
    )
    return {(row.application_id, row.starts_at): _rollup(row) for row in found}


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


def _upsert(connection: Connection, table: Table) -> Any:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement: Any = dialect.insert(table)
    return statement.values({one.name: bindparam(one.name) for one in table.c})


def _values(key: Key, rollup: Rollup) -> dict[str, Any]:
    return {
        "application_id": key[0],
        "starts_at": key[1],
        "successes": rollup.successes,
        "failures": rollup.failures,
        "runs": rollup.runs,
        "first_success_at": rollup.first_success_at,
        "last_success_at": rollup.last_success_at,
        "down": rollup.down // _MICROSECOND,
        **{name: getattr(rollup, name) // _MICROSECOND for name in _SPANS_OF_TIME},
    }


def _rollup(row: Row[Any]) -> Rollup:
    return Rollup(
        successes=row.successes,
        failures=row.failures,
        first_success_at=row.first_success_at,
        last_success_at=row.last_success_at,
        longest_gap=timedelta(microseconds=row.longest_gap),
        runs=row.runs,
        run_time=timedelta(microseconds=int(row.run_time)),
        longest_run=timedelta(microseconds=row.longest_run),
        down=timedelta(microseconds=row.down),
    )


def _chunks(items: Iterable[_Item]) -> Iterator[Sequence[_Item]]:
    rest = iter(items)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
