"""Rollups add up to what the heartbeats themselves come to."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeat_central.domain.rollup import (
    DAY,
    HOUR,
    LAG,
    NOTHING,
    Rollup,
    Span,
    add,
    corrected,
    downtime,
    downtime_change,
    interleave,
    next_time,
    total,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def of(*minutes: float) -> Rollup:
    """The rollup of successes at these minutes after noon, worked out the plain way."""
    moments = sorted(map(at, minutes))
    pairs = pairwise(moments)
    return Rollup(
        successes=len(moments),
        first_success_at=moments[0] if moments else None,
        last_success_at=moments[-1] if moments else None,
        longest_gap=max((after - before for before, after in pairs), default=timedelta(0)),
    )


minutes = st.lists(st.integers(0, 3 * 24 * 60), max_size=30)
lengths = st.timedeltas(timedelta(0), timedelta(hours=3))
moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))


@st.composite
def rollups(draw: st.DrawFn) -> Rollup:
    beats = of(*draw(minutes))
    return Rollup(
        successes=beats.successes,
        failures=draw(st.integers(0, 9)),
        first_success_at=beats.first_success_at,
        last_success_at=beats.last_success_at,
        longest_gap=beats.longest_gap,
        runs=draw(st.integers(0, 9)),
        run_time=draw(lengths),
        longest_run=draw(lengths),
        down=draw(lengths),
    )


# --- spans -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "hour", "day"),
    [
        (datetime(2026, 11, 23, 12, 59, 59, 999_999, UTC), 12, 23),
        (datetime(2026, 11, 23, 12, tzinfo=UTC), 12, 23),
        # Hours and days are those of UTC, wherever the moment comes from.
        (datetime(2026, 11, 24, 0, 15, tzinfo=timezone(timedelta(hours=5, minutes=30))), 18, 23),
    ],
)
def test_a_moment_belongs_to_an_hour_and_a_day_of_utc(
    moment: datetime, hour: int, day: int
) -> None:
    assert Span.HOUR.start(moment) == datetime(2026, 11, day, hour, tzinfo=UTC)
    assert Span.DAY.start(moment) == datetime(2026, 11, day, tzinfo=UTC)


def test_a_moment_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Span.HOUR.start(datetime(2026, 11, 23, 12))
    with pytest.raises(ValueError, match="time zone"):
        Rollup(first_success_at=datetime(2026, 11, 23, 12))


# --- adding ------------------------------------------------------------------------------------


def test_the_gap_between_two_rollups_is_a_gap_too() -> None:
    both = add(of(0, 1), of(31, 33))
    assert (both.successes, both.longest_gap) == (4, timedelta(minutes=30))
    assert both.gaps == timedelta(minutes=33)


def test_a_rollup_without_successes_has_no_gaps() -> None:
    assert NOTHING.gaps == timedelta(0)
    assert add(Rollup(failures=2), of(5)).longest_gap == timedelta(0)


@pytest.mark.parametrize(
    ("one", "other", "answer"),
    [
        (of(0, 10), of(5), True),
        (of(5), of(0, 10), True),
        (of(0, 10), of(5, 15), True),
        (of(0, 10), of(10, 20), False),  # at the same moment there is no gap to be wrong about
        (of(0, 10), of(11), False),
        (of(), of(1), False),
        (of(1), of(), False),
    ],
)
def test_tells_whether_one_lies_among_the_other(one: Rollup, other: Rollup, answer: bool) -> None:
    assert interleave(one, other) is answer
    assert interleave(other, one) is answer


@given(rollups(), rollups())
def test_the_order_does_not_matter(one: Rollup, other: Rollup) -> None:
    assert add(one, other) == add(other, one)
    assert add(one, NOTHING) == one


@given(minutes, minutes)
def test_what_does_not_interleave_adds_up_exactly(first: list[int], second: list[int]) -> None:
    later = [minute + 3 * 24 * 60 for minute in second]
    assert add(of(*first), of(*later)) == of(*first, *later)


@given(minutes, minutes)
def test_what_interleaves_has_an_upper_bound_as_its_longest_gap(
    first: list[int], second: list[int]
) -> None:
    sum_, exact = add(of(*first), of(*second)), of(*first, *second)
    assert sum_.longest_gap >= exact.longest_gap
    assert corrected(sum_, exact) == exact
    if not interleave(of(*first), of(*second)):
        assert sum_ == exact


def test_the_upper_bound_stays_where_heartbeats_are_gone() -> None:
    sum_ = add(of(0, 30), of(10))
    assert corrected(sum_, of(10, 30)) == sum_


@given(minutes, st.permutations(range(3 * 24 + 1)))
def test_the_hours_of_a_span_come_to_the_span(beats: list[int], order: Sequence[int]) -> None:
    hours = [of(*(beat for beat in beats if beat // 60 == hour)) for hour in order]
    assert total(hours) == of(*beats)


@given(st.lists(rollups(), max_size=4))
def test_counts_and_times_are_sums(parts: list[Rollup]) -> None:
    sum_ = total(parts)
    assert sum_.successes == sum(part.successes for part in parts)
    assert sum_.failures == sum(part.failures for part in parts)
    assert sum_.runs == sum(part.runs for part in parts)
    assert sum_.run_time == sum((part.run_time for part in parts), timedelta(0))
    assert sum_.longest_run == max((part.longest_run for part in parts), default=timedelta(0))
    assert sum_.down == sum((part.down for part in parts), timedelta(0))


# --- downtime ----------------------------------------------------------------------------------


def test_an_outage_is_spread_over_the_hours_it_touches() -> None:
    assert list(downtime(at(-5), at(90))) == [
        (at(-60), timedelta(minutes=5)),
        (at(0), HOUR),
        (at(60), timedelta(minutes=30)),
    ]


@pytest.mark.parametrize("end", [0, -1, -600])
def test_what_ends_before_it_begins_is_no_downtime(end: float) -> None:
    assert list(downtime(at(0), at(end))) == []


@given(moments, st.timedeltas(timedelta(0), timedelta(days=3)))
def test_the_parts_of_an_outage_come_to_the_outage(begin: datetime, length: timedelta) -> None:
    parts = list(downtime(begin, begin + length))
    assert sum((part for _, part in parts), timedelta(0)) == length
    assert all(timedelta(0) < part <= HOUR for _, part in parts)
    hours = [hour for hour, _ in parts]
    assert hours == sorted(set(hours)) == [Span.HOUR.start(hour) for hour in hours]
    assert len({Span.DAY.start(hour) for hour in hours}) <= length // DAY + 2


def test_an_outage_that_ended_earlier_gives_back_what_was_counted() -> None:
    assert list(downtime_change(at(-5), at(70))) == list(downtime(at(-5), at(70)))
    assert list(downtime_change(at(70), at(-5))) == [
        (at(-60), timedelta(minutes=-5)),
        (at(0), -HOUR),
        (at(60), timedelta(minutes=-10)),
    ]
    assert list(downtime_change(at(3), at(3))) == []


# --- when --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "due"), [(at(0), at(2)), (at(1.9), at(2)), (at(2), at(62)), (at(59), at(62))]
)
def test_an_hour_is_rolled_up_soon_after_its_end(now: datetime, due: datetime) -> None:
    assert next_time(now) == due


@given(moments)
def test_the_next_time_lies_ahead(now: datetime) -> None:
    due = next_time(now)
    assert now < due <= now + HOUR
    assert due - Span.HOUR.start(due) == LAG
