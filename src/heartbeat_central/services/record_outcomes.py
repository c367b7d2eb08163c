"""Line 3, tell, its last step: what came of attempts is recorded, many in one transaction.

An outcome counts only while its lease does: the attempt number is the fencing token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from heartbeat_central.domain.dead_letter import has_fallback
from heartbeat_central.storage import leases
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.leases import Attempt, Claimed, Mark
from heartbeat_central.storage.outbox import DeliveryStatus

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one attempt."""

    claimed: Claimed
    status: DeliveryStatus
    started_at: datetime
    finished_at: datetime
    detail: str
    """What the receiver said, or what went wrong."""
    due_at: datetime | None = None
    """When to try again."""
    quiet_until: datetime | None = None
    """Until when the receiver wants to hear of nothing, if it said so."""

    @property
    def error(self) -> str | None:
        """Return what went wrong, None when nothing did."""
        return None if self.status is DeliveryStatus.DELIVERED else self.detail


def record_outcomes(database: Database, outcomes: Sequence[Outcome]) -> None:
    """Store where these deliveries stand, each with its attempt; those whose lease has passed are left.

    Raises StorageUnavailable: nothing is stored then, and the caller may try again until the leases
    run out. What is never recorded is sent once more under the same id.
    """
    marks = [
        Mark(
            one.claimed,
            one.status,
            at=one.finished_at,
            due_at=one.due_at,
            error=one.error,
            fallback_due=one.status is DeliveryStatus.DEAD and has_fallback(one.claimed.alert),
        )
        for one in outcomes
    ]
    with database.write() as connection:
        held = leases.mark_many(connection, marks)
        kept = [one for one in outcomes if one.claimed.id in held]
        leases.add_attempts(
            connection,
            [
                Attempt(
                    delivery_id=one.claimed.id,
                    attempt=one.claimed.attempt,
                    started_at=one.started_at,
                    finished_at=one.finished_at,
                    outcome="ok" if one.error is None else "failed",
                    detail=one.detail,
                )
                for one in kept
            ],
        )
    for one in outcomes:
        _tell(one, recorded=one.claimed.id in held)


def _tell(outcome: Outcome, *, recorded: bool) -> None:
    claimed = outcome.claimed
    if not recorded:
        log.warning("lease_lost", delivery=str(claimed.uuid), attempt=claimed.attempt)
        return
    log.info(
        "delivery_attempted",
        delivery=str(claimed.uuid),
        channel=claimed.channel_id,
        type=claimed.channel_type,
        kind=claimed.alert.kind.value,
        attempt=claimed.attempt,
        status=outcome.status.value,
        error=outcome.error,
    )
