"""Touches on PostgreSQL: one prepared statement, one round trip, committed when it returns."""

import select
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg
from psycopg import generators, pq
from psycopg.pq.abc import PGresult
from sqlalchemy.exc import DBAPIError

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.storage import binary_arrays as arrays
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.engine_postgresql import ServerHangs
from heartbeat_central.storage.touches import Touches

# `touched` locks rows in the order in which they were given: with the settings below, the only plan is
# a loop over the array with a look at the primary key for each. Two processes then never wait for each
# other in a circle.
_STATEMENT = b"""
WITH touched AS (
    UPDATE application_states AS state
    SET last_heartbeat_at = GREATEST(state.last_heartbeat_at, given.heard_at)
    FROM unnest($1::bigint[], $2::text[], $3::timestamptz[]) AS given (id, status, heard_at)
    WHERE state.application_id = given.id AND state.status = given.status
      AND (state.status = 'paused' OR state.started_at IS NULL AND state.check_at IS NOT NULL
           AND (state.extended_at IS NULL OR given.heard_at >= state.extended_at))
    RETURNING state.application_id AS id
), lost AS (
    SELECT given.id FROM unnest($1::bigint[]) AS given (id)
    WHERE given.id NOT IN (SELECT id FROM touched)
), stored AS (
    INSERT INTO heartbeats (application_id, kind, received_at, exit_status, rid, method,
                            remote_address, user_agent, body_size, body)
    SELECT * FROM unnest($4::bigint[], $5::smallint[], $6::timestamptz[], $7::smallint[], $8::uuid[],
                         $9::text[], $10::text[], $11::text[], $12::integer[], $13::bytea[])
        AS signal (application_id, kind, received_at, exit_status, rid, method,
                   remote_address, user_agent, body_size, body)
    WHERE signal.application_id NOT IN (SELECT id FROM lost)
)
SELECT id FROM lost
"""
_FIND = """
SELECT application.uuid, application.id, state.status = 'paused'
FROM applications AS application JOIN application_states AS state ON state.application_id = application.id
WHERE application.uuid = ANY (%s)
  AND (state.status = 'paused'
       OR state.status = 'up' AND state.started_at IS NULL AND state.check_at IS NOT NULL)
"""
_NAME = b"touch"
_TYPES = [
    arrays.ARRAY_OF[one]
    for one in (
        *(arrays.INT8, arrays.TEXT, arrays.TIMESTAMPTZ),
        *(arrays.INT8, arrays.INT2, arrays.TIMESTAMPTZ, arrays.INT2, arrays.UUID_),
        *(arrays.TEXT, arrays.TEXT, arrays.TEXT, arrays.INT4, arrays.BYTEA),
    )
]
_BINARY = [pq.Format.BINARY] * len(_TYPES)
_SETTINGS = (
    "SET plan_cache_mode = force_generic_plan; SET enable_hashjoin = off;"
    " SET enable_mergejoin = off; SET enable_seqscan = off"
)


class PostgresqlTouchStore:
    """Holds a connection of its own, so that neither pages nor senders keep heartbeats waiting."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: psycopg.Connection[Any] | None = None

    def find(self, uuids: Collection[UUID]) -> Mapping[UUID, tuple[int, bool]]:
        connection = self._connected()
        try:
            rows = connection.execute(_FIND, [list(uuids)], prepare=True).fetchall()
        except psycopg.OperationalError as error:
            self.close()
            raise StorageUnavailable(str(error).strip()) from error
        return {uuid: (id_, is_paused) for uuid, id_, is_paused in rows}

    def store(self, touches: Touches) -> Collection[int]:
        values = _values(touches)
        connection = self._connected()
        result = _execute(connection, values)
        if result.status == pq.ExecStatus.TUPLES_OK:
            return [int(result.get_value(row, 0) or b"") for row in range(result.ntuples)]
        message = result.error_message.decode("utf-8", "replace").strip()
        if connection.pgconn.status == pq.ConnStatus.BAD:
            self.close()
        raise RefusedTouches(message)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> psycopg.Connection[Any]:
        known = self._connection
        if known is not None and (known.closed or _is_gone(known)):
            self.close()
        if self._connection is None:
            self._connection = _connect(self._database)
        return self._connection


def _execute(connection: psycopg.Connection[Any], values: Sequence[bytes]) -> PGresult:
    try:
        connection.pgconn.send_query_prepared(_NAME, values, _BINARY, pq.Format.TEXT)
        # Not libpq's own way to wait, which knows no end: a server that hangs would hold the writer.
        results: list[PGresult] = connection.wait(generators.execute(connection.pgconn))
    except ServerHangs as error:
        raise StorageUnavailable(str(error)) from error
    except psycopg.OperationalError as error:
        raise RefusedTouches(str(error).strip()) from error
    return results[-1]


class RefusedTouches(Exception):
    """PostgreSQL did not take a batch; its own words say why."""


def _connect(database: Database) -> psycopg.Connection[Any]:
    try:
        pooled = database.engine.raw_connection()
    except (DBAPIError, psycopg.OperationalError) as error:
        # SQLAlchemy passes on what the driver raises while it connects.
        reason = error.orig if isinstance(error, DBAPIError) else error
        raise StorageUnavailable(str(reason).strip()) from error
    connection: psycopg.Connection[Any] = pooled.driver_connection  # type: ignore[assignment]
    pooled.detach()
    connection.autocommit = True
    connection.execute(_SETTINGS)
    prepared = connection.pgconn.prepare(_NAME, _STATEMENT, _TYPES)
    if prepared.status != pq.ExecStatus.COMMAND_OK:
        message = prepared.error_message.decode("utf-8", "replace").strip()
        connection.close()
        raise RefusedTouches(message)
    return connection


def _is_gone(connection: psycopg.Connection[Any]) -> bool:
    """Return whether the server has hung up since the last batch; costs no round trip.

    Between two batches it has nothing to say but good-bye. Should it be something else, making the
    connection anew does no harm.
    """
    waiting = select.poll()
    waiting.register(connection.pgconn.socket, select.POLLIN)
    return bool(waiting.poll(0))


def _values(touches: Touches) -> list[bytes]:
    applications = touches.applications
    signals = [signal for _, signal in touches.signals]
    return [
        arrays.integers(arrays.INT8, [one.application_id for one in applications]),
        arrays.texts(["paused" if one.is_paused else "up" for one in applications]),
        arrays.moments_or_null([one.heard_at for one in applications]),
        arrays.integers(arrays.INT8, [application_id for application_id, _ in touches.signals]),
        arrays.integers(arrays.INT2, [one.kind for one in signals]),
        arrays.moments([one.received_at for one in signals]),
        arrays.integers_or_null(arrays.INT2, [one.exit_status for one in signals]),
        arrays.uuids([one.rid for one in signals]),
        arrays.texts([one.method for one in signals]),
        arrays.texts([one.remote_address for one in signals]),
        arrays.texts([one.user_agent for one in signals]),
        arrays.integers(arrays.INT4, [one.body_size for one in signals]),
        arrays.bytes_([one.body for one in signals]),
    ]
