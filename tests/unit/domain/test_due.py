"""Until when an application may stay silent, and what blind windows do to that."""

from datetime import UTC, datetime, timedelta

import pytest

from heartbeat_central.domain.blind_window import BlindWindow, BlindWindows, Cause
from heartbeat_central.domain.due import Due, due
from heartbeat_central.domain.incident import Reason
from heartbeat_central.domain.schedule import CronSchedule, IntervalSchedule, Timing

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = 3600


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def every(seconds: int, grace: int = 0) -> Timing:
    return Timing(schedule=IntervalSchedule(seconds), grace_period=grace)


def cron(expression: str, grace: int) -> Timing:
    return Timing(schedule=CronSchedule(expression), grace_period=grace)


def blind(*pairs: tuple[float, float], cause: Cause = Cause.STOPPED) -> BlindWindows:
    return BlindWindows(
        BlindWindow(started_at=at(start), ended_at=at(end), cause=cause) for start, end in pairs
    )


def silent(timing: Timing, windows: BlindWindows, since: float = 0) -> Due:
    found = due(timing, counted_from=at(since), started_at=None, windows=windows)
    assert found is not None
    return found


def is_extended(found: Due) -> bool:
    return len(found.spans) > 1


# --- without windows ---------------------------------------------------------------------------


def test_nothing_is_due_when_nothing_is_awaited() -> None:
    assert due(every(60), counted_from=None, started_at=None) is None
    assert due(every(60), counted_from=None, started_at=NOON) is None, "no grace limits no run"


def test_the_earlier_of_silence_and_run_counts() -> None:
    timing = every(60, grace=30)
    early = due(timing, counted_from=NOON, started_at=at(10))
    late = due(timing, counted_from=NOON, started_at=at(80))
    run_alone = due(timing, counted_from=None, started_at=at(10))
    assert early == run_alone
    assert early is not None
    assert (early.at, early.reason) == (at(40), Reason.UNFINISHED)
    assert late is not None
    assert (late.at, late.reason, is_extended(late)) == (at(90), Reason.MISSED, False)


# --- intervals ---------------------------------------------------------------------------------


def test_a_window_in_which_the_heartbeat_was_due_grants_one_more_interval_from_its_end() -> None:
    found = silent(every(2, grace=1), blind((1, 4)))
    assert found.at == at(4 + 2 + 1)
    assert found.reason is Reason.MISSED
    assert found.spans[0].end == at(3)
    assert is_extended(found)


@pytest.mark.parametrize(
    ("window", "granted"),
    [
        # From the last heartbeat on, for it may call early.
        ((-9, -1), False),
        ((-9, 1), True),
        ((69, 75), True),
        ((70, 75), True),
        # What begins after the deadline changes nothing any more.
        ((71, 75), False),
    ],
)
def test_the_due_span_of_a_short_interval(window: tuple[int, int], granted: bool) -> None:
    assert is_extended(silent(every(60, grace=10), blind(window))) is granted


@pytest.mark.parametrize(
    ("timing", "lead"),
    [
        # The longest of the grace period, a tenth of the interval and an hour.
        (every(8 * HOUR, grace=60), HOUR),
        (every(24 * HOUR, grace=60), 2.4 * HOUR),
        (every(24 * HOUR, grace=5 * HOUR), 5 * HOUR),
    ],
)
def test_a_restart_long_before_it_is_due_grants_nothing(timing: Timing, lead: float) -> None:
    expected = timing.schedule.spacing(NOON).total_seconds()
    before = expected - lead
    assert not is_extended(silent(timing, blind((before - 6, before - 1))))
    assert is_extended(silent(timing, blind((before - 6, before))))


def test_a_restart_at_noon_never_hides_a_backup_that_dies_at_night() -> None:
    nightly = every(24 * HOUR, grace=HOUR)
    two_at_night = 14 * HOUR
    restarts = blind(*((day * 24 * HOUR, day * 24 * HOUR + 5) for day in (1, 2, 3)))
    found = silent(nightly, restarts, since=two_at_night)
    assert found.at == at(two_at_night + 25 * HOUR)


