"""Which applications the detector would not come to in time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from heartbeat_central.domain.blind_window import NO_WINDOWS, BlindWindow, BlindWindows, Cause
from heartbeat_central.domain.overlooked import is_overlooked
from heartbeat_central.domain.schedule import (
    LOOK_AGAIN,
    IntervalSchedule,
    Timing,
    UnreadableSchedule,
)
from heartbeat_central.domain.state import State, Status

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAILY = Timing(schedule=IntervalSchedule(86_400), grace_period=3_600)
LATER = Timing(schedule=IntervalSchedule(86_400), expect_first_heartbeat=False)
BAD = Timing(schedule=UnreadableSchedule(problem="no zone"))
HOUR = timedelta(hours=1)


def judged(
    timing: Timing = DAILY,
    check_at: datetime | None = NOON + 25 * HOUR,
    *,
    problem: str | None = None,
    windows: BlindWindows = NO_WINDOWS,
    **state: Any,
) -> bool:
    stored = State(**{"status": Status.UP, "armed_at": NOON, **state}, check_at=check_at)
    return is_overlooked(timing, stored, problem=problem, now=NOON, windows=windows)


def test_one_that_is_looked_at_by_its_deadline_is_not() -> None:
    assert not judged()
    assert not judged(check_at=NOON)
    # Heartbeats leave the time of the look where it is.
    assert not judged(last_heartbeat_at=NOON + 10 * HOUR)


@pytest.mark.parametrize("check_at", [None, NOON + 25 * HOUR + timedelta(microseconds=1)])
def test_one_that_is_looked_at_later_or_never_is(check_at: datetime | None) -> None:
    assert judged(check_at=check_at)


def test_one_that_is_due_already_will_be_looked_at() -> None:
    assert not judged(check_at=NOON, armed_at=NOON - 100 * HOUR)
    assert judged(check_at=NOON + HOUR, armed_at=NOON - 100 * HOUR)


@pytest.mark.parametrize("status", [Status.DOWN, Status.PAUSED])
@pytest.mark.parametrize("timing", [DAILY])
def test_those_at_rest_wait_for_nothing(status: Status, timing: Timing) -> None:
    assert not judged(timing, None, status=status)


def test_nor_does_one_that_has_yet_to_send_its_first_heartbeat() -> None:
    assert not judged(LATER, None, status=Status.NEW)


def test_time_that_was_granted_for_a_blind_window_counts() -> None:
    granted = NOON + 26 * HOUR
    window = BlindWindow(started_at=NOON, ended_at=NOON + HOUR, cause=Cause.STOPPED)
    assert judged(check_at=granted)
    early = Timing(schedule=IntervalSchedule(600), grace_period=3_600)
    extended = NOON + HOUR + timedelta(seconds=600) + HOUR
    assert judged(early, extended)
    assert not judged(early, extended, windows=BlindWindows([window]))


def test_a_problem_that_nobody_knows_of_is_told_at_once() -> None:
    assert judged(BAD)
    assert judged(problem="was bad")
    assert judged(check_at=NOON, status=Status.NEW, problem="x") is True


def test_a_problem_that_is_known_is_looked_at_again_after_an_hour() -> None:
    assert not judged(BAD, NOON + LOOK_AGAIN, problem="no zone")
    assert judged(BAD, NOON + 2 * LOOK_AGAIN, problem="no zone")
    assert judged(BAD, None, problem="no zone")
