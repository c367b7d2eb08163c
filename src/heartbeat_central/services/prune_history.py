"""Housekeeping of the history: room ahead is made, what is too old goes in bounded steps."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.step_size import StepSize
from heartbeat_central.storage import outbox, partitions, retention, rollups, storms
from heartbeat_central.storage.engine import Connection, Database

STEP_SECONDS: Mapping[str, float] = {"sqlite": 0.02, "postgresql": 0.5}
"""How long a step may take. On SQLite heartbeats wait for it, so it stays far below 50 ms."""
FIRST_STEP = 100
"""Rows. Steps grow from here to what this machine can do in the time."""
MOST_AT_ONCE = 5.0
"""Seconds that one call works, so that the service can stop in between."""

log = structlog.get_logger(__name__)

Delete = Callable[[Connection, int], int]
"""Deletes up to so many rows and returns how many."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one call did."""

    rows: int
    more: bool
    """There was more than one call takes: call again."""


def make_room(database: Database, *, now: datetime) -> None:
    """Make sure that the partitions of the coming weeks exist (PostgreSQL)."""
    if database.dialect == "sqlite":
        return
    with database.read() as connection:
        missing = partitions.missing_days(connection, now=now)
    for day in missing:
        try:
            with partitions.layout(database) as connection:
                partitions.make(connection, day)
        except StorageUnavailable as error:
            # There are days enough ahead, and the default partition takes what has none.
            log.warning("history_day_not_made", day=str(day), reason=str(error))
            return


def prune_history(
    database: Database,
    *,
    now: datetime,
    keep_days: int,
    timer: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Pruned:
    """Delete heartbeats and finished alerts older than `keep_days`.

    A heartbeat that isn't in the rollups yet stays until it is. On PostgreSQL whole days are dropped,
    which costs the same whatever they hold; all else goes in steps, each a transaction of its own.
    """
    oldest = now - timedelta(days=keep_days)
    with database.read() as connection:
        rolled_id = rollups.progress(connection).rolled_id
    steps = _Steps(database, timer, pause)
    steps.delete(lambda connection, most: _alerts(connection, oldest, most))
    steps.delete(lambda connection, most: storms.delete_older_than(connection, oldest, most=most))
    if database.dialect == "sqlite":
        _delete_rows(steps, database, oldest, rolled_id)
    else:
        _drop_days(database, oldest, rolled_id)
        steps.delete(
            lambda connection, most: partitions.delete_unplaced(
                connection, oldest, rolled_id=rolled_id, most=most
            )
        )
    if steps.rows:
        log.info("history_pruned", rows=steps.rows)
    return Pruned(steps.rows, steps.out_of_time)


class _Steps:
    """Deletes step by step, for as long as one call may."""

    def __init__(
        self, database: Database, timer: Callable[[], float], pause: Callable[[float], None]
    ) -> None:
        self._database = database
        self._timer = timer
        self._pause = pause
        self._end = timer() + MOST_AT_ONCE
        self.rows = 0
        self.out_of_time = False

    def delete(self, delete: Delete) -> None:
        """Repeat `delete` until it finds less than it may take, or the time is over."""
        size = StepSize(first=FIRST_STEP, least=10, most=100_000)
        allowed = STEP_SECONDS[self._database.dialect]
        while not self._is_over():
            most = size.rows
            with self._database.write() as connection:
                begun = self._timer()
                count = delete(connection, most)
            took = self._timer() - begun
            self.rows += count
            if count < most:
                return
            size.took(took, of=allowed, rows=most)
            # A lock that is let go and taken at once never reaches the others who wait for it.
            self._pause(took)

    def _is_over(self) -> bool:
        self.out_of_time = self.out_of_time or self._timer() >= self._end
        return self.out_of_time


def _alerts(connection: Connection, oldest: datetime, most: int) -> int:
    return outbox.delete_alerts_older_than(connection, oldest, most=most)


def _delete_rows(steps: _Steps, database: Database, oldest: datetime, rolled_id: int) -> None:
    steps.delete(
        lambda connection, most: retention.delete_oldest(
            connection, oldest, rolled_id=rolled_id, most=most
        )
    )
    if steps.out_of_time:
        return
    with database.read() as connection:
        left = retention.applications_with_older(connection, oldest, rolled_id=rolled_id)
    for one in left:
        steps.delete(_of_application(one, oldest, rolled_id))


def _of_application(application_id: int, oldest: datetime, rolled_id: int) -> Delete:
    def delete(connection: Connection, most: int) -> int:
        return retention.delete_older_of(
            connection, application_id, oldest, rolled_id=rolled_id, most=most
        )

    return delete


def _drop_days(database: Database, oldest: datetime, rolled_id: int) -> None:
    with database.read() as connection:
        days = partitions.days_before(connection, oldest)
    for day in days:
        try:
            with partitions.layout(database) as connection:
                dropped = partitions.drop(connection, day, rolled_id=rolled_id)
        except StorageUnavailable as error:
            # Somebody reads the history for longer than others may be kept waiting.
            log.warning("history_day_not_dropped", day=str(day), reason=str(error))
            return
        if dropped:
            log.info("history_day_dropped", day=str(day))
        else:
            log.warning("history_day_waits_for_rollup", day=str(day))
