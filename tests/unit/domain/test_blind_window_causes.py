"""What a blind window says of itself and of others."""

from datetime import UTC, datetime, timedelta

import pytest

from heartbeat_central.domain.blind_window import NO_WINDOWS, Cause, Span

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize("cause", [Cause.SUSPENDED, Cause.CLOCK_SET_FORWARD, Cause.CLOCK_SET_BACK])
def test_a_sleep_and_a_clock_that_is_set_move_what_waits_for_a_time(cause: Cause) -> None:
    assert cause.moved_clock


def test_where_no_window_is_none_is_the_last() -> None:
    assert NO_WINDOWS.last_in(Span(NOON, NOON + timedelta(hours=1))) is None
