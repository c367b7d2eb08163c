"""The alerts of a storm, which are held back until a digest takes their place."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, distinct, func, not_, select, update

from heartbeat_central.domain.alert import AlertKind
from heartbeat_central.storage.among import among
from heartbeat_central.storage.outbox import DeliveryStatus
from heartbeat_central.storage.tables import alerts, deliveries, incidents

PENDING = DeliveryStatus.PENDING.value
CANCELLED = DeliveryStatus.CANCELLED.value
HELD = "held for a digest: many applications went down together"
_UNSENT = and_(deliveries.c.status == PENDING, deliveries.c.attempt == 0)


@dataclass(frozen=True, slots=True)
class Heard:
    """A `down` of a storm for a channel."""

    delivery_id: int
    channel_id: int
    incident_id: int
    is_unsent: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """An alert that waits for its channel's digest."""

    delivery_id: int
    channel_id: int
    kind: AlertKind
    application_id: int
    incident_id: int


def channels_inside(
    connection: Connection, storm_id: int, channel_ids: Collection[int]
) -> set[int]:
    """Return those of the channels that have alerts of this storm held, told or merged."""
    return set(
        connection.execute(
            select(deliveries.c.channel_id)
            .distinct()
            .where(
                deliveries.c.storm_id == storm_id,
                among(connection, deliveries.c.channel_id, channel_ids),
            )
        ).scalars()
    )


def heard(
    connection: Connection,
    storm_id: int,
    *,
    after: datetime,
    channel_ids: Collection[int] | None = None,
) -> list[Heard]:
    """Return the deliveries about outages of a storm that don't belong to it yet.

    Only those of alerts decided after that moment, which the outages can't be older than; of these
    channels, by default of all.
    """
    query = (
        select(
            deliveries.c.id,
            deliveries.c.channel_id,
            alerts.c.incident_id,
            deliveries.c.attempt,
            deliveries.c.status,
        )
        .join_from(alerts, deliveries, deliveries.c.alert_id == alerts.c.id)
        .join(incidents, incidents.c.id == alerts.c.incident_id)
        .where(
            alerts.c.created_at > after,
            alerts.c.kind == AlertKind.DOWN.value,
            incidents.c.storm_id == storm_id,
            deliveries.c.storm_id.is_(None),
            deliveries.c.status != CANCELLED,
        )
    )
    if channel_ids is not None:
        query = query.where(among(connection, deliveries.c.channel_id, channel_ids))
    return [
        Heard(row.id, row.channel_id, row.incident_id, row.status == PENDING and row.attempt == 0)
        for row in connection.execute(query)
    ]


def enter(
    connection: Connection, storm_id: int, delivery_ids: Collection[int], *, held_until: datetime
) -> int:
    """Let deliveries belong to a storm and hold back those that nobody has begun to send.

    Returns how many are held. What a sender has in its hands is left to it.
    """
    free = connection.execute(
        select(deliveries.c.id, deliveries.c.attempt, deliveries.c.status)
        .where(among(connection, deliveries.c.id, delivery_ids))
        .order_by(deliveries.c.id)
        .with_for_update(skip_locked=True)
    ).all()
    unsent = [row.id for row in free if row.status == PENDING and row.attempt == 0]
    others = {row.id for row in free}.difference(unsent)
    if others:
        connection.execute(
            update(deliveries)
            .where(among(connection, deliveries.c.id, others))
            .values(storm_id=storm_id)
        )
    if unsent:
        connection.execute(
            update(deliveries)
            .where(among(connection, deliveries.c.id, unsent))
            .values(storm_id=storm_id, due_at=held_until, last_error=HELD)
        )
    return len(unsent)


