"""Whatever blind windows there are: who keeps a schedule is never missed, who is dead is always told.

A whole service in miniature: heartbeats that fall into a window are lost, and nobody looks while one
lasts. Windows are known when they are over.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeat_central.domain import state as machine
from heartbeat_central.domain.blind_window import BlindWindow, BlindWindows, Cause
from heartbeat_central.domain.due import MOST_EXTENSIONS
from heartbeat_central.domain.incident import Reason
from heartbeat_central.domain.schedule import CronSchedule, IntervalSchedule, Timing
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.domain.state import WentDown

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
UUID_ = uuid4()


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Told:
    down: WentDown
    at: datetime


class Miniature:
    """One application, watched from NOON on by a service with these blind windows."""

    def __init__(self, timing: Timing, windows: Sequence[tuple[float, float]]) -> None:
        self.timing = timing
        self.windows = [
            BlindWindow(started_at=at(start), ended_at=at(end), cause=Cause.STOPPED)
            for start, end in sorted(windows)
        ]
        self.state = machine.born(timing, now=NOON)
        self.told: list[Told] = []

    def live(self, beats: Iterable[datetime], until: datetime) -> list[Told]:
        """Return what was told until then, given when the application called."""
        for beat in sorted(beats):
            self._look_until(beat)
            if not self._is_blind(beat):
                heard = Signal(uuid=UUID_, kind=SignalKind.SUCCESS, received_at=beat)
                self.state = machine.on_signal(self.timing, self.state, heard).state
        self._look_until(until)
        return self.told

    def _look_until(self, end: datetime) -> None:
        while self.state.check_at is not None and self._seeing(self.state.check_at) < end:
            self._look(self._seeing(self.state.check_at))

    def _look(self, now: datetime) -> None:
        known = BlindWindows(one for one in self.windows if one.ended_at <= now)
        decision = machine.on_clock(self.timing, self.state, now=now, windows=known)
        self.state = decision.state
        if isinstance(decision.transition, WentDown):
            self.told.append(Told(decision.transition, now))

    def _is_blind(self, moment: datetime) -> bool:
        return any(one.started_at <= moment <= one.ended_at for one in self.windows)

    def _seeing(self, moment: datetime) -> datetime:
        """Return when, from `moment` on, the service runs."""
        for one in self.windows:
            if one.started_at <= moment < one.ended_at:
                moment = one.ended_at
        return moment


def steady(timing: Timing, lateness: Sequence[float]) -> Iterator[datetime]:
    """Yield heartbeats that keep the schedule, each later than expected by a share of the grace.

    A negative share makes one earlier, as far as jobs may be: an hour, and less than the interval.
    """
    moment = NOON
    for share in lateness:
        moment = timing.schedule.next_after(moment)
        early = timedelta(0)
        if isinstance(timing.schedule, IntervalSchedule):
            early = min(timedelta(hours=1), 0.9 * timing.schedule.length)
        moment += share * (timing.grace if share > 0 else early)
        yield moment


def windows(scale: float) -> st.SearchStrategy[list[tuple[float, float]]]:
    """Return up to 20 windows within 2,000 times `scale` seconds, most of them short."""
    starts = st.floats(0, 2000).map(lambda start: start * scale)
    lengths = st.one_of(st.floats(0, 5), st.floats(0, 300).map(lambda length: length * scale))
    return st.lists(st.tuples(starts, lengths), max_size=20).map(
        lambda pairs: [(start, start + length) for start, length in pairs]
    )


INTERVALS = st.builds(
    lambda seconds, grace: Timing(schedule=IntervalSchedule(seconds), grace_period=grace),
    st.integers(1, 200),
    st.integers(0, 60),
)
LONG_INTERVALS = st.builds(
    lambda hours, grace: Timing(schedule=IntervalSchedule(hours * 3600), grace_period=grace),
    st.integers(1, 48),
    st.integers(0, 6 * 3600),
)
CRONS = st.builds(
    lambda minutes, grace: Timing(
        schedule=CronSchedule(f"*/{minutes} * * * *"), grace_period=grace
    ),
    st.integers(1, 10),
    st.integers(1, 50),
)
DAILY = st.builds(
    lambda hour, grace: Timing(schedule=CronSchedule(f"0 {hour} * * *"), grace_period=grace),
    st.integers(0, 23),
    st.integers(1, 4 * 3600),
)
WORLDS = st.one_of(
    st.tuples(st.one_of(INTERVALS, CRONS), windows(1)),
    st.tuples(st.one_of(LONG_INTERVALS, DAILY), windows(500)),
)
TIMINGS = st.one_of(INTERVALS, LONG_INTERVALS, CRONS, DAILY)
FAR = NOON + timedelta(days=365)


SWALLOWED = st.lists(st.tuples(st.integers(0, 39), st.floats(0, 0.1), st.floats(0, 1)), max_size=6)
"""Which heartbeats fall into a window, and how long before and after them it lasts, in intervals."""


@given(WORLDS, st.lists(st.floats(-1, 0.99), min_size=1, max_size=40), SWALLOWED)
def test_an_application_that_keeps_its_schedule_is_never_told_as_missed(
    world: tuple[Timing, list[tuple[float, float]]],
    lateness: list[float],
    swallowed: list[tuple[int, float, float]],
) -> None:
    timing, blind = world
    beats = list(steady(timing, lateness))
    interval = timing.schedule.spacing(NOON).total_seconds()
    for number, before, after in swallowed:
        beat = (beats[number % len(beats)] - NOON).total_seconds()
        blind = [*blind, (beat - before * interval, beat + after * interval)]
    told = Miniature(timing, blind).live(beats, until=beats[-1])
    assert [one for one in told if one.down.reason is not Reason.UNVERIFIED] == []


@given(WORLDS, st.integers(0, 5))
def test_a_dead_application_is_told_within_its_cap(
    world: tuple[Timing, list[tuple[float, float]]], beats: int
) -> None:
    timing, blind = world
    called = list(steady(timing, [0.0] * beats))
    last = called[-1] if called else NOON
    told = Miniature(timing, blind).live(called, until=FAR)
    dead = [one for one in told if one.down.at > last]
    assert len(dead) == 1
    # Each extension lasts from the end of a window, which began before the deadline it extends.
    longest = timedelta(seconds=max((end - start for start, end in _merged(blind)), default=0))
    step = timing.schedule.spacing(last) + timing.grace + longest
    assert dead[0].at - last <= (MOST_EXTENSIONS + 1) * step + longest


@given(TIMINGS, st.integers(0, 5))
def test_without_windows_it_is_told_at_its_very_deadline(timing: Timing, beats: int) -> None:
    called = list(steady(timing, [0.0] * beats))
    last = called[-1] if called else NOON
    [told] = Miniature(timing, []).live(called, until=FAR)
    assert told.down.at == told.at == timing.schedule.next_after(last) + timing.grace


def _merged(windows: list[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for start, end in sorted(windows):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


# --- the faults of the table -------------------------------------------------------------------


@pytest.mark.parametrize("interval", [2, 30, 60, 300, 3600])
def test_a_restart_every_fifty_seconds_cries_no_wolf_and_hides_no_dead(interval: int) -> None:
    grace = max(1, interval // 10)
    timing = Timing(schedule=IntervalSchedule(interval), grace_period=grace)
    length = max(600, 12 * interval)
    restarts = [(second, second + 5.0) for second in range(50, length, 50)]
    # A hundred healthy ones out of step, and one that dies at half time.
    for offset in range(100):
        first = offset * interval / 100
        beats = [at(first + interval * n) for n in range(int((length - first) / interval))]
        told = Miniature(timing, restarts).live(beats, until=at(length - interval))
        assert [one for one in told if one.down.reason is not Reason.UNVERIFIED] == [], offset
    # Its beats never fall into a restart, so that its last one is known.
    beats = [at(min(20, interval) + n * interval) for n in range(length // 2 // interval)]
    told = Miniature(timing, restarts).live(beats, until=at(9 * length))
    assert [one for one in told if one.down.at <= beats[-1]] == []
    [dead] = told
    assert dead.at <= beats[-1] + (MOST_EXTENSIONS + 1) * timedelta(seconds=interval + grace + 55)


@pytest.mark.parametrize("minute", [5, 45])
def test_a_nightly_job_that_dies_while_the_service_restarts_every_hour(minute: int) -> None:
    """Restarts at five past overlap its due span, those at a quarter to don't."""
    nightly = Timing(schedule=CronSchedule("0 2 * * *"), grace_period=1800)
    day = timedelta(days=1)
    restarts = [
        (hour * 3600 + minute * 60.0, hour * 3600 + minute * 60 + 5.0) for hour in range(99)
    ]
    ran = datetime(2026, 11, 24, 2, 1, tzinfo=UTC)
    deadline = datetime(2026, 11, 25, 2, 30, tzinfo=UTC)
    one_restart = [pair for pair in restarts if at(pair[0]) < deadline + timedelta(hours=1)]
    [told] = Miniature(nightly, one_restart).live([ran], until=at(1_000_000))
    if minute == 45:
        assert told.down.at == told.at == deadline
    else:
        assert told.down.at == told.at == deadline + day, "its next deadline"
