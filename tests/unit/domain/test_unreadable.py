"""What can't be read is judged by nobody, looked at again later, and shown as it is stored."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from heartbeat_central.domain import state as machine
from heartbeat_central.domain.alert import Alert, AlertKind
from heartbeat_central.domain.application import Application, ApplicationSettings
from heartbeat_central.domain.blind_window import NO_WINDOWS
from heartbeat_central.domain.schedule import (
    LOOK_AGAIN,
    CronSchedule,
    IntervalSchedule,
    OnCalendarSchedule,
    Timing,
    UnreadableSchedule,
    as_json,
)
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.domain.state import Shown, State, Status
from heartbeat_central.domain.view import ApplicationView, application_view

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
END = datetime(9999, 12, 30, tzinfo=UTC)
GOOD = Timing(schedule=IntervalSchedule(60), grace_period=10)
BAD = Timing(
    schedule=UnreadableSchedule(
        problem="no such zone", kind="cron", expression="@daily", timezone="Mars/Olympus"
    ),
    # What is out of range is kept as it is stored.
    grace_period=-5,
)
UP = State(
    status=Status.UP, armed_at=NOON, last_heartbeat_at=NOON, check_at=NOON + timedelta(seconds=70)
)
GARBLED = replace(UP, problem="status: 'odd' is unknown")


@pytest.mark.parametrize(("timing", "state"), [(BAD, UP), (GOOD, GARBLED)])
def test_nothing_is_judged_by_it(timing: Timing, state: State) -> None:
    later = NOON + 9 * HOUR
    decision = machine.on_clock(timing, state, now=later)
    assert decision.problem == (timing.problem or state.problem)
    assert decision.transition is None
    assert decision.state.check_at == later + LOOK_AGAIN
    assert machine.next_expected(timing, state) is None
    assert machine.deadline(timing, state) is None
    assert machine.shown(timing, state, now=later) is Shown.UP
    assert machine.may_have_lost(timing, state, NO_WINDOWS) == []


def test_a_schedule_whose_last_time_is_over_is_judged_no_more() -> None:
    once = Timing(schedule=OnCalendarSchedule("2026-11-23 12:30"), grace_period=600)
    state = machine.born(once, now=NOON)
    assert state.check_at == NOON + timedelta(minutes=40)
    success = Signal(uuid=uuid4(), kind=SignalKind.SUCCESS, received_at=NOON + HOUR)
    state = machine.on_signal(once, replace(state, check_at=None), success).state
    # The detector finds out at once.
    assert state.check_at == state.last_heartbeat_at == NOON + HOUR
    assert machine.next_expected(once, state) is machine.deadline(once, state) is None
    assert machine.shown(once, state, now=NOON + HOUR) is Shown.UP
    assert machine.may_have_lost(once, state, NO_WINDOWS) == []
    decision = machine.on_clock(once, state, now=NOON + HOUR)
    assert decision.transition is None
    assert decision.problem == "schedule.expression: '2026-11-23 12:30' does not fire any more"
    assert decision.state.check_at == NOON + HOUR + LOOK_AGAIN


def test_nor_is_one_whose_library_fails_at_a_moment() -> None:
    # The times of this one are sought beyond the end of Python's calendar.
    leap = Timing(schedule=CronSchedule("0 0 29 2 *"))
    state = replace(UP, armed_at=END, last_heartbeat_at=None)
    assert "can't be worked out" in (machine.on_clock(leap, state, now=END).problem or "")


def test_a_signal_changes_nothing_of_a_state_that_cant_be_read() -> None:
    failure = Signal(uuid=uuid4(), kind=SignalKind.FAIL, received_at=NOON + HOUR)
    assert machine.on_signal(GOOD, GARBLED, failure).state is GARBLED


def test_a_recovery_needs_no_schedule_and_has_the_detector_look_again() -> None:
    down = replace(UP, status=Status.DOWN, check_at=None)
    success = Signal(uuid=uuid4(), kind=SignalKind.SUCCESS, received_at=NOON + HOUR)
    decision = machine.on_signal(BAD, down, success)
    assert isinstance(decision.transition, machine.Recovered)
    assert decision.state.check_at == NOON + HOUR + LOOK_AGAIN


@pytest.mark.parametrize(("is_down", "status"), [(True, Status.DOWN), (False, Status.NEW)])
def test_a_mended_state_counts_from_now(is_down: bool, status: Status) -> None:
    mended = machine.mended(GARBLED, is_down=is_down, now=NOON + HOUR)
    assert mended == State(status=status, armed_at=NOON + HOUR)
    assert machine.mended(UP, is_down=is_down, now=NOON) is UP


def test_a_schedule_is_shown_as_it_is_stored() -> None:
    assert as_json(BAD.schedule) == {
        "kind": "cron",
        "expression": "@daily",
        "timezone": "Mars/Olympus",
    }
    assert as_json(UnreadableSchedule(problem="-", kind="lunar")) == {
        "kind": "lunar",
        "expression": "",
        "timezone": "",
    }
    assert as_json(UnreadableSchedule(problem="-", expected_interval=0)) is None
    settings = ApplicationSettings(
        name="Backup",
        timing=Timing(schedule=UnreadableSchedule(problem="-", expected_interval=0)),
    )
    assert settings.expected_interval == 0


def test_its_stand_in_times_only_say_when_to_look_again() -> None:
    assert BAD.schedule.next_after(NOON) == NOON + LOOK_AGAIN
    assert BAD.schedule.spacing(NOON) == LOOK_AGAIN
    assert BAD.grace == timedelta(0)
    assert BAD.grace_period == -5


def test_its_view_tells_why_and_alerts_keep_that() -> None:
    application = Application(
        id=1,
        uuid=uuid4(),
        project_id=1,
        settings=ApplicationSettings(name="Backup", timing=BAD),
        created_at=NOON,
        updated_at=NOON,
    )
    view = application_view(application, UP, now=NOON, base_url="http://localhost")
    assert view.as_json()["problem"] == "no such zone"
    assert ApplicationView.from_json(view.as_json()) == view
    healthy = replace(view, problem=None)
    for one in (view, healthy):
        alert = Alert(
            kind=AlertKind.DOWN, application=one, dashboard_url="http://localhost", created_at=NOON
        )
        assert Alert.from_json(alert.as_json()) == alert
    # The version before knows no such field.
    assert "problem" not in alert.as_json()["application"]
