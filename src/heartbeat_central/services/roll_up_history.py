"""Keeps the rollups up to date: every heartbeat and every outage is counted once, in bounded steps."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from heartbeat_central.domain.rollup import (
    DAY,
    HOUR,
    NOTHING,
    Rollup,
    Span,
    add,
    corrected,
    downtime,
    interleave,
    next_time,
    total,
)
from heartbeat_central.domain.step_size import StepSize
from heartbeat_central.storage import partitions, rollups
from heartbeat_central.storage.engine import Connection, Database
from heartbeat_central.storage.rollups import Key, Progress, Unrolled

WRITE_SECONDS: Mapping[str, float] = {"sqlite": 0.02, "postgresql": 1.0}
"""How long a step may write. On SQLite heartbeats wait for it; on PostgreSQL nobody does."""
MOST_HOURS_WRITTEN: Mapping[str, int] = {"sqlite": 1_000, "postgresql": 50_000}
"""Hours of applications that a step may write, whatever earlier steps led to expect."""
READ_SECONDS = 1.0
"""How long a step may read, which holds up nobody."""
MOST_INCIDENTS = 200
"""Outages a step."""
MOST_HOURS_OF_OUTAGE = 24 * 7
"""Of one outage a step."""
RETRY = timedelta(seconds=10)
"""When what is needed is in other hands: another node's, or a long transaction's."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rolled:
    """What one step did."""

    rows: int
    """Hours of applications that were stored."""
    again_at: datetime
    """When to come back: at once while there is more."""


def first_step() -> StepSize:
    """Return the size to begin with, in heartbeats, for `roll_up_history` to adapt."""
    return StepSize(first=1_000, least=100, most=1_000_000)


def roll_up_history(
    database: Database,
    *,
    now: datetime,
    step: StepSize,
    timer: Callable[[], float] = time.monotonic,
) -> Rolled:
    """Do one step of what is left to roll up.

    Any number of nodes may run this: one works and the others come back. A heartbeat that arrives
    late, or was imported with an old time, is added to the hour it belongs to whenever it comes.
    """
    with database.read() as reading:
        if not rollups.claim(reading):
            return Rolled(0, now + RETRY)
        reached = rollups.progress(reading)
        settled = rollups.settled_id(reading, reached, now=now)
        if settled is not None and settled > reached.rolled_id:
            to = min(settled, reached.rolled_id + step.rows)
            return Rolled(_roll_heartbeats(database, reading, reached, to, step, timer), now)
        rows = _roll_incidents(database, until=Span.HOUR.start(now))
        if rows:
            return Rolled(rows, now)
        return Rolled(0, _look_again(database, reached, settled, now))


def _look_again(
    database: Database, reached: Progress, settled: int | None, now: datetime
) -> datetime:
    if database.dialect == "sqlite":
        return next_time(now)
    if reached.fenced_at is None or (settled is not None and next_time(reached.fenced_at) <= now):
        # What came since the last fence will lie in few blocks, once these are summarized.
        partitions.summarize_recent(database, now=now)
        with database.write() as writing:
            rollups.fence(writing, now=now)
        return now + rollups.SETTLE
    if settled is None:
        return max(reached.fenced_at + rollups.SETTLE, now + RETRY)
    return next_time(now)


def _roll_heartbeats(
    database: Database,
    reading: Connection,
    reached: Progress,
    to: int,
    step: StepSize,
    timer: Callable[[], float],
) -> int:
    begun = timer()
    rows = to - reached.rolled_id
    new = rollups.count(reading, after=reached.rolled_id, to=to)
    most = MOST_HOURS_WRITTEN[database.dialect]
    if len(new) > most and rows > 1:
        # More applications than before sent these: the next step takes on fewer heartbeats.
        step.took(len(new), of=most / 2, rows=rows)
        return 0
    hours = _hours(reading, new, to)
    days = _days(reading, new, hours)
    read = timer() - begun
    with database.write() as writing:
        begun = timer()
        if not rollups.advance(writing, reached, to=to):
            return 0
        existing = rollups.keep_existing(writing, {application_id for application_id, _ in hours})
        rollups.save(writing, Span.HOUR, _only(hours, existing))
        rollups.save(writing, Span.DAY, _only(days, existing))
    write = timer() - begun
    step.took(max(read / READ_SECONDS, write / WRITE_SECONDS[database.dialect]), of=1, rows=rows)
    return len(hours)


