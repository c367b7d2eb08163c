"""What counts as a storm, and when its digests go out."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from heartbeat_central.domain import storm
from heartbeat_central.domain.alert import AlertKind

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("went_down", "watched", "expected"),
    [
        (10, 10, True),
        (10, 1_000_000, True),
        (9, 46, False),  # 20 % of 46 is more than 9
        (9, 45, True),
        (4, 20, True),
        (4, 21, False),
        (3, 20, False),
        (9, 19, False),  # nearly half, but of too few
    ],
)
def test_ten_or_a_fifth_of_at_least_twenty(went_down: int, watched: int, expected: bool) -> None:
    assert storm.is_storm(went_down=went_down, watched=watched) is expected


@given(went_down=some.integers(0, 60), watched=some.integers(0, 200))
def test_counting_further_changes_nothing(went_down: int, watched: int) -> None:
    counted = min(watched, storm.ENOUGH)
    expected = went_down >= 10 or (watched >= 20 and went_down >= 0.2 * watched)
    judged = storm.is_storm(went_down=went_down, watched=counted)
    # With more watched than ENOUGH only MANY can make a storm, and MANY is a fifth of ENOUGH.
    assert judged is expected or (went_down < storm.FEWEST and not judged)
    assert storm.MANY * storm.ONE_IN == storm.ENOUGH


@pytest.mark.parametrize(
    ("seconds", "end"),
    [
        ([0], 0),
        ([0, 59, 60], 60),  # 59 and 60; 0 is not within a minute of 60
        ([0, 10, 20, 500, 501], 20),
        ([0, 1, 500, 501], 501),  # the latest of several
        ([501, 0, 500, 502], 502),  # in any order
    ],
)
def test_finds_the_minute_in_which_most_went_down(seconds: list[int], end: int) -> None:
    assert storm.densest([after(one) for one in seconds]) == after(end)


@pytest.mark.parametrize(
    ("kind", "digests", "last", "expected"),
    [
        (AlertKind.DOWN, 0, None, 1),
        (AlertKind.UP, 0, None, 2),
        (AlertKind.DOWN, 0, -100, 1),
        (AlertKind.DOWN, 1, -3, 7),
        (AlertKind.DOWN, 1, -30, 1),
        (AlertKind.DOWN, 2, 0, 30),
        (AlertKind.DOWN, 3, 0, 60),
        (AlertKind.UP, 9, 0, 60),
    ],
)
def test_the_first_digest_comes_soon_and_later_ones_rarely(
    kind: AlertKind, digests: int, last: int | None, expected: int
) -> None:
    last_digest_at = None if last is None else after(last)
    found = storm.digest_at(kind, last_digest_at=last_digest_at, digests=digests, now=NOON)
    assert found == after(expected)


@pytest.mark.parametrize(("last", "expected"), [(None, 0), (-61, 0), (-60, 3)])
def test_after_a_quiet_minute_digests_come_soon_again(last: int | None, expected: int) -> None:
    last_digest_at = None if last is None else after(last)
    assert storm.digests_so_far(last_digest_at=last_digest_at, digests=3, now=NOON) == expected
