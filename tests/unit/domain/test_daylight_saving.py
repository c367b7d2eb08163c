"""Around every change of the clocks, 2024 to 2030, in twenty zones: no false alarm and none missed.

What jobs do there is written down a second time, as Debian's cron(8) tells it: a time of day that is
left out runs as soon as the clocks have changed, one that comes twice runs the first time, and what runs
every so many minutes does so whatever the clocks show.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from heartbeat_central.domain import state as machine
from heartbeat_central.domain.incident import Reason
from heartbeat_central.domain.schedule import CronSchedule, Timing
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.domain.state import WentDown
from tests.support.sample_alerts import APPLICATION_UUID

ZONES = [
    "Africa/Cairo",
    "Africa/Casablanca",  # back for Ramadan
    "America/Asuncion",  # no more changes from 2025 on
    "America/Havana",  # at midnight
    "America/Los_Angeles",
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",  # at midnight
    "America/Sao_Paulo",  # none
    "America/St_Johns",
    "Antarctica/Troll",  # by two hours
    "Asia/Beirut",  # at midnight
    "Asia/Jerusalem",
    "Asia/Kathmandu",  # none, +5:45
    "Australia/Lord_Howe",  # by half an hour
    "Australia/Sydney",
    "Europe/London",
    "Europe/Vienna",
    "Pacific/Auckland",
    "Pacific/Chatham",  # at a quarter to
]
QUARTER = timedelta(minutes=15)
"""All times of these schedules and all changes of the clocks fall on one."""
GRACE = 300


@cache
def changes(zone: str) -> list[datetime]:
    """Return when the clocks change, UTC."""
    here = ZoneInfo(zone)
    found = []
    hour = datetime(2024, 1, 1, tzinfo=UTC)
    while hour.year < 2031:
        following = hour + timedelta(hours=6)
        if hour.astimezone(here).utcoffset() != following.astimezone(here).utcoffset():
            moment = hour
            while moment.astimezone(here).utcoffset() == hour.astimezone(here).utcoffset():
                moment += QUARTER
            found.append(moment)
        hour = following
    return found


def quarters(zone: str, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """Return each quarter of an hour as UTC and as the clocks on the wall show it."""
    here = ZoneInfo(zone)
    shown = []
    while start <= end:
        shown.append((start, start.astimezone(here).replace(tzinfo=None)))
        start += QUARTER
    return shown


def every_so_often(zone: str, start: datetime, end: datetime, step: int) -> Iterator[datetime]:
    for moment, shown in quarters(zone, start, end):
        if shown.minute % step == 0:
            yield moment


def once_a_day(zone: str, start: datetime, end: datetime, hour: int, minute: int) -> list[datetime]:
    runs = []
    furthest = None
    for moment, shown in quarters(zone, start, end):
        wanted = shown.replace(hour=hour, minute=minute)
        # What the wall shows now for the first time, with all that it has skipped.
        before = furthest if furthest is not None else shown - QUARTER
        if before < wanted <= shown:
            runs.append(moment)
        furthest = shown if furthest is None else max(furthest, shown)
    return runs


def runs_of(expression: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    minute, hour = expression.split()[:2]
    if hour == "*":
        step = 60 if minute == "0" else int(minute.removeprefix("*/"))
        return list(every_so_often(zone, start, end, step))
    return once_a_day(zone, start, end, int(hour), int(minute))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "expression",
    ["0 0 * * *", "30 2 * * *", "45 2 * * *", "0 * * * *", "*/15 * * * *"],
)
def test_no_false_alarm_and_none_missed(zone: str, expression: str) -> None:
    timing = Timing(schedule=CronSchedule(expression, zone), grace_period=GRACE)
    around = timedelta(hours=2 if "* * * *" in expression else 26)
    for change in changes(zone):
        runs = runs_of(expression, zone, change - around, change + around)
        assert len(runs) >= 2
        state = machine.born(timing, now=runs[0] - QUARTER)
        for run, following in pairwise(runs):
            beat = run + timedelta(seconds=20)
            heard = Signal(uuid=APPLICATION_UUID, kind=SignalKind.SUCCESS, received_at=beat)
            state = machine.on_signal(timing, state, heard).state
            # Were it dead from now on, it would be told when its next run is overdue.
            deadline = following + timing.grace
            just_before = machine.on_clock(timing, state, now=deadline - timedelta(seconds=1))
            assert just_before.transition is None, (change, following)
            told = machine.on_clock(timing, state, now=deadline).transition
            assert told == WentDown(deadline, Reason.MISSED), (change, following)


def test_the_zones_do_change_their_clocks() -> None:
    counts = {zone: len(changes(zone)) for zone in ZONES}
    assert counts["Europe/Vienna"] == counts["America/New_York"] == 14
    assert counts["America/Sao_Paulo"] == 0
    assert sum(counts.values()) > 200