def test_after_one_restart_in_its_span_the_next_deadline_holds_whatever_happens_at_noon() -> None:
    nightly = every(24 * HOUR, grace=HOUR)
    # Last heard at noon on day 0; a restart at half past eleven on day 1, later ones at midnight.
    restart = 23.5 * HOUR
    midnights = [(36 * HOUR, 36 * HOUR + 5), (60 * HOUR, 60 * HOUR + 5)]
    found = silent(nightly, blind((restart, restart + 5), *midnights))
    assert found.at == at(restart + 5 + 25 * HOUR)


def test_a_restart_after_a_long_window_matters_from_when_the_next_heartbeat_may_come() -> None:
    nightly = every(24 * HOUR, grace=HOUR)
    # Away from hour 24 to 44: the heartbeat of hour 24 is lost, that of hour 48 falls into the second.
    found = silent(nightly, blind((24 * HOUR, 44 * HOUR), (48 * HOUR, 48 * HOUR + 5)))
    assert found.at == at(48 * HOUR + 5 + 25 * HOUR)


def test_windows_in_the_same_span_count_once() -> None:
    crashes = [(second, second + 1) for second in range(0, 60, 2)]
    found = silent(every(60, grace=10), blind(*crashes))
    assert found.at == at(59 + 70)
    assert found.reason is Reason.MISSED


def test_time_is_granted_three_times_in_a_row_and_then_it_is_told_as_unverified() -> None:
    timing = every(60, grace=10)
    in_each_span = [(65, 66), (130, 131), (195, 196)]
    third = silent(timing, blind(*in_each_span))
    assert (third.at, third.reason) == (at(196 + 70), Reason.MISSED)
    fourth = silent(timing, blind(*in_each_span, (260, 261)))
    assert (fourth.at, fourth.reason) == (at(196 + 70), Reason.UNVERIFIED)


def test_an_interval_does_not_care_for_what_a_clock_shows_twice() -> None:
    assert not is_extended(silent(every(60), blind((10, HOUR), cause=Cause.CLOCK_SET_BACK)))


# --- schedules ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "deadline"),
    [
        # Next expected at one o'clock, deadline at ten past; a job has nothing to report before.
        ((HOUR - 60, HOUR - 1), HOUR + 600),
        ((HOUR - 60, HOUR), 2 * HOUR + 600),
        ((HOUR + 600, HOUR + 605), 2 * HOUR + 600),
        ((HOUR + 601, HOUR + 605), HOUR + 600),
        # Whatever was scheduled in the window is unknown: the first one after it decides.
        ((HOUR, 5 * HOUR + 1), 6 * HOUR + 600),
    ],
)
def test_a_run_whose_time_overlaps_a_window_is_unknown_and_the_next_one_decides(
    window: tuple[int, int], deadline: float
) -> None:
    assert silent(cron("0 * * * *", grace=600), blind(window)).at == at(deadline)


def test_a_schedule_too_is_told_as_unverified_after_three_unknown_runs() -> None:
    hourly = cron("0 * * * *", grace=600)
    three = [(hour * HOUR, hour * HOUR + 5) for hour in (1, 2, 3)]
    assert silent(hourly, blind(*three)).reason is Reason.MISSED
    found = silent(hourly, blind(*three, (4 * HOUR, 4 * HOUR + 5)))
    assert (found.at, found.reason) == (at(4 * HOUR + 600), Reason.UNVERIFIED)


def test_a_time_of_day_that_a_clock_shows_twice_is_unknown() -> None:
    hourly = cron("0 * * * *", grace=600)
    found = silent(hourly, blind((1800, HOUR + 1800), cause=Cause.CLOCK_SET_BACK))
    assert found.at == at(2 * HOUR + 600)


# --- runs --------------------------------------------------------------------------------------


def test_a_run_whose_finish_may_be_lost_is_judged_by_the_next_heartbeat() -> None:
    timing = every(HOUR, grace=60)
    found = due(timing, counted_from=None, started_at=NOON, windows=blind((30, 35)))
    assert found is not None
    assert (found.at, found.reason) == (at(35 + HOUR + 60), Reason.UNFINISHED)
    nightly = cron("0 0 * * *", grace=60)
    found = due(nightly, counted_from=None, started_at=NOON, windows=blind((30, 35)))
    assert found is not None
    assert found.at == at(12 * HOUR + 60)