def _hours(reading: Connection, new: Mapping[Key, Rollup], to: int) -> dict[Key, Rollup]:
    """Return the hours that `new` belongs to, with it."""
    stored = rollups.load(reading, Span.HOUR, new)
    hours = {}
    for key, more in new.items():
        before = stored.get(key, NOTHING)
        hours[key] = add(before, more)
        if interleave(before, more):
            hours[key] = corrected(hours[key], rollups.recount(reading, key, to=to))
    return hours


def _days(
    reading: Connection, new: Mapping[Key, Rollup], hours: Mapping[Key, Rollup]
) -> dict[Key, Rollup]:
    """Return the days that `new` belongs to, with it; `hours` are these hours as they are now."""
    by_day: dict[Key, list[Key]] = {}
    for application_id, hour in sorted(new):
        by_day.setdefault((application_id, Span.DAY.start(hour)), []).append((application_id, hour))
    stored = rollups.load(reading, Span.DAY, by_day)
    days = {}
    for day, keys in by_day.items():
        days[day] = stored.get(day, NOTHING)
        for key in keys:
            if interleave(days[day], new[key]):
                days[day] = _whole_day(reading, day, {key[1]: hours[key] for key in keys})
                break
            days[day] = add(days[day], new[key])
    return days


def _whole_day(reading: Connection, day: Key, changed: Mapping[datetime, Rollup]) -> Rollup:
    application_id, begin = day
    stored = rollups.between(reading, Span.HOUR, application_id, since=begin, until=begin + DAY)
    return total({**stored, **changed}.values())


def _roll_incidents(database: Database, *, until: datetime) -> int:
    """Count the downtime of outages up to the full hour `until`, or to their end; return the rows."""
    with database.read() as reading:
        unrolled = rollups.unrolled_incidents(reading, until=until, most=MOST_INCIDENTS)
    if not unrolled:
        return 0
    with database.write() as writing:
        # Before any incident, in the order in which a deletion locks them: no deadlock.
        rollups.keep_existing(writing, {one.application_id for one in unrolled})
        hours: dict[Key, timedelta] = {}
        for one in unrolled:
            counted = one.rolled_until or one.opened_at
            end = _count_until(one, until)
            if rollups.roll_incident(writing, one, until=end):
                for hour, more in _difference(counted, end):
                    key = one.application_id, hour
                    hours[key] = hours.get(key, timedelta(0)) + more
        days: dict[Key, timedelta] = {}
        for (application_id, hour), more in hours.items():
            day = application_id, Span.DAY.start(hour)
            days[day] = days.get(day, timedelta(0)) + more
        rollups.add_downtime(writing, Span.HOUR, hours)
        rollups.add_downtime(writing, Span.DAY, days)
    return len(unrolled)


def _count_until(incident: Unrolled, until: datetime) -> datetime:
    counted = incident.rolled_until or incident.opened_at
    end = until if incident.closed_at is None else incident.closed_at
    return min(end, Span.HOUR.start(counted) + MOST_HOURS_OF_OUTAGE * HOUR)


def _difference(counted: datetime, end: datetime) -> Iterable[tuple[datetime, timedelta]]:
    """Return what each hour gains when an outage that was counted up to `counted` reaches to `end`.

    It may turn out to have ended before: a heartbeat counts from its arrival, and may have waited.
    """
    if counted <= end:
        return downtime(counted, end)
    return ((hour, -less) for hour, less in downtime(end, counted))


def _only(found: Mapping[Key, Rollup], existing: Collection[int]) -> dict[Key, Rollup]:
    return {key: rollup for key, rollup in found.items() if key[0] in existing}
