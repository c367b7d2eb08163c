"""Around every change of the clocks, 2024 to 2030, in twenty zones: no false alarm and none missed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from heartbeat_central.domain import state as machine
from heartbeat_central.domain.incident import Reason
from heartbeat_central.domain.schedule import CronSchedule, OnCalendarSchedule, Timing
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.domain.state import WentDown
from tests.support.sample_alerts import APPLICATION_UUID
from tests.support.wall_clocks import (
    CRON,
    ON_CALENDAR,
    QUARTER,
    ZONES,
    changes,
    runs_of,
    timer_runs,
)

GRACE = 300


def runs(
    schedule: CronSchedule | OnCalendarSchedule, start: datetime, end: datetime
) -> Sequence[datetime]:
    written_down = runs_of if isinstance(schedule, CronSchedule) else timer_runs
    return written_down(schedule.expression, schedule.timezone, start, end)


def is_daily(schedule: CronSchedule | OnCalendarSchedule) -> bool:
    expression = ON_CALENDAR.get(schedule.expression, schedule.expression)
    return "* * * *" not in expression


every_schedule = pytest.mark.parametrize(
    ("kind", "expression"),
    [
        *((CronSchedule, expression) for expression in CRON),
        *((OnCalendarSchedule, expression) for expression in ON_CALENDAR),
    ],
)


@pytest.mark.parametrize("zone", ZONES)
@every_schedule
def test_no_false_alarm_and_none_missed(
    zone: str, kind: type[CronSchedule | OnCalendarSchedule], expression: str
) -> None:
    schedule = kind(expression, zone)
    timing = Timing(schedule=schedule, grace_period=GRACE)
    around = timedelta(hours=26 if is_daily(schedule) else 4)
    for change in changes(zone):
        expected = runs(schedule, change - around, change + around)
        # A timer may have left out its run of that day.
        assert len(expected) >= (1 if is_daily(schedule) else 4)
        state = machine.born(timing, now=expected[0] - QUARTER)
        for run, following in pairwise(expected):
            beat = run + timedelta(seconds=20)
            heard = Signal(uuid=APPLICATION_UUID, kind=SignalKind.SUCCESS, received_at=beat)
            state = machine.on_signal(timing, state, heard).state
            # Were it dead from now on, it would be told when its next run is overdue.
            deadline = following + timing.grace
            just_before = machine.on_clock(timing, state, now=deadline - timedelta(seconds=1))
            assert just_before.transition is None, (change, following)
            told = machine.on_clock(timing, state, now=deadline).transition
            assert told == WentDown(deadline, Reason.MISSED), (change, following)


@pytest.mark.parametrize("zone", ZONES)
@every_schedule
def test_whenever_a_job_reports_the_next_run_is_one_that_is_still_to_come(
    zone: str, kind: type[CronSchedule | OnCalendarSchedule], expression: str
) -> None:
    """One that took long may report in the hour that the clocks show twice."""
    schedule = kind(expression, zone)
    for change in changes(zone):
        expected = runs(schedule, change - timedelta(hours=8), change + timedelta(hours=51))
        moment = change - timedelta(minutes=14)
        while moment < change + timedelta(hours=2):
            following = next(run for run in expected if run > moment)
            assert schedule.next_after(moment) == following, (change, moment)
            moment += QUARTER


def test_the_zones_do_change_their_clocks() -> None:
    counts = {zone: len(changes(zone)) for zone in ZONES}
    assert counts["Europe/Vienna"] == counts["America/New_York"] == 14
    assert counts["America/Sao_Paulo"] == 0
    assert sum(counts.values()) > 200
