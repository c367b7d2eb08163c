"""What signals and the passing of time do to one application."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeat_central.domain import state as machine
from heartbeat_central.domain.blind_window import BlindWindow, BlindWindows, Cause, Span
from heartbeat_central.domain.incident import Reason
from heartbeat_central.domain.schedule import CronSchedule, IntervalSchedule, Timing
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.domain.state import Recovered, Shown, State, Status, Stopped, WentDown

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
RUN = UUID("0b1f5f3e-8c1d-4c6e-9a52-3f1f0a7f5d11")
OTHER_RUN = UUID("1b1f5f3e-8c1d-4c6e-9a52-3f1f0a7f5d11")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def every(seconds: int, grace: int = 0, *, first: bool = True) -> Timing:
    return Timing(
        schedule=IntervalSchedule(seconds), grace_period=grace, expect_first_heartbeat=first
    )


def signal(
    kind: SignalKind = SignalKind.SUCCESS,
    seconds: float = 0,
    *,
    rid: UUID | None = None,
    exit_status: int | None = None,
) -> Signal:
    return Signal(
        uuid=uuid4(), kind=kind, received_at=at(seconds), rid=rid, exit_status=exit_status
    )


def up(timing: Timing, last: float = 0) -> State:
    return machine.on_signal(timing, machine.born(timing, now=NOON), signal(seconds=last)).state


def down(timing: Timing) -> State:
    return machine.on_clock(timing, up(timing), now=at(1_000_000)).state


# --- silence ---------------------------------------------------------------------------------


def test_goes_down_when_interval_and_grace_have_passed() -> None:
    timing = every(60, grace=10)
    decision = machine.on_clock(timing, up(timing), now=at(70))
    assert decision.state.status is Status.DOWN
    assert decision.transition == WentDown(at(70), Reason.MISSED)


def test_opens_the_incident_at_the_deadline_however_late_it_is_noticed() -> None:
    timing = every(60, grace=10)
    decision = machine.on_clock(timing, up(timing), now=at(5000))
    assert decision.transition == WentDown(at(70), Reason.MISSED)


def test_looks_again_at_the_true_deadline_when_a_heartbeat_has_moved_it() -> None:
    timing = every(60)
    moved = machine.on_signal(timing, up(timing), signal(seconds=30)).state
    assert moved.check_at == at(60), "heartbeats leave the detector's index alone"
    decision = machine.on_clock(timing, moved, now=at(60))
    assert decision.transition is None
    assert decision.state.check_at == at(90)


def test_a_new_application_that_never_calls_goes_down_after_its_creation() -> None:
    timing = every(60, grace=5)
    decision = machine.on_clock(timing, machine.born(timing, now=NOON), now=at(65))
    assert decision.transition == WentDown(at(65), Reason.MISSED)


def test_a_new_application_may_stay_silent_when_no_first_heartbeat_is_expected() -> None:
    timing = every(60, first=False)
    born = machine.born(timing, now=NOON)
    assert born.check_at is None
    assert machine.next_expected(timing, born) is None
    assert machine.on_clock(timing, born, now=at(10_000)).transition is None


@pytest.mark.parametrize("status", [Status.DOWN, Status.PAUSED])
def test_the_clock_leaves_down_and_paused_applications_alone(status: Status) -> None:
    resting = State(status=status, armed_at=NOON, check_at=NOON)
    decision = machine.on_clock(every(60), resting, now=at(10_000))
    assert decision.transition is None
    assert decision.state.check_at is None


# --- signals ---------------------------------------------------------------------------------


def test_the_first_heartbeat_brings_a_new_application_up_without_a_word() -> None:
    timing = every(60)
    decision = machine.on_signal(timing, machine.born(timing, now=NOON), signal(seconds=5))
    assert decision.state.status is Status.UP
    assert decision.state.last_heartbeat_at == at(5)
    assert decision.transition is None


def test_a_first_heartbeat_that_was_not_expected_arms_the_check() -> None:
    timing = every(60, grace=5, first=False)
    decision = machine.on_signal(timing, machine.born(timing, now=NOON), signal(seconds=5))
    assert decision.state.check_at == at(70)


def test_a_heartbeat_recovers_a_down_application() -> None:
    timing = every(60)
    decision = machine.on_signal(timing, down(timing), signal(seconds=500))
    assert decision.state.status is Status.UP
    assert decision.state.check_at == at(560)
    assert decision.transition == Recovered(at(500))


def test_the_last_heartbeat_only_moves_forward() -> None:
    timing = every(60)
    decision = machine.on_signal(timing, up(timing, last=10), signal(seconds=3))
    assert decision.state.last_heartbeat_at == at(10)


def test_a_failure_takes_an_application_down_at_once() -> None:
    timing = every(60)
    decision = machine.on_signal(timing, up(timing), signal(SignalKind.FAIL, 20, exit_status=3))
    assert decision.state.status is Status.DOWN
    assert decision.state.check_at is None
    assert decision.transition == WentDown(at(20), Reason.FAILED, 3)


def test_a_failure_of_a_down_application_opens_no_second_incident() -> None:
    timing = every(60)
    assert machine.on_signal(timing, down(timing), signal(SignalKind.FAIL, 90)).transition is None


def test_a_log_line_changes_nothing() -> None:
    timing = every(60)
    before = up(timing)
    assert machine.on_signal(timing, before, signal(SignalKind.LOG, 20)).state is before


@pytest.mark.parametrize("kind", list(SignalKind))
def test_a_paused_application_ignores_every_signal(kind: SignalKind) -> None:
    timing = every(60)
    paused = machine.on_pause(up(timing), now=at(5)).state
    decision = machine.on_signal(timing, paused, signal(kind, 20))
    assert decision.state is paused
    assert decision.transition is None


# --- runs ------------------------------------------------------------------------------------


def test_a_run_must_finish_within_the_grace_period() -> None:
    timing = every(3600, grace=60)
    running = machine.on_signal(timing, up(timing), signal(SignalKind.START, 100)).state
    assert machine.deadline(timing, running) == at(160)
    assert running.check_at == at(160), "a start makes the deadline earlier"
    decision = machine.on_clock(timing, running, now=at(160))
    assert decision.transition == WentDown(at(160), Reason.UNFINISHED)
    assert decision.state.started_at is None


def test_a_late_start_does_not_put_the_deadline_off() -> None:
    timing = every(60, grace=30)
    running = machine.on_signal(timing, up(timing), signal(SignalKind.START, 80)).state
    assert machine.deadline(timing, running) == at(90)
    assert machine.on_clock(timing, running, now=at(90)).transition == WentDown(
        at(90), Reason.MISSED
    )


def test_without_a_grace_period_a_run_may_take_as_long_as_the_interval() -> None:
    timing = every(60)
    running = machine.on_signal(timing, up(timing), signal(SignalKind.START, 10)).state
    assert machine.deadline(timing, running) == at(60)


def test_a_start_alone_puts_a_limit_on_an_application_that_expects_nothing() -> None:
    timing = every(60, grace=5, first=False)
    running = machine.on_signal(
        timing, machine.born(timing, now=NOON), signal(SignalKind.START, 10)
    ).state
    assert running.check_at == at(15)


def test_a_start_arms_nothing_when_nothing_is_expected_and_no_grace_is_given() -> None:
    timing = every(60, first=False)
    running = machine.on_signal(
        timing, machine.born(timing, now=NOON), signal(SignalKind.START, 10)
    ).state
    assert running.check_at is None


def test_a_start_does_not_recover_a_down_application() -> None:
    timing = every(60)
    decision = machine.on_signal(timing, down(timing), signal(SignalKind.START, 100))
    assert decision.state.status is Status.DOWN
    assert decision.state.check_at is None


@pytest.mark.parametrize(
    ("started", "finished", "kind", "duration", "ended"),
    [
        # The same run, named or not: its duration counts.
        (None, None, SignalKind.SUCCESS, 7, True),
        (RUN, RUN, SignalKind.SUCCESS, 7, True),
        (RUN, RUN, SignalKind.FAIL, 7, True),
        # Another run's success leaves this one running.
        (RUN, OTHER_RUN, SignalKind.SUCCESS, None, False),
        # A success that names no run, and any failure, end the wait.
        (RUN, None, SignalKind.SUCCESS, None, True),
        (RUN, OTHER_RUN, SignalKind.FAIL, None, True),
    ],
)
def test_pairs_a_finish_with_its_start(
    started: UUID | None,
    finished: UUID | None,
    kind: SignalKind,
    duration: float | None,
    ended: bool,
) -> None:
    timing = every(3600, grace=60)
    running = machine.on_signal(timing, up(timing), signal(SignalKind.START, 10, rid=started))
    decision = machine.on_signal(timing, running.state, signal(kind, 17, rid=finished))
    expected = None if duration is None else timedelta(seconds=duration)
    assert decision.duration == expected
    assert (decision.state.started_at is None) is ended


def test_a_run_of_more_than_three_days_has_no_duration() -> None:
    timing = every(3600, grace=60)
    running = machine.on_signal(timing, up(timing), signal(SignalKind.START, 0)).state
    decision = machine.on_signal(timing, running, signal(seconds=73 * 3600))
    assert decision.duration is None
    assert decision.state.started_at is None


# --- blind windows ---------------------------------------------------------------------------


def blind(start: float, end: float) -> BlindWindows:
    window = BlindWindow(started_at=at(start), ended_at=at(end), cause=Cause.STOPPED)
    return BlindWindows([window])


def test_a_heartbeat_that_a_blind_window_may_have_swallowed_is_excused() -> None:
    timing = every(60, grace=10)
    decision = machine.on_clock(timing, up(timing), now=at(80), windows=blind(58, 75))
    assert decision.transition is None
    assert decision.state.check_at == at(75 + 70)
    assert decision.excused == (Span(at(0), at(70)),)


def test_nothing_is_excused_before_the_deadline() -> None:
    timing = every(60, grace=10)
    decision = machine.on_clock(timing, up(timing), now=at(65), windows=blind(20, 25))
    assert decision.state.check_at == at(25 + 70)
    assert decision.excused == ()


def test_the_incident_opens_at_the_deadline_that_counted() -> None:
    timing = every(60, grace=10)
    decision = machine.on_clock(timing, up(timing), now=at(500), windows=blind(58, 75))
    assert decision.transition == WentDown(at(145), Reason.MISSED)


def test_a_run_whose_finish_may_be_lost_is_not_told_as_unfinished() -> None:
    timing = every(3600, grace=60)
    running = machine.on_signal(timing, up(timing), signal(SignalKind.START, 100)).state
    assert machine.silent_since(running) == NOON
    assert machine.on_clock(timing, running, now=at(200), windows=blind(150, 155)).excused


def test_a_heartbeat_from_before_the_look_may_bring_an_extended_deadline_nearer() -> None:
    day = 86_400
    timing, windows = every(day, grace=0), blind(day - 10, day + 10)
    waiting = machine.on_clock(timing, up(timing), now=at(day + 11), windows=windows).state
    assert (waiting.check_at, waiting.extended_at) == (at(2 * day + 10), at(day + 11))
    late = machine.on_signal(timing, waiting, signal(seconds=day - 11)).state
    assert late.check_at == machine.deadline(timing, late, windows) == at(2 * day - 11)


def test_a_heartbeat_since_the_look_leaves_the_check_of_an_extended_deadline_alone() -> None:
    timing = every(60, grace=10)
    waiting = machine.on_clock(timing, up(timing), now=at(80), windows=blind(58, 75)).state
    heard = machine.on_signal(timing, waiting, signal(seconds=80)).state
    assert heard == replace(waiting, last_heartbeat_at=at(80))
    assert machine.on_clock(timing, heard, now=at(145)).state.extended_at is None


def test_names_the_windows_in_which_a_heartbeat_may_have_been_lost() -> None:
    timing, windows = every(60, grace=10), blind(58, 75)
    assert len(machine.may_have_lost(timing, up(timing), windows)) == 1
    assert machine.may_have_lost(timing, up(timing, last=80), windows) == []
    paused = machine.on_pause(up(timing), now=at(80)).state
    assert machine.may_have_lost(timing, paused, windows) == []


def test_windows_matter_since_the_last_heartbeat_or_an_earlier_start() -> None:
    timing = every(3600, grace=60)
    running = machine.on_signal(timing, up(timing), signal(SignalKind.START, 100, rid=RUN)).state
    other = machine.on_signal(timing, running, signal(seconds=150, rid=OTHER_RUN)).state
    assert machine.silent_since(other) == at(100)
    assert machine.silent_since(up(timing, last=30)) == at(30)


@pytest.mark.parametrize("kind", [SignalKind.SUCCESS, SignalKind.START])
def test_what_lies_ahead_counts_as_now_once_a_clock_was_set_back(kind: SignalKind) -> None:
    timing = every(60, grace=10)
    state = machine.on_signal(timing, up(timing, last=3600), signal(kind, 3610)).state
    decision = machine.on_clock(timing, state, now=at(20))
    assert machine.deadline(timing, decision.state) == at(20 + (70 if kind == 0 else 10))
    assert decision.state.check_at == machine.deadline(timing, decision.state)
    assert machine.on_clock(timing, decision.state, now=at(91)).state.status is Status.DOWN


def test_a_resumed_application_too_counts_from_now_once_a_clock_was_set_back() -> None:
    state = State(status=Status.NEW, armed_at=at(3600), check_at=at(3660))
    assert machine.on_clock(every(60), state, now=at(20)).state.check_at == at(80)


# --- people ----------------------------------------------------------------------------------


def test_pausing_a_down_application_closes_its_incident_silently() -> None:
    decision = machine.on_pause(down(every(60)), now=at(300))
    assert decision.state.status is Status.PAUSED
    assert decision.transition == Stopped(at(300))


def test_pausing_an_application_that_is_up_closes_nothing() -> None:
    decision = machine.on_pause(up(every(60)), now=at(30))
    assert decision.transition is None
    assert decision.state.check_at is None


def test_a_resumed_application_has_a_whole_interval_to_call() -> None:
    timing = every(60, grace=5)
    paused = machine.on_pause(up(timing), now=at(30)).state
    resumed = machine.on_resume(timing, paused, now=at(1000)).state
    assert resumed.status is Status.NEW
    assert resumed.check_at == at(1065)


def test_resuming_what_is_not_paused_changes_nothing() -> None:
    timing = every(60)
    before = up(timing)
    assert machine.on_resume(timing, before, now=at(10)).state is before


def test_a_paused_application_expects_nothing() -> None:
    timing = every(60)
    paused = machine.on_pause(up(timing), now=at(30)).state
    assert machine.next_expected(timing, paused) is None
    assert machine.deadline(timing, paused) is None


def test_a_shorter_interval_moves_the_deadline_earlier() -> None:
    before = up(every(3600))
    assert machine.on_new_timing(every(60), before, now=at(10)).state.check_at == at(60)


def test_an_edit_alone_never_makes_an_application_overdue() -> None:
    before = up(every(3600))
    changed = machine.on_new_timing(every(60), before, now=at(1800)).state
    assert changed.check_at == at(1860)
    assert machine.on_clock(every(60), changed, now=at(1859)).transition is None


def test_an_edit_leaves_the_time_alone_that_a_blind_window_grants() -> None:
    windows = BlindWindows([BlindWindow(started_at=at(50), ended_at=at(70), cause=Cause.STOPPED)])
    before = up(every(60))
    changed = machine.on_new_timing(every(65), before, now=at(80), windows=windows).state
    assert machine.deadline(every(65), changed, windows) == at(70 + 65)
    assert changed.armed_at == before.armed_at


def test_an_edit_leaves_a_down_application_down() -> None:
    before = down(every(60))
    assert machine.on_new_timing(every(3600), before, now=at(90)).state is before


def test_an_edit_of_one_that_expects_nothing_arms_nothing() -> None:
    born = machine.born(every(60, first=False), now=NOON)
    assert machine.on_new_timing(every(30, first=False), born, now=at(90)).state.check_at is None


# --- what is shown ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "status"), [(59, Shown.UP), (60, Shown.LATE), (69, Shown.LATE)]
)
def test_is_late_once_expected_and_still_in_grace(seconds: float, status: Shown) -> None:
    timing = every(60, grace=10)
    assert machine.shown(timing, up(timing), now=at(seconds)) is status


def test_shows_a_run_and_what_rests() -> None:
    timing = every(60)
    running = machine.on_signal(timing, up(timing), signal(SignalKind.START, 5)).state
    paused = machine.on_pause(running, now=at(6)).state
    assert machine.shown(timing, running, now=at(6)) is Shown.RUNNING
    assert machine.shown(timing, paused, now=at(6)) is Shown.PAUSED
    assert machine.shown(timing, down(timing), now=at(6)) is Shown.DOWN
    unheard = machine.born(every(60, first=False), now=NOON)
    assert machine.shown(every(60, first=False), unheard, now=at(600)) is Shown.NEW


def test_refuses_times_without_a_zone() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        State(status=Status.NEW, armed_at=datetime(2026, 1, 1))


# --- properties ------------------------------------------------------------------------------

KINDS = st.sampled_from(list(SignalKind))
STEPS = st.lists(
    st.tuples(st.floats(min_value=0, max_value=200), st.one_of(st.none(), KINDS)), max_size=30
)
TIMINGS = st.builds(every, st.integers(1, 100), st.integers(0, 50), first=st.booleans())


@given(TIMINGS, STEPS)
def test_the_check_is_never_later_than_the_deadline(
    timing: Timing, steps: list[tuple[float, SignalKind | None]]
) -> None:
    state, seconds = machine.born(timing, now=NOON), 0.0
    for wait, kind in steps:
        seconds += wait
        if kind is None:
            state = machine.on_clock(timing, state, now=at(seconds)).state
        else:
            state = machine.on_signal(timing, state, signal(kind, seconds)).state
        due = machine.deadline(timing, state)
        if state.status in (Status.NEW, Status.UP) and due is not None:
            assert state.check_at is not None
            assert state.check_at <= due
        else:
            assert state.check_at is None


@given(TIMINGS, STEPS)
def test_downs_and_recoveries_alternate(
    timing: Timing, steps: list[tuple[float, SignalKind | None]]
) -> None:
    state, seconds, is_down = machine.born(timing, now=NOON), 0.0, False
    for wait, kind in steps:
        seconds += wait
        if kind is None:
            decision = machine.on_clock(timing, state, now=at(seconds))
        else:
            decision = machine.on_signal(timing, state, signal(kind, seconds))
        state = decision.state
        if decision.transition is not None:
            assert isinstance(decision.transition, Recovered) is is_down
            is_down = not is_down
        assert (state.status is Status.DOWN) is is_down


@given(st.integers(1, 1000), st.integers(0, 1000), st.floats(0, 5000))
def test_is_down_exactly_when_the_deadline_has_passed(
    interval: int, grace: int, seconds: float
) -> None:
    timing = every(interval, grace)
    decision = machine.on_clock(timing, up(timing), now=at(seconds))
    assert (decision.state.status is Status.DOWN) is (at(seconds) >= at(interval + grace))


def test_a_cron_application_is_due_at_its_next_time() -> None:
    timing = Timing(schedule=CronSchedule("0 2 * * *", "Europe/Vienna"), grace_period=3600)
    assert machine.deadline(timing, up(timing)) == datetime(2026, 11, 24, 2, tzinfo=UTC)


@given(TIMINGS, STEPS, st.floats(0, 5000))
def test_a_success_changes_nothing_but_the_last_heartbeat_of_a_steady_application(
    timing: Timing, steps: list[tuple[float, SignalKind | None]], wait: float
) -> None:
    state, seconds = machine.born(timing, now=NOON), 0.0
    for pause, kind in steps:
        seconds += pause
        if kind is None:
            state = machine.on_clock(timing, state, now=at(seconds)).state
        else:
            state = machine.on_signal(timing, state, signal(kind, seconds)).state
    decision = machine.on_signal(timing, state, signal(SignalKind.SUCCESS, seconds + wait))
    if machine.is_steady(state):
        assert decision.state == replace(state, last_heartbeat_at=at(seconds + wait))
        assert decision.transition is None
        assert decision.duration is None
