"""Compares what is about to be sent with how things are now: some is cancelled, some says more."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from heartbeat_central.domain.alert import Alert
from heartbeat_central.domain.incident import Incident
from heartbeat_central.domain.overtaken import (
    brought_up_to_date,
    needs_review,
    reviewed,
    why_overtaken,
)
from heartbeat_central.domain.state import Shown
from heartbeat_central.storage import incidents, leases, states
from heartbeat_central.storage.engine import Connection
from heartbeat_central.storage.leases import Claimed, Mark
from heartbeat_central.storage.outbox import DeliveryStatus

ALL_OVER = "the outages ended before this was sent; the alerts of their recovery tell of them"

log = structlog.get_logger(__name__)


def review_claimed(
    connection: Connection, claimed: Sequence[Claimed], *, now: datetime
) -> list[Claimed]:
    """Return what is still to be sent, as it is to be sent; the rest is cancelled."""
    known = _load(connection, claimed)
    wanted = []
    cancelled = []
    for one in claimed:
        overtaken = why_overtaken(one.alert, one.situation)
        alert: Alert | None = one.alert
        if overtaken is None and needs_review(one.alert):
            alert = reviewed(one.alert, known.incidents, known.statuses)
        if overtaken is None and alert is not None:
            alert = brought_up_to_date(alert, one.situation, now=now)
            wanted.append(replace(one, alert=alert))
            continue
        reason = overtaken or ALL_OVER
        cancelled.append(Mark(one, DeliveryStatus.CANCELLED, at=now, error=reason))
        log.info("delivery_cancelled", delivery=str(one.uuid), reason=reason)
    leases.mark_many(connection, cancelled)
    return wanted


@dataclass(frozen=True, slots=True)
class _Known:
    """How things are with what the digests list."""

    incidents: Mapping[int, Incident]
    statuses: Mapping[int, Shown]


def _load(connection: Connection, claimed: Iterable[Claimed]) -> _Known:
    listed = [
        entry
        for one in claimed
        if one.alert.digest is not None and needs_review(one.alert)
        for entry in one.alert.digest.entries
    ]
    if not listed:
        return _Known({}, {})
    ids = {entry.incident.id for entry in listed if entry.incident is not None}
    found = incidents.load_many(connection, sorted(ids))
    hot = states.load_many(connection, sorted({entry.application.id for entry in listed}))
    return _Known(
        {incident.id: incident for incident in found},
        {id_: Shown(state.status.value) for id_, state in hot.items()},
    )
