"""Touches on SQLite: few statements of many rows each, for each one costs a hand-over of Python's lock."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from heartbeat_central.storage.engine import Connection, Database
from heartbeat_central.storage.touches import Touches

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SIZES = (256, 64, 16, 4, 1)
"""Rows of a statement: few sizes, so that each is prepared once and found again."""

_TOUCH = """
UPDATE application_states AS state
SET last_heartbeat_at = max(coalesce(state.last_heartbeat_at, given.column3),
                            coalesce(given.column3, state.last_heartbeat_at))
FROM (VALUES {rows}) AS given
WHERE state.application_id = given.column1 AND state.status = given.column2
  AND (state.status = 'paused' OR state.started_at IS NULL AND state.check_at IS NOT NULL
       AND (state.extended_at IS NULL OR given.column3 >= state.extended_at))
"""
_FIND = """
SELECT application.uuid, application.id, state.status = 'paused'
FROM applications AS application JOIN application_states AS state ON state.application_id = application.id
WHERE application.uuid IN ({rows})
  AND (state.status = 'paused'
       OR state.status = 'up' AND state.started_at IS NULL AND state.check_at IS NOT NULL)
"""
_INSERT = """
INSERT INTO heartbeats (application_id, kind, received_at, exit_status, rid, method,
                        remote_address, user_agent, body_size, body)
VALUES {rows}
"""


class SqliteTouchStore:
    """Writes in the database's one write transaction at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, uuids: Collection[UUID]) -> Mapping[UUID, tuple[int, bool]]:
        found: dict[UUID, tuple[int, bool]] = {}
        with self._database.read() as connection:
            for chunk in _chunks([(one.hex,) for one in uuids]):
                sql = _FIND.format(rows=", ".join("?" * len(chunk)))
                for uuid, id_, is_paused in connection.exec_driver_sql(
                    sql, tuple(value for (value,) in chunk)
                ):
                    found[UUID(uuid)] = id_, bool(is_paused)
        return found

    def store(self, touches: Touches) -> Collection[int]:
        with self._database.write(hurried=True) as connection:
            touched = _execute(connection, _TOUCH, _applications(touches), columns=3)
            if touched != len(touches.applications):
                # Somebody else changed one of them. Who it was does not matter: all are judged again.
                connection.rollback()
                return [one.application_id for one in touches.applications]
            _execute(connection, _INSERT, _signals(touches), columns=10)
        return ()

    def close(self) -> None:
        """Nothing is held: the connections are the database's own."""


def _execute(
    connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]], *, columns: int
) -> int:
    row = f"({', '.join('?' * columns)})"
    count = 0
    for chunk in _chunks(rows):
        values = tuple(value for one in chunk for value in one)
        sql = statement.format(rows=", ".join([row] * len(chunk)))
        count += connection.exec_driver_sql(sql, values).rowcount
    return count


def _chunks(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    begin = 0
    for size in _SIZES:
        while len(rows) - begin >= size:
            yield rows[begin : begin + size]
            begin += size


def _applications(touches: Touches) -> list[tuple[Any, ...]]:
    return [
        (
            one.application_id,
            "paused" if one.is_paused else "up",
            None if one.heard_at is None else (one.heard_at - _EPOCH) // _MICROSECOND,
        )
        for one in touches.applications
    ]


def _signals(touches: Touches) -> list[tuple[Any, ...]]:
    return [
        (
            application_id,
            int(one.kind),
            (one.received_at - _EPOCH) // _MICROSECOND,
            one.exit_status,
            None if one.rid is None else one.rid.hex,
            one.method,
            one.remote_address,
            one.user_agent,
            one.body_size,
            one.body,
        )
        for application_id, one in touches.signals
    ]
