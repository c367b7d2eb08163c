"""Line 3, tell: claim due deliveries (commit), send each, and have the outcome recorded (commit).

Nothing is sent inside a transaction: a receiver that takes ten seconds holds no lock and no
connection. A crash at any point leaves a lease that runs out; the delivery is then sent again under
the same id, so that it arrives at least once and at most once more per crash.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from heartbeat_central.alerts import config as plugin_config
from heartbeat_central.alerts.base import Outbound
from heartbeat_central.alerts.registry import Registry
from heartbeat_central.domain import retry
from heartbeat_central.domain.alert import Envelope
from heartbeat_central.domain.bulkhead import LONGEST_QUIET, Bulkheads
from heartbeat_central.domain.bulkhead import MOST as MOST_PER_CHANNEL
from heartbeat_central.domain.errors import (
    DeliveryFailure,
    HeartbeatCentralError,
    PermanentFailure,
    TemporaryFailure,
)
from heartbeat_central.services.record_outcomes import Outcome, record_outcomes
from heartbeat_central.services.review_claimed import review_claimed
from heartbeat_central.storage import leases
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.leases import Claimed
from heartbeat_central.storage.outbox import DeliveryStatus
from heartbeat_central.storage.secrets import SecretBox

LEASE = timedelta(seconds=12)
"""How soon another attempt follows when the process dies. Longer than a send may take (10 s), and than
the clocks of two nodes may differ; what takes longer still is renewed."""
RENEW_AFTER = LEASE / 2
CANDIDATES = 100
"""Deliveries to look at even when only one may start: the oldest may all wait for one under way."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sender:
    """What sending needs, put together once by wiring."""

    database: Database
    registry: Registry
    secret_box: SecretBox
    outbound: Outbound


def claim_due(
    database: Database, bulkheads: Bulkheads, *, now: datetime, most: int
) -> list[Claimed]:
    """Lease up to `most` due deliveries to this process, committed, within each channel's allowance.

    Those that events have overtaken are cancelled on the way and not returned. The caller notes the
    others in `bulkheads` as started.
    """
    # Looked for without a lock, so that heartbeats don't wait for it; what others take meanwhile is
    # left out under the lock.
    with database.read() as connection:
        candidates = leases.due(
            connection,
            now=now,
            most=max(4 * most, CANDIDATES),
            per_channel=MOST_PER_CHANNEL,
            full_channels=bulkheads.full(now),
        )
    chosen = bulkheads.choose(((one.id, one.channel_id) for one in candidates), most=most)
    if not chosen:
        return []
    with database.write() as connection:
        leased = leases.lease(connection, chosen, now=now, until=now + LEASE)
        return review_claimed(connection, leased, now=now)


def deliver(sender: Sender, claimed: Claimed, *, clock: Callable[[], datetime]) -> Outcome:
    """Send one claimed delivery and return what came of it, for `record_outcomes`."""
    started_at = clock()
    failure, detail = _attempt(sender, claimed, started_at)
    now = clock()
    if failure is None:
        return _outcome(claimed, DeliveryStatus.DELIVERED, started_at, now, detail)
    decision = retry.decide(
        failure,
        attempt=claimed.attempt,
        first_attempt_at=claimed.first_attempt_at,
        now=now,
        jitter=random.random(),  # noqa: S311  spreading load, not guarding a secret
    )
    match decision:
        case retry.RetryAt(at):
            outcome = _outcome(claimed, DeliveryStatus.PENDING, started_at, now, str(failure), at)
            return replace(outcome, quiet_until=_quiet_until(failure, now))
        case retry.GiveUp(because):
            return _outcome(claimed, DeliveryStatus.DEAD, started_at, now, because)


def deliver_once(
    sender: Sender, claimed: Claimed, *, clock: Callable[[], datetime]
) -> tuple[DeliveryFailure | None, str]:
    """Send one claimed delivery, record the outcome, and never try again.

    Returns the failure, None when it was delivered, and what the receiver said. Raises
    StorageUnavailable.
    """
    started_at = clock()
    failure, detail = _attempt(sender, claimed, started_at)
    status = DeliveryStatus.DELIVERED if failure is None else DeliveryStatus.DEAD
    said = detail if failure is None else str(failure)
    record_outcomes(sender.database, [_outcome(claimed, status, started_at, clock(), said)])
    return failure, detail


def next_delivery(database: Database, bulkheads: Bulkheads, *, now: datetime) -> datetime | None:
    """Return when the next delivery that may start is due: one look at an index.

    What waits for a channel that is full is not counted: whoever ends there looks again.
    """
    with database.read() as connection:
        due_at = leases.earliest_due(connection, full_channels=bulkheads.full(now))
    moments = [moment for moment in (due_at, bulkheads.quiet_until(now)) if moment is not None]
    return min(moments, default=None)


def renew(database: Database, claimed: Sequence[Claimed], *, now: datetime) -> None:
    """Lease these for longer, unless another node has taken them over meanwhile."""
    with database.write() as connection:
        leases.extend(connection, claimed, until=now + LEASE)


def take_back_all(database: Database, *, now: datetime) -> int:
    """End every lease and return how many there were: whoever held them is gone.

    For SQLite alone, where the process that starts is the only one.
    """
    with database.write() as connection:
        return leases.release_all(connection, now=now)


def give_back(database: Database, claimed: Claimed, *, now: datetime) -> None:
    """Return a claimed delivery unsent, due at once: the process stops before it could begin."""
    with database.write() as connection:
        leases.release(connection, claimed, now=now)


def _outcome(
    claimed: Claimed,
    status: DeliveryStatus,
    started_at: datetime,
    finished_at: datetime,
    detail: str,
    due_at: datetime | None = None,
) -> Outcome:
    return Outcome(
        claimed=claimed,
        status=status,
        started_at=started_at,
        finished_at=finished_at,
        detail=detail,
        due_at=due_at,
    )


def _quiet_until(failure: DeliveryFailure, now: datetime) -> datetime | None:
    if not isinstance(failure, TemporaryFailure) or failure.retry_after is None:
        return None
    return now + min(failure.retry_after, LONGEST_QUIET)


def _attempt(sender: Sender, claimed: Claimed, now: datetime) -> tuple[DeliveryFailure | None, str]:
    """Send, and return the failure, None when there is none, and what the receiver said."""
    try:
        plugin = sender.registry.get(claimed.channel_type)
        config = plugin_config.validate(plugin, sender.secret_box.open(claimed.sealed_config))
        envelope = Envelope(
            alert=claimed.alert, delivery_id=claimed.uuid, attempt=claimed.attempt, sent_at=now
        )
        # A plugin of another package may return no text, and what can't be recorded is sent again.
        return None, str(plugin.send(envelope, config, sender.outbound))
    except DeliveryFailure as failure:
        return failure, ""
    except HeartbeatCentralError as error:
        # An unknown plugin, a lost SECRET_KEY, a configuration that an upgrade made invalid.
        return PermanentFailure(str(error)), ""
    except Exception as error:
        # A plugin's bug must not end the sender; it may be gone after the next upgrade.
        log.exception("plugin_failed", type=claimed.channel_type, delivery=str(claimed.uuid))
        return TemporaryFailure(f"the plugin failed: {type(error).__name__}"), ""
