"""Keeps the rollups up to date: every heartbeat and every outage is counted once, in bounded steps."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from heartbeat_central.domain.rollup import (
    DAY,
    NOTHING,
    Rollup,
    Span,
    add,
    corrected,
    interleave,
    next_time,
    total,
)
from heartbeat_central.domain.step_size import StepSize
from heartbeat_central.services.roll_up_downtime import roll_up_downtime
from heartbeat_central.storage import heartbeat_counts, partitions, rollups
from heartbeat_central.storage import roll_up_progress as progress
from heartbeat_central.storage.engine import Connection, Database
from heartbeat_central.storage.roll_up_progress import NO_KEY, Drawn, Progress
from heartbeat_central.storage.rollups import Key

READ_SECONDS: Mapping[str, float] = {"sqlite": 0.3, "postgresql": 1.0}
"""How long a step may count, which holds up nobody. What a reader on SQLite sees, though, keeps the log from
beginning anew."""
FIRST_READ: Mapping[str, int] = {"sqlite": 10_000, "postgresql": 100_000}
"""Heartbeats of the first step; steps grow from here to what can be counted in the time."""
WRITE_SECONDS: Mapping[str, float] = {"sqlite": 0.02, "postgresql": 1.0}
"""How long a step may write. On SQLite heartbeats wait for it; on PostgreSQL nobody does."""
MOST_HOURS = 50_000
"""Hours of applications that one count may come to: they are kept in memory until all are stored."""
OTHERS = timedelta(seconds=10)
"""When to come back while another node rolls up."""
WRITERS = timedelta(seconds=1)
"""When to come back while heartbeats are being stored that were given their ids before this round."""


@dataclass(slots=True)
class _Round:
    """One round counts the heartbeats there are when it begins, then the outages; hourly."""

    heartbeats: Drawn
    hour: datetime
    """The last full hour ended then: open outages are counted up to here."""
    outage_id: int = 0
    """The outages up to this one are counted."""


@dataclass(slots=True)
class _Batch:
    """What a number of heartbeats come to, as far as it isn't stored yet."""

    stored: Progress
    to: int
    """The id of the last of them."""
    left: Sequence[tuple[Key, Rollup]]
    """In the order of the applications and hours."""


