"""Hourly and daily rollups of the history: a row for each application and span that has something."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Row,
    Subquery,
    Table,
    and_,
    bindparam,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from heartbeat_central.domain.rollup import Rollup, Span
from heartbeat_central.storage.tables import (
    applications,
    daily_rollups,
    hourly_rollups,
)
from heartbeat_central.storage.types import Moment

Key = tuple[int, datetime]
"""An application's id and the start of an hour or a day."""

_Item = TypeVar("_Item")
_CHUNK = 1_000
"""Values that one statement lists."""
_TABLES: Mapping[Span, Table] = {Span.HOUR: hourly_rollups, Span.DAY: daily_rollups}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SPANS_OF_TIME = ("longest_gap", "run_time", "longest_run")
_FROM_HEARTBEATS = (
    *("successes", "failures", "first_success_at", "last_success_at"),
    *("longest_gap", "runs", "run_time", "longest_run"),
)


def load(connection: Connection, span: Span, keys: Collection[Key]) -> dict[Key, Rollup]:
    """Return the stored rollups with these keys."""
    if not keys:
        return {}
    table = _TABLES[span]
    wanted = _given(connection, keys)
    query = select(table).join(
        wanted,
        and_(
            table.c.application_id == wanted.c.application_id,
            table.c.starts_at == wanted.c.starts_at,
        ),
    )
    return {
        (row.application_id, row.starts_at): to_rollup(row) for row in connection.execute(query)
    }


def _given(connection: Connection, keys: Collection[Key]) -> Subquery:
    """Return keys as a table of one or two parameters: the statement is the same for any number of them."""
    if connection.dialect.name == "sqlite":
        # As numbers, the way they are stored.
        pairs = [(one, (hour - _EPOCH) // _MICROSECOND) for one, hour in keys]
        given = func.json_each(json.dumps(pairs)).table_valued("value")
        return select(
            func.json_extract(given.c.value, "$[0]", type_=BigInteger).label("application_id"),
            func.json_extract(given.c.value, "$[1]", type_=Moment).label("starts_at"),
        ).subquery("wanted")
    given = (
        func.unnest(
            literal([one for one, _ in keys], ARRAY(BigInteger)),
            literal([hour for _, hour in keys], ARRAY(Moment)),
        )
        .table_valued("application_id", "starts_at")
        .render_derived()
    )
    return select(given.c.application_id, given.c.starts_at).subquery("wanted")


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
    return {row.starts_at: to_rollup(row) for row in rows}


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


def to_rollup(row: Row[Any]) -> Rollup:
    """Return the rollup of a row with its fields, spans of time in microseconds."""
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
