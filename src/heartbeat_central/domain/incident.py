"""One outage: opened when an application goes down, closed when it recovers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from heartbeat_central.domain.moment import aware, aware_or_none


class Reason(StrEnum):
    """Why an application is down."""

    MISSED = "missed"
    """No heartbeat came before the deadline."""
    FAILED = "failed"
    """The application said so: `/fail` or an exit status other than 0."""
    UNFINISHED = "unfinished"
    """A run started and did not finish within the grace period."""
    UNVERIFIED = "unverified"
    """No heartbeat came, and again and again this service could not have received one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A stored outage. At most one per application is open."""

    id: int
    application_id: int
    reason: Reason
    exit_status: int | None = None
    """What the failed run ended with, when it said so."""
    opened_at: datetime
    """The exact deadline that passed, or when the failure arrived; not when it was noticed."""
    closed_at: datetime | None = None
    last_heartbeat_at: datetime | None = None
    """The last heartbeat before the outage."""

    def __post_init__(self) -> None:
        aware(self.opened_at)
        aware_or_none(self.closed_at)
        aware_or_none(self.last_heartbeat_at)

    def lasted(self, now: datetime) -> timedelta:
        """Return how long the outage lasted, or has lasted at `now`."""
        return (self.closed_at or now) - self.opened_at