class RollUp:
    """One node's work on the rollups. Not thread-safe: one job owns it.

    What it remembers between two steps only saves looking again: another process, or this one after a
    restart, goes on from what is stored.
    """

    def __init__(
        self,
        database: Database,
        *,
        most: int = 1_000_000,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._timer = timer
        first = min(FIRST_READ[database.dialect], most)
        self._reading = StepSize(first=first, least=min(100, most), most=most)
        """In heartbeats."""
        self._writing = StepSize(first=min(200, most), least=min(10, most), most=most)
        """In hours of applications."""
        self._round: _Round | None = None
        self._batch: _Batch | None = None

    def step(self, *, now: datetime) -> datetime:
        """Do one step of what is left, and return when to come back: `now` while there is more.

        Any number of nodes may run this: one works and the others come back. A heartbeat that arrives
        late, or was imported with an old time, is added to the hour it belongs to whenever it comes.
        """
        with self._database.read() as reading:
            if not progress.claim(reading):
                return now + OTHERS
            if self._round is None:
                partitions.summarize_recent(self._database, now=now)
                self._round = _Round(progress.drawn(reading), Span.HOUR.start(now))
            ids = self._round.heartbeats
            if not progress.is_settled(reading, ids):
                return now + WRITERS
            stored = progress.progress(reading)
            if stored.rolled_id >= ids.up_to:
                return self._count_outages(self._round, now)
            if self._batch is None or self._batch.stored != stored:
                self._batch = self._count_heartbeats(reading, stored, ids.up_to)
            else:
                self._batch = self._store(reading, self._batch)
            return now

    def _count_heartbeats(self, reading: Connection, stored: Progress, up_to: int) -> _Batch | None:
        begun = self._timer()
        under_way = stored.rolling_id > stored.rolled_id
        to = stored.rolling_id if under_way else min(up_to, stored.rolled_id + self._reading.rows)
        left = heartbeat_counts.count(
            reading,
            after=stored.rolled_id,
            to=to,
            after_key=stored.rolled_key,
            most=None if under_way else MOST_HOURS + 1,
        )
        took, heartbeats = self._timer() - begun, to - stored.rolled_id
        if not under_way and len(left) > MOST_HOURS:
            # More applications sent these than the last ones: take on fewer heartbeats.
            self._reading.took(2.0, of=1.0, rows=heartbeats)
            return None
        allowed = READ_SECONDS[self._database.dialect]
        self._reading.took(took, of=allowed, rows=heartbeats)
        return _Batch(stored, to, list(left.items()))

    def _store(self, reading: Connection, batch: _Batch) -> _Batch | None:
        """Store a part of what the batch holds, and return it without that; None: it is all done."""
        new = dict(batch.left[: self._writing.rows])
        hours = _hours(reading, new, batch.to)
        days = _days(reading, new, hours)
        left = batch.left[len(new) :]
        stored = Progress(rolled_id=batch.to, rolling_id=batch.to, rolled_key=NO_KEY)
        if left:
            stored = replace(batch.stored, rolling_id=batch.to, rolled_key=list(new)[-1])
        with self._database.write() as writing:
            begun = self._timer()
            if progress.advance(writing, batch.stored, stored):
                existing = rollups.keep_existing(writing, {one for one, _ in hours})
                rollups.save(writing, Span.HOUR, _only(existing, hours))
                rollups.save(writing, Span.DAY, _only(existing, days))
        took = self._timer() - begun
        self._writing.took(took, of=WRITE_SECONDS[self._database.dialect], rows=len(new))
        return _Batch(stored, batch.to, left) if left else None

    def _count_outages(self, round_: _Round, now: datetime) -> datetime:
        reached = roll_up_downtime(self._database, until=round_.hour, after_id=round_.outage_id)
        if reached is None:
            self._round = None
            return next_time(now)
        round_.outage_id = reached
        return now


def _hours(reading: Connection, new: Mapping[Key, Rollup], to: int) -> dict[Key, Rollup]:
    """Return the hours that `new` belongs to, with it."""
    stored = rollups.load(reading, Span.HOUR, new)
    hours = {}
    for key, more in new.items():
        before = stored.get(key, NOTHING)
        hours[key] = add(before, more)
        if interleave(before, more):
            hours[key] = corrected(hours[key], heartbeat_counts.recount(reading, key, to=to))
    return hours


def _days(
    reading: Connection, new: Mapping[Key, Rollup], hours: Mapping[Key, Rollup]
) -> dict[Key, Rollup]:
    """Return the days that `new` belongs to, with it; `hours` are its hours as they are now."""
    by_day: dict[Key, list[Key]] = {}
    for application_id, hour in new:
        by_day.setdefault((application_id, Span.DAY.start(hour)), []).append((application_id, hour))
    stored = rollups.load(reading, Span.DAY, by_day)
    days = {}
    for day, keys in by_day.items():
        before, more = stored.get(day, NOTHING), total(new[key] for key in keys)
        days[day] = add(before, more)
        if interleave(before, more):
            days[day] = _whole_day(reading, day, {key[1]: hours[key] for key in keys})
    return days


def _whole_day(reading: Connection, day: Key, changed: Mapping[datetime, Rollup]) -> Rollup:
    application_id, begin = day
    stored = rollups.between(reading, Span.HOUR, application_id, since=begin, until=begin + DAY)
    return total({**stored, **changed}.values())


def _only(existing: Collection[int], found: Mapping[Key, Rollup]) -> dict[Key, Rollup]:
    """Leave out the applications that were deleted meanwhile."""
    return {key: rollup for key, rollup in found.items() if key[0] in existing}
