"""What an hour or a day of one application comes to, in a few numbers that are kept for good.

Rollups of spans that don't interleave add up without a look at the heartbeats themselves: hours to a
day, days to a year, and what arrived since to what was there before.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum

from heartbeat_central.domain.moment import aware, aware_or_none

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LAG = timedelta(minutes=2)
"""After an hour's end, when nearly all that belongs to it is committed; what comes later is added."""


class Span(Enum):
    """How long the time is that one rollup covers. Hours and days are those of UTC."""

    HOUR = HOUR
    DAY = DAY

    def start(self, moment: datetime) -> datetime:
        """Return when the hour or the day of `moment` began."""
        moment = aware(moment).astimezone(UTC)
        hour = 0 if self is Span.DAY else moment.hour
        return moment.replace(hour=hour, minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollup:
    """One application over one span of time."""

    successes: int = 0
    failures: int = 0
    first_success_at: datetime | None = None
    last_success_at: datetime | None = None
    longest_gap: timedelta = timedelta(0)
    """Between two successive successes that both lie in the span."""
    runs: int = 0
    """Starts that were paired with their finish: those whose duration is known."""
    run_time: timedelta = timedelta(0)
    """Of all these runs together."""
    longest_run: timedelta = timedelta(0)
    down: timedelta = timedelta(0)
    """How much of the span lies in outages, as far as they have been counted."""

    def __post_init__(self) -> None:
        aware_or_none(self.first_success_at)
        aware_or_none(self.last_success_at)

    @property
    def gaps(self) -> timedelta:
        """Return the gaps between successive successes together; there are `successes - 1`."""
        if self.first_success_at is None or self.last_success_at is None:
            return timedelta(0)
        return self.last_success_at - self.first_success_at


NOTHING = Rollup()


def interleave(one: Rollup, other: Rollup) -> bool:
    """Return whether successes of one lie between those of the other.

    Then a gap that one of them saw may be none, and only the heartbeats tell the longest.
    """
    if one.first_success_at is None or one.last_success_at is None:
        return False
    if other.first_success_at is None or other.last_success_at is None:
        return False
    return (
        one.last_success_at > other.first_success_at
        and other.last_success_at > one.first_success_at
    )


def add(one: Rollup, other: Rollup) -> Rollup:
    """Return both as one rollup. Where they interleave, its longest gap is an upper bound."""
    return Rollup(
        successes=one.successes + other.successes,
        failures=one.failures + other.failures,
        first_success_at=_earliest(one.first_success_at, other.first_success_at),
        last_success_at=_latest(one.last_success_at, other.last_success_at),
        longest_gap=max(one.longest_gap, other.longest_gap, _gap_between(one, other)),
        runs=one.runs + other.runs,
        run_time=one.run_time + other.run_time,
        longest_run=max(one.longest_run, other.longest_run),
        down=one.down + other.down,
    )


def total(rollups: Iterable[Rollup]) -> Rollup:
    """Return rollups of different spans as one, whatever their order."""
    sum_ = NOTHING
    for rollup in sorted(rollups, key=_position):
        sum_ = add(sum_, rollup)
    return sum_


def corrected(sum_: Rollup, recounted: Rollup) -> Rollup:
    """Return `sum_` with the longest gap that was found among the heartbeats themselves.

    Where some of them are gone already, the upper bound stays.
    """
    if recounted.successes != sum_.successes:
        return sum_
    return replace(sum_, longest_gap=recounted.longest_gap)


def downtime(begin: datetime, end: datetime) -> Iterator[tuple[datetime, timedelta]]:
    """Yield the hours that [begin, end) touches, and how much of each it covers."""
    while begin < end:
        hour = Span.HOUR.start(begin)
        until = min(end, hour + HOUR)
        yield hour, until - begin
        begin = until


def downtime_change(counted: datetime, until: datetime) -> Iterator[tuple[datetime, timedelta]]:
    """Yield what each hour gains when an outage that was counted up to `counted` reaches to `until`.

    They lose it when the outage turns out to have ended earlier: a heartbeat counts from its arrival,
    and may have waited to be stored.
    """
    yield from downtime(counted, until)
    for hour, less in downtime(until, counted):
        yield hour, -less


def next_time(now: datetime) -> datetime:
    """Return when the hour that `now` lies in can be rolled up."""
    due = Span.HOUR.start(now) + LAG
    return due if now < due else due + HOUR


def _gap_between(one: Rollup, other: Rollup) -> timedelta:
    gap = timedelta(0)
    for before, after in ((one, other), (other, one)):
        if before.last_success_at is not None and after.first_success_at is not None:
            gap = max(gap, after.first_success_at - before.last_success_at)
    return gap


def _position(rollup: Rollup) -> tuple[bool, float]:
    first = rollup.first_success_at
    return first is not None, 0.0 if first is None else first.timestamp()


def _earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment is not None), default=None)
