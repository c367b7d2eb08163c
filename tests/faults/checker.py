"""The history checker: what clients and receivers saw, against what the database holds.

A test collects what clients were told (`Call`) and what receivers got (`Told`), lets things settle, reads
the database (`stored`), and demands that `violations` finds nothing. The rules are those of the three
promises; none of them needs to know which fault was injected, only how many crashes there were.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from heartbeat_central.storage import tables
from heartbeat_central.storage.engine import Database
from tests.support.receivers.http import Received

_SETTLED = ("delivered", "cancelled", "merged")
"""What a delivery may be in the end; a digest has told of what was merged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A heartbeat that a client sent, and what it was told. Times are those of the one wall clock."""

    uuid: UUID
    marker: str
    """Its body, which no other call has."""
    sent_at: datetime
    answered_at: datetime | None = None
    """None: the connection broke, or the client gave up."""
    status: int | None = None
    received_at: datetime | None = None
    """The timestamp in the answer."""

    @property
    def acknowledged(self) -> bool:
        """Return whether the client was promised that it is stored."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An alert as a webhook receiver got it."""

    delivery_id: UUID
    event: str
    incident_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A row of the history."""

    uuid: UUID
    marker: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A stored incident."""

    id: int
    uuid: UUID
    reason: str
    opened_at: datetime
    closed_at: datetime | None
    heard_at: datetime | None
    """The last heartbeat before it, as the service saw it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A row of the outbox."""

    uuid: UUID
    incident_id: int | None
    kind: str
    channel_id: int
    status: str
    decided_at: datetime
    """When the alert was decided on: no later than the commit of its incident."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the database holds in the end."""

    beats: Sequence[Beat] = ()
    outages: Sequence[Outage] = ()
    sent: Sequence[Sent] = ()
    patience: Mapping[UUID, timedelta] = field(default_factory=dict)
    """Interval and grace period of each application."""
    subscribed: Mapping[UUID, Collection[int]] = field(default_factory=dict)
    """Channels by application."""


def stored(database: Database) -> Stored:
    """Read it all, in one snapshot."""
    apps, beats, outages = tables.applications, tables.heartbeats, tables.incidents
    alerts, deliveries, subscriptions = tables.alerts, tables.deliveries, tables.subscriptions
    with database.snapshot() as connection:
        watched = connection.execute(
            select(apps.c.id, apps.c.uuid, apps.c.expected_interval, apps.c.grace_period)
        ).all()
        uuids = {row.id: row.uuid for row in watched}
        subscribed = defaultdict(list)
        for row in connection.execute(select(subscriptions)):
            subscribed[uuids[row.application_id]].append(row.channel_id)
        return Stored(
            beats=[
                Beat(
                    uuid=uuids[row.application_id],
                    marker=(row.body or b"").decode(),
                    received_at=row.received_at,
                )
                for row in connection.execute(
                    select(beats.c.application_id, beats.c.body, beats.c.received_at)
                )
            ],
            outages=[
                Outage(
                    id=row.id,
                    uuid=uuids[row.application_id],
                    reason=row.reason,
                    opened_at=row.opened_at,
                    closed_at=row.closed_at,
                    heard_at=row.last_heartbeat_at,
                )
                for row in connection.execute(select(outages).order_by(outages.c.id))
            ],
            sent=[
                Sent(
                    uuid=row.uuid,
                    incident_id=row.incident_id,
                    kind=row.kind,
                    channel_id=row.channel_id,
                    status="merged" if row.merged_into is not None else row.status,
                    decided_at=row.created_at,
                )
                for row in connection.execute(
                    select(
                        *(deliveries.c.uuid, deliveries.c.channel_id, deliveries.c.status),
                        *(deliveries.c.merged_into, alerts.c.incident_id, alerts.c.kind),
                        alerts.c.created_at,
                    ).join_from(deliveries, alerts, alerts.c.id == deliveries.c.alert_id)
                )
            ],
            patience={
                row.uuid: timedelta(seconds=row.expected_interval + row.grace_period)
                for row in watched
            },
            subscribed=subscribed,
        )


def told(requests: Iterable[Received]) -> list[Told]:
    """Return what a webhook receiver got."""
    bodies = [json.loads(request.body) for request in list(requests)]
    return [
        Told(
            delivery_id=UUID(body["delivery_id"]),
            event=body["event"],
            incident_id=body["incident"] and body["incident"]["id"],
        )
        for body in bodies
    ]


