"""The outbox: alerts, and one delivery per alert and channel, with its attempts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    select,
)

from heartbeat_central.domain.alert import Alert, AlertKind
from heartbeat_central.domain.errors import NotFound
from heartbeat_central.domain.moment import isoformat
from heartbeat_central.storage import careful
from heartbeat_central.storage.among import among
from heartbeat_central.storage.decoding import FIRST
from heartbeat_central.storage.keys import reserve
from heartbeat_central.storage.rows import insert_rows
from heartbeat_central.storage.tables import (
    alerts,
    applications,
    channels,
    deliveries,
    delivery_attempts,
    subscriptions,
)

_Name = TypeVar("_Name", bound=StrEnum)


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up; shown, never dropped."""
    CANCELLED = "cancelled"
    """Overtaken by events before it was sent; `last_error` says which."""
    MERGED = "merged"
    """Only shown, stored as cancelled: a digest took its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A delivery as people look at it."""

    id: int
    uuid: UUID
    kind: AlertKind
    channel_id: int
    channel_name: str
    application_id: int | None
    application_name: str | None
    """What it is called now; None when it is deleted, and for what is about no one application."""
    title: str | None
    """Of a digest."""
    incident_id: int | None
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime | None
    finished_at: datetime | None
    last_error: str | None
    merged_into: int | None
    """The id of the digest's delivery that took its place."""
    created_at: datetime

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values, times as RFC 3339 text."""
        return {
            "id": self.id,
            "delivery_id": str(self.uuid),
            "event": self.kind.value,
            "channel_id": self.channel_id,
            "application_id": self.application_id,
            "incident_id": self.incident_id,
            "status": self.status.value,
            "attempts": self.attempts,
            "next_attempt_at": isoformat(self.next_attempt_at),
            "finished_at": isoformat(self.finished_at),
            "last_error": self.last_error,
            "merged_into": self.merged_into,
            "created_at": isoformat(self.created_at),
        }


def page(
    connection: Connection,
    project_id: int,
    *,
    channel_id: int | None = None,
    status: DeliveryStatus | None = None,
    with_tests: bool = True,
    limit: int,
    before_id: int | None = None,
) -> list[Delivery]:
    """Return up to `limit` deliveries, newest first, with ids below `before_id`.

    Of the whole project, or of one channel of it; with any status, or with this one as it is shown.
    """
    query = _SHOWN.where(channels.c.project_id == project_id)
    if channel_id is not None:
        query = query.where(deliveries.c.channel_id == channel_id)
    if status is not None:
        query = query.where(_is_shown_as(status))
    if not with_tests:
        query = query.where(alerts.c.kind != AlertKind.TEST.value)
    if before_id is not None:
        query = query.where(deliveries.c.id < before_id)
    rows = careful.rows(
        connection, query.order_by(deliveries.c.id.desc()).limit(limit), deliveries.c.id
    )
    return [_delivery(row) for row in rows]


def find(
    connection: Connection,
    project_id: int,
    channel_id: int,
    delivery_id: int,
    *,
    lock: bool = False,
) -> Delivery:
    """Return a delivery of that channel of the project; locked on demand. Raises NotFound."""
    query = _SHOWN.where(
        channels.c.project_id == project_id,
        deliveries.c.channel_id == channel_id,
        deliveries.c.id == delivery_id,
    )
    if lock:
        query = query.with_for_update(of=deliveries)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound("there is no such delivery")
    return _delivery(row)


_SHOWN = (
    select(
        deliveries,
        alerts.c.kind,
        alerts.c.incident_id,
        applications.c.name,
        channels.c.name.label("channel_name"),
        alerts.c.snapshot[("digest", "title")].as_string().label("title"),
    )
    .join_from(deliveries, alerts, alerts.c.id == deliveries.c.alert_id)
    .join(channels, channels.c.id == deliveries.c.channel_id)
    .outerjoin(applications, applications.c.id == deliveries.c.application_id)
)


def _is_shown_as(status: DeliveryStatus) -> ColumnElement[bool]:
    if status is DeliveryStatus.MERGED:
        return deliveries.c.merged_into.is_not(None)
    stored = deliveries.c.status == status.value
    if status is DeliveryStatus.CANCELLED:
        return and_(stored, deliveries.c.merged_into.is_(None))
    return stored


def last_attempt(connection: Connection) -> tuple[int, datetime] | None:
    """Return what differs once a delivery of any project was attempted again."""
    # With its time: when a channel is deleted, SQLite gives the ids of its last attempts again.
    newest = select(delivery_attempts.c.id, delivery_attempts.c.finished_at)
    row = connection.execute(newest.order_by(delivery_attempts.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else (row.id, row.finished_at)


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
        .where(
            among(connection, subscriptions.c.application_id, application_ids), channels.c.is_active
        )
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
    alert_ids = reserve(connection, alerts, len(new))
    insert_rows(
        connection,
        alerts,
        [
            {
                "id": alert_id,
                "project_id": one.project_id,
                "kind": one.alert.kind.value,
                "application_id": _application_id(one.alert),
                "incident_id": one.alert.incident.id if one.alert.incident else None,
                "snapshot": one.alert.as_json(),
                "created_at": one.alert.created_at,
            }
            for alert_id, one in zip(alert_ids, new, strict=True)
        ],
    )
    wanted = [
        (alert_id, one.alert, channel_id)
        for alert_id, one in zip(alert_ids, new, strict=True)
        for channel_id in one.channel_ids
    ]
    if not wanted:
        return []
    ids = reserve(connection, deliveries, len(wanted))
    insert_rows(
        connection,
        deliveries,
        [
            {
                "id": delivery_id,
                "uuid": uuid4(),
                "alert_id": alert_id,
                "channel_id": channel_id,
                "application_id": _application_id(alert),
                "status": DeliveryStatus.PENDING.value,
                "attempt": 0,
                "due_at": due_at or alert.created_at,
                "created_at": alert.created_at,
            }
            for delivery_id, (alert_id, alert, channel_id) in zip(ids, wanted, strict=True)
        ],
    )
    return ids


def _application_id(alert: Alert) -> int | None:
    return alert.application.id if alert.application else None


def _delivery(row: Any) -> Delivery:
    status = _known(DeliveryStatus, row.status, DeliveryStatus.DEAD)
    # Held for a digest: that is what comes next, not an attempt of its own.
    is_held = row.storm_id is not None and row.attempt == 0 and row.last_error is not None
    return Delivery(
        id=row.id,
        uuid=row.uuid,
        kind=_known(AlertKind, row.kind, AlertKind.DIGEST),
        channel_id=row.channel_id,
        channel_name=row.channel_name,
        application_id=row.application_id,
        application_name=row.name,
        title=row.title,
        incident_id=row.incident_id,
        status=status if row.merged_into is None else DeliveryStatus.MERGED,
        attempts=row.attempt,
        next_attempt_at=None if is_held else row.due_at,
        finished_at=row.finished_at,
        last_error=row.last_error,
        merged_into=row.merged_into,
        created_at=row.created_at or FIRST,
    )


def _known(names: type[_Name], stored: Any, otherwise: _Name) -> _Name:
    """Return what a stored word names. One that is unknown is sent by nobody, and shown as given up."""
    try:
        return names(stored)
    except ValueError:
        return otherwise