def waiting(connection: Connection, storm_id: int) -> list[Waiting]:
    """Return the alerts of a storm that nobody has begun to send, locked."""
    rows = connection.execute(
        select(
            deliveries.c.id,
            deliveries.c.channel_id,
            deliveries.c.application_id,
            alerts.c.kind,
            alerts.c.incident_id,
        )
        .join_from(deliveries, alerts, alerts.c.id == deliveries.c.alert_id)
        .where(deliveries.c.storm_id == storm_id, _UNSENT)
        .order_by(deliveries.c.id)
        .with_for_update(of=deliveries)
    )
    return [
        Waiting(row.id, row.channel_id, AlertKind(row.kind), row.application_id, row.incident_id)
        for row in rows
    ]


def told_alone(
    connection: Connection, storm_id: int, channel_ids: Collection[int]
) -> dict[int, list[int]]:
    """Return the incidents of which these channels were told by an alert each, by channel."""
    found: dict[int, list[int]] = {}
    for row in connection.execute(
        select(deliveries.c.channel_id, alerts.c.incident_id)
        .join_from(deliveries, alerts, alerts.c.id == deliveries.c.alert_id)
        .where(
            deliveries.c.storm_id == storm_id,
            among(connection, deliveries.c.channel_id, channel_ids),
            deliveries.c.merged_into.is_(None),
            deliveries.c.status != CANCELLED,
            alerts.c.kind == AlertKind.DOWN.value,
            not_(_UNSENT),
        )
    ):
        found.setdefault(row.channel_id, []).append(row.incident_id)
    return found


def channels_with_digest(connection: Connection, storm_id: int) -> set[int]:
    """Return the channels that have had a digest of this storm."""
    return set(
        connection.execute(
            select(deliveries.c.channel_id)
            .distinct()
            .where(deliveries.c.storm_id == storm_id, deliveries.c.merged_into.is_not(None))
        ).scalars()
    )


def still_down(connection: Connection, storm_id: int) -> dict[int, int]:
    """Return for each channel how many applications are down of those whose outage it hears of."""
    rows = connection.execute(
        select(
            deliveries.c.channel_id,
            func.count(distinct(incidents.c.application_id)).label("down"),
        )
        .join_from(deliveries, alerts, alerts.c.id == deliveries.c.alert_id)
        .join(incidents, incidents.c.id == alerts.c.incident_id)
        .where(
            deliveries.c.storm_id == storm_id,
            alerts.c.kind == AlertKind.DOWN.value,
            incidents.c.closed_at.is_(None),
        )
        .group_by(deliveries.c.channel_id)
    )
    return {row.channel_id: row.down for row in rows}


def merge(connection: Connection, delivery_ids: Sequence[int], *, into: int, now: datetime) -> None:
    """Let the delivery `into` take the place of these, which are not sent any more."""
    connection.execute(
        update(deliveries)
        .where(among(connection, deliveries.c.id, delivery_ids), _UNSENT)
        .values(
            status=CANCELLED,
            merged_into=into,
            due_at=None,
            finished_at=now,
            last_error="merged into a digest",
        )
    )


def cancel(
    connection: Connection, delivery_ids: Sequence[int], *, because: str, now: datetime
) -> None:
    """Don't send these, for this reason."""
    connection.execute(
        update(deliveries)
        .where(among(connection, deliveries.c.id, delivery_ids), _UNSENT)
        .values(status=CANCELLED, due_at=None, finished_at=now, last_error=because)
    )


def release(connection: Connection, delivery_ids: Sequence[int], *, now: datetime) -> None:
    """Send these as they are, now."""
    connection.execute(
        update(deliveries)
        .where(among(connection, deliveries.c.id, delivery_ids), _UNSENT)
        .values(due_at=now, last_error=None)
    )


def release_all(connection: Connection, storm_id: int, *, now: datetime) -> int:
    """Send all that is held for a storm as it is, now; return how many that are."""
    return connection.execute(
        update(deliveries)
        .where(deliveries.c.storm_id == storm_id, _UNSENT)
        .values(due_at=now, last_error=None)
    ).rowcount
