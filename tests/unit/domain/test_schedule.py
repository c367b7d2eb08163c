"""When heartbeats are expected."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeat_central.domain import schedule as schedules
from heartbeat_central.domain.errors import Invalid
from heartbeat_central.domain.schedule import (
    AnySchedule,
    CronSchedule,
    IntervalSchedule,
    OnCalendarSchedule,
    Timing,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
"""A Monday."""

MOMENTS = st.datetimes(
    min_value=datetime(2024, 1, 1), max_value=datetime(2030, 1, 1), timezones=st.just(UTC)
)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (IntervalSchedule(90), datetime(2026, 11, 23, 12, 1, 30, tzinfo=UTC)),
        (CronSchedule("30 2 * * *"), datetime(2026, 11, 24, 2, 30, tzinfo=UTC)),
        (CronSchedule("@daily"), datetime(2026, 11, 24, tzinfo=UTC)),
        # 02:30 in Vienna is 01:30 UTC in winter.
        (CronSchedule("30 2 * * *", "Europe/Vienna"), datetime(2026, 11, 24, 1, 30, tzinfo=UTC)),
        (OnCalendarSchedule("Mon..Fri 06:00"), datetime(2026, 11, 24, 6, tzinfo=UTC)),
        (
            OnCalendarSchedule("Sat 06:00", "America/New_York"),
            datetime(2026, 11, 28, 11, tzinfo=UTC),
        ),
    ],
)
def test_knows_the_next_time(schedule: AnySchedule, expected: datetime) -> None:
    assert schedule.next_after(NOON) == expected


@pytest.mark.parametrize(
    ("schedule", "spacing"),
    [
        (IntervalSchedule(90), timedelta(seconds=90)),
        (CronSchedule("0 * * * *"), timedelta(hours=1)),
        (OnCalendarSchedule("daily"), timedelta(days=1)),
    ],
)
def test_knows_the_time_between_two_heartbeats(schedule: AnySchedule, spacing: timedelta) -> None:
    assert schedule.spacing(NOON) == spacing


def test_a_daily_job_runs_once_in_the_night_when_clocks_go_back() -> None:
    daily = CronSchedule("30 2 * * *", "Europe/Vienna")
    times = [datetime(2026, 10, 24, 12, tzinfo=UTC)]
    for _ in range(3):
        times.append(daily.next_after(times[-1]))
    assert len({at.date() for at in times[1:]}) == 3


@pytest.mark.parametrize(
    ("kind", "expression", "timezone", "field"),
    [
        ("cron", "every day", "UTC", "schedule.expression"),
        ("cron", "* * * * * *", "UTC", "schedule.expression"),  # six fields
        ("cron", "0 0 31 2 *", "UTC", "schedule.expression"),  # never fires
        ("cron", "@reboot", "UTC", "schedule.expression"),
        ("cron", "", "UTC", "schedule.expression"),
        ("oncalendar", "someday", "UTC", "schedule.expression"),
        ("oncalendar", "2020-01-01", "UTC", "schedule.expression"),  # all in the past
        ("cron", "0 0 * * *", "Mars/Olympus", "schedule.timezone"),
        ("oncalendar", "daily", "", "schedule.timezone"),
        ("cron", "0 0 * * *", "../../etc/passwd", "schedule.timezone"),
        ("moon", "full", "UTC", "schedule.kind"),
    ],
)
def test_refuses_what_is_no_schedule(kind: str, expression: str, timezone: str, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        schedules.calendar_schedule(kind, expression, timezone)
    assert [error.field for error in refused.value.errors] == [field]


@pytest.mark.parametrize("seconds", [0, -1, schedules.LONGEST_SPAN + 1])
def test_refuses_intervals_out_of_range(seconds: int) -> None:
    with pytest.raises(Invalid, match="expected_interval"):
        IntervalSchedule(seconds)
    if seconds:
        with pytest.raises(Invalid, match="grace_period"):
            Timing(schedule=IntervalSchedule(60), grace_period=seconds)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (IntervalSchedule(5), None),
        (
            CronSchedule("@hourly", "UTC"),
            {"kind": "cron", "expression": "@hourly", "timezone": "UTC"},
        ),
        (
            OnCalendarSchedule("daily"),
            {"kind": "oncalendar", "expression": "daily", "timezone": "UTC"},
        ),
    ],
)
def test_shows_a_schedule_as_json(schedule: AnySchedule, expected: dict[str, str] | None) -> None:
    assert schedules.as_json(schedule) == expected


@given(
    st.sampled_from(
        [
            IntervalSchedule(1),
            CronSchedule("*/7 3 * * *", "America/New_York"),
            CronSchedule("30 2 * * *", "Europe/Vienna"),
            OnCalendarSchedule("*-*-* 02:30", "Australia/Lord_Howe"),
        ]
    ),
    MOMENTS,
)
def test_the_next_time_is_always_later_and_in_utc(schedule: AnySchedule, moment: datetime) -> None:
    following = schedule.next_after(moment)
    assert following > moment
    assert following.utcoffset() == timedelta(0)
