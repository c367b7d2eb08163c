"""When a failed delivery is tried again."""

from datetime import UTC, datetime, timedelta

import pytest

from heartbeat_central.domain.errors import DeliveryFailure, PermanentFailure, TemporaryFailure
from heartbeat_central.domain.retry import GiveUp, RetryAt, decide

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def after(
    failure: DeliveryFailure, attempt: int = 1, *, jitter: float = 1.0, age: timedelta | None = None
) -> RetryAt | GiveUp:
    return decide(
        failure,
        attempt=attempt,
        first_attempt_at=NOW - (age or timedelta(0)),
        now=NOW,
        jitter=jitter,
    )


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [(1, 2), (2, 4), (3, 8), (8, 256), (11, 1800), (500, 1800)],
)
def test_pauses_grow_and_stay_bounded(attempt: int, seconds: float) -> None:
    assert after(TemporaryFailure("busy"), attempt) == RetryAt(NOW + timedelta(seconds=seconds))


def test_jitter_spreads_the_pause_down_to_a_second() -> None:
    assert after(TemporaryFailure("busy"), 5, jitter=0.0) == RetryAt(NOW + timedelta(seconds=1))
    assert after(TemporaryFailure("busy"), 5, jitter=0.5) == RetryAt(NOW + timedelta(seconds=16))


def test_never_tries_before_retry_after() -> None:
    busy = TemporaryFailure("busy", retry_after=timedelta(minutes=5))
    assert after(busy, jitter=0.0) == RetryAt(NOW + timedelta(minutes=5))


def test_gives_up_at_once_on_a_permanent_failure() -> None:
    assert after(PermanentFailure("no such channel")) == GiveUp("no such channel")


def test_gives_up_after_a_day() -> None:
    decision = after(TemporaryFailure("busy"), 60, age=timedelta(hours=24))
    assert isinstance(decision, GiveUp)
    assert "60 attempts" in decision.because


def test_gives_up_when_retry_after_lies_beyond_the_budget() -> None:
    busy = TemporaryFailure("busy", retry_after=timedelta(hours=25))
    assert isinstance(after(busy), GiveUp)
