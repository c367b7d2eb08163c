"""Sends a test through a channel, now, and tells what the receiver said."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from heartbeat_central.domain.alert import Alert, AlertKind
from heartbeat_central.services.deliver_alerts import LEASE, Sender, deliver_once
from heartbeat_central.storage import channels, leases, outbox


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """What came of a test."""

    __test__ = False
    ok: bool
    detail: str
    """What the receiver said, or why it failed."""


def test_channel(
    sender: Sender,
    project_id: int,
    channel_id: int,
    *,
    base_url: str,
    clock: Callable[[], datetime],
) -> TestOutcome:
    """Send one test alert and record it like any delivery, but never again. Raises NotFound.

    It takes as long as the receiver does, up to the plugin's timeout.
    """
    now = clock()
    alert = Alert(kind=AlertKind.TEST, dashboard_url=f"{base_url}/channels", created_at=now)
    with sender.database.write() as connection:
        channels.find(connection, project_id, channel_id)
        ids = outbox.add(connection, project_id=project_id, alert=alert, channel_ids=[channel_id])
        # Leased in the same transaction: no sender sees it as due.
        (claimed,) = leases.lease(connection, ids, now=now, until=now + LEASE)
    failure, detail = deliver_once(sender, claimed, clock=clock)
    return TestOutcome(ok=failure is None, detail=detail if failure is None else str(failure))


test_channel.__test__ = False  # type: ignore[attr-defined]
