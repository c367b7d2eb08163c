"""Rollups: what is known of an hour or a day, and how such spans add up."""

import itertools
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeat_central.domain.rollup import (
    HOUR,
    LAG,
    NOTHING,
    Rollup,
    Span,
    add,
    corrected,
    downtime,
    interleave,
    next_time,
    total,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def of(*minutes: float) -> Rollup:
    """The rollup of successes at these minutes after noon, in any order."""
    moments = sorted(at(minute) for minute in minutes)
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    return Rollup(
        successes=len(moments),
        first_success_at=moments[0] if moments else None,
        last_success_at=moments[-1] if moments else None,
        longest_gap=max(gaps, default=timedelta(0)),
    )


@pytest.mark.parametrize(
    ("span", "moment", "expected"),
    [
        (Span.HOUR, at(59.99), NOON),
        (Span.HOUR, at(0), NOON),
        (Span.DAY, at(700), NOON.replace(hour=0)),
        # Days are those of UTC, whatever zone the moment is given in.
        (
            Span.DAY,
            datetime(2026, 11, 24, 1, tzinfo=timezone(timedelta(hours=2))),
            datetime(2026, 11, 23, tzinfo=UTC),
        ),
    ],
)
def test_a_span_begins_at_the_full_hour_or_at_midnight(
    span: Span, moment: datetime, expected: datetime
) -> None:
    assert span.start(moment) == expected


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Span.HOUR.start(datetime(2026, 11, 23))
    with pytest.raises(ValueError, match="time zone"):
        Rollup(first_success_at=datetime(2026, 11, 23))


def test_gaps_together_reach_from_the_first_success_to_the_last() -> None:
    assert of(1, 5, 30).gaps == timedelta(minutes=29)
    assert of(7).gaps == timedelta(0)
    assert NOTHING.gaps == timedelta(0)


@given(st.lists(st.integers(0, 10_000), unique=True), st.integers(30, 3000))
def test_spans_that_follow_each_other_add_up_to_the_whole(minutes: list[int], length: int) -> None:
    parts: dict[int, list[float]] = {}
    for minute in minutes:
        parts.setdefault(minute // length, []).append(minute)
    assert total(of(*part) for part in parts.values()) == of(*minutes)


def test_adding_counts_failures_runs_and_downtime_too() -> None:
    one = Rollup(
        failures=2,
        runs=2,
        run_time=timedelta(seconds=30),
        longest_run=timedelta(seconds=20),
        down=timedelta(minutes=4),
    )
    other = Rollup(
        failures=1,
        runs=1,
        run_time=timedelta(seconds=25),
        longest_run=timedelta(seconds=25),
        down=timedelta(minutes=1),
    )
    both = add(one, other)
    assert (both.failures, both.runs) == (3, 3)
    assert both.run_time == timedelta(seconds=55)
    assert both.longest_run == timedelta(seconds=25)
    assert both.down == timedelta(minutes=5)
    assert add(both, NOTHING) == both


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (of(0, 10), of(5, 20), True),
        (of(0, 30), of(10, 20), True),
        (of(0, 10), of(20, 30), False),
        (of(20, 30), of(0, 10), False),
        # They only touch: no gap of one holds a success of the other.
        (of(0, 10), of(10, 20), False),
        (NOTHING, of(0, 10), False),
        (of(0, 10), NOTHING, False),
    ],
)
def test_interleaves_when_successes_of_one_lie_between_those_of_the_other(
    one: Rollup, other: Rollup, expected: bool
) -> None:
    assert interleave(one, other) is expected
    assert interleave(other, one) is expected


@given(st.sets(st.integers(0, 500)), st.sets(st.integers(0, 500)))
def test_where_they_interleave_the_longest_gap_is_an_upper_bound(
    some: set[int], others: set[int]
) -> None:
    assert add(of(*some), of(*others)).longest_gap >= of(*some, *others).longest_gap


def test_a_longest_gap_that_was_recounted_replaces_the_upper_bound() -> None:
    sum_ = add(of(0, 30), of(10, 20))
    assert sum_.longest_gap == timedelta(minutes=30)
    assert corrected(sum_, of(0, 10, 20, 30)).longest_gap == timedelta(minutes=10)
    # Some of the heartbeats are gone already, so that what is left knows less.
    assert corrected(sum_, of(20, 30)) == sum_


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (5, 5, []),
        (5, 20, [(0, 15)]),
        (50, 130, [(0, 10), (60, 60), (120, 10)]),
        (0, 60, [(0, 60)]),
    ],
)
def test_downtime_is_cut_at_full_hours(
    begin: float, end: float, expected: list[tuple[float, float]]
) -> None:
    assert list(downtime(at(begin), at(end))) == [
        (at(hour), timedelta(minutes=covered)) for hour, covered in expected
    ]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (NOON, NOON + LAG),
        (NOON + LAG, NOON + HOUR + LAG),
        (at(59), NOON + HOUR + LAG),
    ],
)
def test_an_hour_is_rolled_up_a_little_after_its_end(now: datetime, expected: datetime) -> None:
    assert next_time(now) == expected
