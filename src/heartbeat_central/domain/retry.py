"""When to try a failed delivery again: exponential backoff with full jitter, for at most a day."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from heartbeat_central.domain.errors import DeliveryFailure, PermanentFailure, TemporaryFailure

BUDGET = timedelta(hours=24)
"""From the first attempt on; after that the delivery is a dead letter."""
FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again then."""

    at: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """A dead letter, for this reason."""

    because: str


def decide(
    failure: DeliveryFailure,
    *,
    attempt: int,
    first_attempt_at: datetime,
    now: datetime,
    jitter: float,
) -> RetryAt | GiveUp:
    """Return what follows attempt number `attempt` (from 1) that ended in `failure`.

    `jitter` is a random number in [0, 1): pauses are spread over the whole span so that receivers
    which come back are not met by everyone at once (AWS Architecture Blog, "Exponential Backoff
    And Jitter", full jitter). A Retry-After is a lower bound (RFC 9110, 10.2.3).
    """
    if isinstance(failure, PermanentFailure):
        return GiveUp(str(failure))
    span = min(FIRST_PAUSE * 2 ** min(attempt - 1, 20), LONGEST_PAUSE)
    pause = max(span * jitter, timedelta(seconds=1))
    if isinstance(failure, TemporaryFailure) and failure.retry_after is not None:
        pause = max(pause, failure.retry_after)
    at = now + pause
    if at > first_attempt_at + BUDGET:
        return GiveUp(f"gave up after {_times(attempt)} within 24 hours: {failure}")
    return RetryAt(at)


def _times(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"
