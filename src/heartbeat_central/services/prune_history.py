"""Housekeeping of the history: room ahead is made, what is too old goes in bounded steps."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import structlog

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.step_size import StepSize
from heartbeat_central.storage import partitions, retention, storms
from heartbeat_central.storage import roll_up_progress as progress
from heartbeat_central.storage.engine import Connection, Database

STEP_SECONDS: Mapping[str, float] = {"sqlite": 0.01, "postgresql": 0.5}
"""How long a step should take. On SQLite heartbeats wait for it; a slow flush may add to it, so it aims far
below the 50 ms that it may have at most."""
REST: Mapping[str, float] = {"sqlite": 3.0, "postgresql": 1.0}
"""How many times as long as a step took the next one waits."""
FIRST_STEP = 100
"""Rows. Steps grow from here to what this machine can do in the time."""
MOST_AT_ONCE = 5.0
"""Seconds that one call works, so that the service can stop in between."""

log = structlog.get_logger(__name__)


class Delete(Protocol):
    """Deletes some of what there is to delete."""

    def __call__(self, connection: Connection, /, *, most: int) -> int:
        """Delete up to `most` rows and return how many."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one call did."""

    rows: int
    more: bool
    """There was more than one call takes: call again."""


def make_room(database: Database, *, now: datetime) -> None:
    """Make sure that the partitions of the coming weeks exist (PostgreSQL).

    What was recorded before its day had a partition moves there, unless it is so much that recording
    would be held up.
    """
    if database.dialect == "sqlite":
        return
    with database.read() as connection:
        missing = partitions.missing_days(connection, now=now)
    for day in missing:
        try:
            with partitions.layout(database) as connection:
                made = partitions.make(connection, day, most_moved=partitions.MOST_MOVED)
        except StorageUnavailable as error:
            # There are days enough ahead, and the default partition takes what has none.
            log.warning("history_day_not_made", day=str(day), reason=str(error))
            return
        if not made:
            # Nobody has kept house for so long that recording would have to wait while they move. They
            # stay where they are, and go from there by age; the next days get partitions again.
            log.warning("history_day_stays_unplaced", day=str(day))


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
        rolled_id = progress.rolled_id(connection)
    steps = _Steps(database, timer, pause)
    steps.delete(partial(retention.delete_deliveries, moment=oldest))
    steps.delete(partial(retention.delete_alerts, moment=oldest))
    steps.delete(partial(storms.delete_older_than, moment=oldest))
    if database.dialect == "sqlite":
        _delete_rows(steps, database, oldest, rolled_id)
    else:
        _drop_days(database, oldest, rolled_id)
        steps.delete(partial(partitions.delete_unplaced, moment=oldest, rolled_id=rolled_id))
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

    def delete(self, delete: Delete, *, until_none: bool = False) -> None:
        """Repeat `delete` until it finds less than it may take, or nothing, or the time is over."""
        size = StepSize(first=FIRST_STEP, least=10, most=100_000)
        allowed = STEP_SECONDS[self._database.dialect]
        while not self._is_over():
            most = size.rows
            with self._database.write() as connection:
                begun = self._timer()
                count = delete(connection, most=most)
            took = self._timer() - begun
            self.rows += count
            if count < (1 if until_none else most):
                return
            size.took(took, of=allowed, rows=most)
            # The disk and the processor are others' meanwhile, and so is SQLite's one lock.
            self._pause(took * REST[self._database.dialect])

    def _is_over(self) -> bool:
        self.out_of_time = self.out_of_time or self._timer() >= self._end
        return self.out_of_time


def _delete_rows(steps: _Steps, database: Database, oldest: datetime, rolled_id: int) -> None:
    steps.delete(
        partial(retention.delete_oldest, moment=oldest, rolled_id=rolled_id), until_none=True
    )
    if steps.out_of_time:
        return
    with database.read() as connection:
        left = retention.applications_with_older(connection, oldest, rolled_id=rolled_id)
    for one in left:
        steps.delete(
            partial(
                retention.delete_older_of, application_id=one, moment=oldest, rolled_id=rolled_id
            )
        )


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
