"""The outbox: alerts, and one delivery per alert and channel, with its attempts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, and_, delete, exists, func, insert, literal, select, update

from heartbeat_central.domain.alert import Alert, AlertKind
from heartbeat_central.domain.moment import isoformat
from heartbeat_central.storage.tables import (
    alerts,
    applications,
    channels,
    deliveries,
    delivery_attempts,
    incidents,
    subscriptions,
)


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up; shown, never dropped."""
    CANCELLED = "cancelled"
    """Overtaken by events before it was sent; `last_error` says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery under lease, with all that sending it needs."""

    id: int
    uuid: UUID
    attempt: int
    """The fencing token: a mark with an older one is ignored."""
    alert: Alert
    channel_id: int
    channel_type: str
    channel_is_active: bool
    sealed_config: str
    application_id: int | None
    application_exists: bool
    incident_open: bool
    first_attempt_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A delivery as people look at it."""

    id: int
    uuid: UUID
    kind: AlertKind
    application_id: int | None
    incident_id: int | None
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime | None
    finished_at: datetime | None
    last_error: str | None
    created_at: datetime

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values, times as RFC 3339 text."""
        return {
            "id": self.id,
            "delivery_id": str(self.uuid),
            "event": self.kind.value,
            "application_id": self.application_id,
            "incident_id": self.incident_id,
            "status": self.status.value,
            "attempts": self.attempts,
            "next_attempt_at": isoformat(self.next_attempt_at),
            "finished_at": isoformat(self.finished_at),
            "last_error": self.last_error,
            "created_at": isoformat(self.created_at),
        }


def page(
    connection: Connection, channel_id: int, *, limit: int, before_id: int | None = None
) -> list[Delivery]:
    """Return up to `limit` deliveries of a channel, newest first, with ids below `before_id`."""
    query = (
        select(deliveries, alerts.c.kind, alerts.c.incident_id)
        .join(alerts, alerts.c.id == deliveries.c.alert_id)
        .where(deliveries.c.channel_id == channel_id)
    )
    if before_id is not None:
        query = query.where(deliveries.c.id < before_id)
    rows = connection.execute(query.order_by(deliveries.c.id.desc()).limit(limit))
    return [
        Delivery(
            id=row.id,
            uuid=row.uuid,
            kind=AlertKind(row.kind),
            application_id=row.application_id,
            incident_id=row.incident_id,
            status=DeliveryStatus(row.status),
            attempts=row.attempt,
            next_attempt_at=row.due_at,
            finished_at=row.finished_at,
            last_error=row.last_error,
            created_at=row.created_at,
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class NewAlert:
    """An alert to store, and the channels that it goes to."""

    project_id: int
    alert: Alert
    channel_ids: Sequence[int]


def subscribed_channels(
    connection: Connection, application_ids: Sequence[int]
) -> dict[int, list[int]]:
    """Return the active channels of those of these applications that have any."""
    found: dict[int, list[int]] = {}
    for row in connection.execute(
        select(subscriptions.c.application_id, channels.c.id)
        .join(channels, channels.c.id == subscriptions.c.channel_id)
        .where(subscriptions.c.application_id.in_(application_ids), channels.c.is_active)
        .order_by(subscriptions.c.application_id, channels.c.id)
    ):
        found.setdefault(row.application_id, []).append(row.id)
    return found


def add(
    connection: Connection,
    *,
    project_id: int,
    alert: Alert,
    channel_ids: Sequence[int],
    due_at: datetime | None = None,
) -> list[int]:
    """Store an alert and a pending delivery per channel; return the deliveries' ids.

    They are due at `due_at`, by default when the alert was decided.
    """
    return add_many(connection, [NewAlert(project_id, alert, channel_ids)], due_at=due_at)


def add_many(
    connection: Connection, new: Sequence[NewAlert], *, due_at: datetime | None = None
) -> list[int]:
    """Store alerts, each with a pending delivery per channel; return the deliveries' ids in order."""
    if not new:
        return []
    alert_ids = connection.execute(
        insert(alerts).returning(alerts.c.id, sort_by_parameter_order=True),
        [
            {
                "project_id": one.project_id,
                "kind": one.alert.kind.value,
                "application_id": _application_id(one.alert),
                "incident_id": one.alert.incident.id if one.alert.incident else None,
                "snapshot": one.alert.as_json(),
                "created_at": one.alert.created_at,
            }
            for one in new
        ],
    ).scalars()
    rows = [
        {
            "uuid": uuid4(),
            "alert_id": alert_id,
            "channel_id": channel_id,
            "application_id": _application_id(one.alert),
            "status": DeliveryStatus.PENDING.value,
            "attempt": 0,
            "due_at": due_at or one.alert.created_at,
            "created_at": one.alert.created_at,
        }
        for alert_id, one in zip(alert_ids, new, strict=True)
        for channel_id in one.channel_ids
    ]
    if not rows:
        return []
    return list(
        connection.execute(
            insert(deliveries).returning(deliveries.c.id, sort_by_parameter_order=True), rows
        ).scalars()
    )


def _application_id(alert: Alert) -> int | None:
    return alert.application.id if alert.application else None


def due(
    connection: Connection,
    *,
    now: datetime,
    most: int,
    per_channel: int,
    full_channels: Collection[int] = (),
) -> list[tuple[int, int]]:
    """Return (delivery id, channel id) of up to `most` due deliveries, oldest first.

    At most `per_channel` of one channel, so that its backlog hides nobody else's; none of
    `full_channels`. An alert of an application waits for an earlier one to the same channel that is
    under way: `up` must not overtake `down`.
    """
    earlier = deliveries.alias("earlier")
    overtaking = exists().where(
        earlier.c.channel_id == deliveries.c.channel_id,
        earlier.c.application_id == deliveries.c.application_id,
        earlier.c.id < deliveries.c.id,
        earlier.c.status == DeliveryStatus.PENDING.value,
        earlier.c.leased_until > now,
    )
    ranked = (
        select(
            deliveries.c.id,
            deliveries.c.channel_id,
            func.row_number()
            .over(partition_by=deliveries.c.channel_id, order_by=deliveries.c.id)
            .label("place"),
        )
        .where(
            deliveries.c.status == DeliveryStatus.PENDING.value,
            deliveries.c.due_at <= now,
            deliveries.c.channel_id.not_in(full_channels),
            ~overtaking,
        )
        .subquery()
    )
    rows = connection.execute(
        select(ranked.c.id, ranked.c.channel_id)
        .where(ranked.c.place <= per_channel)
        .order_by(ranked.c.id)
        .limit(most)
    )
    return [(row.id, row.channel_id) for row in rows]


def lease(
    connection: Connection, ids: Sequence[int], *, now: datetime, until: datetime
) -> list[Claimed]:
    """Lease those of these deliveries that no other node has taken meanwhile, and return them."""
    mine = list(
        connection.execute(
            select(deliveries.c.id)
            .where(
                deliveries.c.id.in_(ids),
                deliveries.c.status == DeliveryStatus.PENDING.value,
                deliveries.c.due_at <= now,
            )
            .order_by(deliveries.c.id)
            .with_for_update(skip_locked=True)
        ).scalars()
    )
    if not mine:
        return []
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(mine))
        .values(
            attempt=deliveries.c.attempt + 1,
            due_at=until,
            leased_until=until,
            first_attempt_at=func.coalesce(
                deliveries.c.first_attempt_at, literal(now, deliveries.c.first_attempt_at.type)
            ),
        )
    )
    return [
        _claimed(row, now) for row in connection.execute(_WITH_ALL.where(deliveries.c.id.in_(mine)))
    ]


