"""Counts outages into the rollups: open ones hour by hour, closed ones to their end."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from heartbeat_central.domain.rollup import HOUR, Span, downtime_change
from heartbeat_central.storage import downtime as outages
from heartbeat_central.storage import rollups
from heartbeat_central.storage.engine import Connection, Database
from heartbeat_central.storage.rollups import Key

MOST_OUTAGES = 200
"""Outages a step."""
MOST_HOURS: Mapping[str, int] = {"sqlite": 100, "postgresql": 10_000}
"""Hours a step: on SQLite heartbeats wait for it. A long outage may take several steps."""

_NONE = timedelta(0)


def roll_up_downtime(database: Database, *, until: datetime, after_id: int) -> int | None:
    """Do one step: count outages with ids above `after_id`, those that are open up to `until`.

    Returns the id of the last one that is counted to its end, to go on after; None when none is left.
    """
    most = MOST_HOURS[database.dialect]
    with database.read() as reading:
        found = outages.unrolled(reading, until=until, after_id=after_id, most=MOST_OUTAGES)
    if not found:
        return None
    with database.write() as writing:
        # Before any outage, in the order in which a deletion locks them: no deadlock.
        rollups.keep_existing(writing, {one.application_id for one in found})
        hours: dict[Key, timedelta] = {}
        for one in found:
            end = until if one.closed_at is None else one.closed_at
            last = min(end, Span.HOUR.start(one.counted_until) + (most - len(hours)) * HOUR)
            if outages.mark_rolled(writing, one, until=last):
                change = downtime_change(one.counted_until, last)
                _add(hours, (((one.application_id, hour), more) for hour, more in change))
            if last == end:
                after_id = one.id
            if len(hours) >= most:
                break
        _save(writing, hours)
    return after_id


def _save(writing: Connection, hours: Mapping[Key, timedelta]) -> None:
    days: dict[Key, timedelta] = {}
    _add(days, (((one, Span.DAY.start(hour)), more) for (one, hour), more in hours.items()))
    rollups.add_downtime(writing, Span.HOUR, hours)
    rollups.add_downtime(writing, Span.DAY, days)


def _add(sums: dict[Key, timedelta], more: Iterable[tuple[Key, timedelta]]) -> None:
    for key, length in more:
        sums[key] = sums.get(key, _NONE) + length