def violations(
    calls: Sequence[Call], received: Sequence[Told], found: Stored, *, crashes: int = 0
) -> list[str]:
    """Return one sentence for each promise that was broken; nothing when all were kept.

    `crashes`: how often something broke that may cost a repetition, be it of a stored heartbeat whose
    answer was lost or of an alert.
    """
    return [
        *_lost(calls, found.beats),
        *_invented(calls, found.beats, crashes),
        *_overlapping(found.outages),
        *_false_alarms(calls, found),
        *_untold(found, received),
        *_repeated(received, crashes),
    ]


def _lost(calls: Sequence[Call], beats: Sequence[Beat]) -> Iterator[str]:
    history = defaultdict(list)
    for beat in beats:
        history[beat.uuid, beat.marker].append(beat.received_at)
    for call in calls:
        if not call.acknowledged:
            continue
        rows = history.get((call.uuid, call.marker))
        if rows is None:
            yield f"{call.marker} was answered {call.status} and is not in the history"
        elif call.received_at is not None and call.received_at not in rows:
            yield f"{call.marker} was answered {call.received_at}, the history says {rows}"


def _invented(calls: Sequence[Call], beats: Sequence[Beat], crashes: int) -> Iterator[str]:
    by_marker = {call.marker: call for call in calls}
    for (uuid, marker), count in Counter((beat.uuid, beat.marker) for beat in beats).items():
        call = by_marker.get(marker)
        if call is None or call.uuid != uuid:
            yield f"the history holds {marker!r}, which nobody sent"
        elif call.status is not None and 400 <= call.status < 500:
            yield f"{marker} was answered {call.status} and is in the history"
        # A batch whose connection broke while it was committed is judged again.
        elif count > (2 if crashes else 1):
            yield f"{marker} is in the history {count} times"


def _overlapping(outages: Sequence[Outage]) -> Iterator[str]:
    last: dict[UUID, Outage] = {}
    for one in sorted(outages, key=lambda one: (one.opened_at, one.id)):
        if one.closed_at is not None and one.closed_at < one.opened_at:
            yield f"incident {one.id} closed at {one.closed_at}, before it opened {one.opened_at}"
        before = last.get(one.uuid)
        if before is not None and (before.closed_at is None or before.closed_at > one.opened_at):
            yield f"incident {one.id} opened while {before.id} of the same application was open"
        last[one.uuid] = one


def _false_alarms(calls: Sequence[Call], found: Stored) -> Iterator[str]:
    by_application = defaultdict(list)
    for call in calls:
        by_application[call.uuid].append(call)
    decided = {one.incident_id: one.decided_at for one in found.sent if one.kind == "down"}
    for outage in found.outages:
        if outage.reason == "failed":
            continue
        since = outage.opened_at - found.patience[outage.uuid]
        committed = max(decided.get(outage.id, outage.opened_at), outage.opened_at)
        for call in by_application[outage.uuid]:
            # Not the one that silence was counted from.
            if outage.heard_at is not None and call.received_at == outage.heard_at:
                continue
            if call.acknowledged and call.answered_at is not None and call.received_at is not None:
                if since < call.received_at and call.answered_at < committed:
                    yield (
                        f"incident {outage.id} opened at {outage.opened_at}, although {call.marker} "
                        f"of {call.received_at} was acknowledged at {call.answered_at}"
                    )
            elif _was_turned_away(call) and since < call.sent_at < outage.opened_at:
                # After three blind windows in a row an alert says that it can't be verified.
                if outage.reason == "unverified":
                    continue
                yield (
                    f"incident {outage.id} opened at {outage.opened_at}, although {call.marker} was "
                    f"sent at {call.sent_at} and could not be taken ({call.status})"
                )


def _was_turned_away(call: Call) -> bool:
    return call.status is None or call.status >= 500


def _untold(found: Stored, received: Sequence[Told]) -> Iterator[str]:
    arrived = {one.delivery_id for one in received}
    downs = defaultdict(list)
    for one in found.sent:
        if one.kind == "down":
            downs[one.incident_id, one.channel_id].append(one)
        if one.status not in _SETTLED:
            yield f"delivery {one.uuid} ({one.kind} of incident {one.incident_id}) is {one.status}"
        elif one.status == "delivered" and one.uuid not in arrived:
            yield f"delivery {one.uuid} counts as delivered and did not arrive"
    for outage in found.outages:
        for channel in found.subscribed.get(outage.uuid, ()):
            count = len(downs[outage.id, channel])
            if count != 1:
                yield f"incident {outage.id} has {count} deliveries for channel {channel}"


def _repeated(received: Sequence[Told], crashes: int) -> Iterator[str]:
    copies = Counter(one.delivery_id for one in received)
    for delivery_id, count in copies.items():
        if count - 1 > crashes:
            yield f"delivery {delivery_id} arrived {count} times in {crashes} crashes"