_WITH_ALL = (
    select(
        deliveries,
        alerts.c.snapshot,
        channels.c.type.label("channel_type"),
        channels.c.is_active.label("channel_is_active"),
        channels.c.config.label("sealed_config"),
        applications.c.id.is_not(None).label("application_exists"),
        and_(incidents.c.id.is_not(None), incidents.c.closed_at.is_(None)).label("incident_open"),
    )
    .join_from(deliveries, alerts, alerts.c.id == deliveries.c.alert_id)
    .join(channels, channels.c.id == deliveries.c.channel_id)
    .outerjoin(applications, applications.c.id == deliveries.c.application_id)
    .outerjoin(incidents, incidents.c.id == alerts.c.incident_id)
    .order_by(deliveries.c.id)
)


def earliest_due(connection: Connection) -> datetime | None:
    """Return when the next pending delivery is due; None when there is none."""
    return connection.execute(
        select(func.min(deliveries.c.due_at)).where(
            deliveries.c.status == DeliveryStatus.PENDING.value
        )
    ).scalar()


def mark(
    connection: Connection,
    claimed: Claimed,
    *,
    status: DeliveryStatus,
    now: datetime,
    due_at: datetime | None = None,
    error: str | None = None,
) -> bool:
    """Record where a claimed delivery stands; False when its lease has passed to another attempt."""
    updated = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.id == claimed.id,
            deliveries.c.attempt == claimed.attempt,
            deliveries.c.status == DeliveryStatus.PENDING.value,
        )
        .values(
            status=status.value,
            due_at=due_at,
            leased_until=None,
            finished_at=None if status is DeliveryStatus.PENDING else now,
            last_error=error,
        )
    )
    # 0 rows: another node holds a newer lease, and its outcome is the one that counts.
    return updated.rowcount == 1


def add_attempt(
    connection: Connection,
    claimed: Claimed,
    *,
    started_at: datetime,
    finished_at: datetime,
    outcome: str,
    detail: str,
) -> None:
    """Store what came of one attempt."""
    connection.execute(
        insert(delivery_attempts).values(
            delivery_id=claimed.id,
            attempt=claimed.attempt,
            started_at=started_at,
            finished_at=finished_at,
            outcome=outcome,
            detail=detail,
        )
    )


def release(connection: Connection, claimed: Claimed, *, now: datetime) -> None:
    """Give a claimed delivery back unsent, due at once; the attempt does not count."""
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == claimed.id, deliveries.c.attempt == claimed.attempt)
        .values(due_at=now, leased_until=None)
    )


def delete_alerts_older_than(connection: Connection, moment: datetime, *, most: int) -> int:
    """Delete up to `most` alerts from before `moment` that wait for no delivery, with their attempts."""
    waiting = exists().where(
        deliveries.c.alert_id == alerts.c.id,
        deliveries.c.status == DeliveryStatus.PENDING.value,
    )
    oldest = (
        select(alerts.c.id)
        .where(alerts.c.created_at < moment, ~waiting)
        .order_by(alerts.c.created_at)
        .limit(most)
    )
    return connection.execute(
        delete(alerts).where(alerts.c.id.in_(oldest.scalar_subquery()))
    ).rowcount


def _claimed(row: Row[Any], now: datetime) -> Claimed:
    return Claimed(
        id=row.id,
        uuid=row.uuid,
        attempt=row.attempt,
        alert=Alert.from_json(row.snapshot),
        channel_id=row.channel_id,
        channel_type=row.channel_type,
        channel_is_active=row.channel_is_active,
        sealed_config=row.sealed_config,
        application_id=row.application_id,
        application_exists=bool(row.application_exists),
        incident_open=bool(row.incident_open),
        first_attempt_at=row.first_attempt_at or now,
    )
