"""Deliveries that were given up: listed, tried again when a person asks, told by other channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection, exists, func, or_, select, update

from heartbeat_central.domain.alert import Alert, AlertKind
from heartbeat_central.domain.dead_letter import DeadLetter
from heartbeat_central.storage import careful
from heartbeat_central.storage.among import among
from heartbeat_central.storage.outbox import DeliveryStatus
from heartbeat_central.storage.tables import alerts, channels, deliveries

DEAD = DeliveryStatus.DEAD.value
log = structlog.get_logger(__name__)

_UNTOLD = deliveries.c.fallback_due.is_not(None)


@dataclass(frozen=True, slots=True)
class FailedChannel:
    """A channel with dead letters that the others have yet to tell of."""

    id: int
    project_id: int
    name: str


def failed_channels(connection: Connection, *, told_before: datetime) -> list[FailedChannel]:
    """Return the channels with untold dead letters that were last told of before then, locked.

    Those that another node has in hand are left to it.
    """
    waiting = select(deliveries.c.channel_id).where(_UNTOLD).distinct()
    rows = connection.execute(
        select(channels.c.id, channels.c.project_id, channels.c.name)
        .where(
            channels.c.id.in_(waiting),
            or_(channels.c.fallback_told_at.is_(None), channels.c.fallback_told_at <= told_before),
        )
        .order_by(channels.c.id)
        .with_for_update(key_share=True, skip_locked=True)
    )
    return [FailedChannel(row.id, row.project_id, row.name) for row in rows]


def is_any_untold(connection: Connection) -> bool:
    """Return whether any dead letter is untold: one look at an index that is mostly empty."""
    return (
        connection.execute(select(deliveries.c.channel_id).where(_UNTOLD).limit(1)).scalar()
        is not None
    )


def untold(
    connection: Connection, channel_id: int, *, most: int
) -> list[tuple[int, DeadLetter | None]]:
    """Return up to `most` dead letters of a channel, oldest first, each with its delivery's id.

    None stands for one whose alert can't be read any more: it is shown, and nothing can be told of it.
    """
    query = (
        select(deliveries.c.id, deliveries.c.last_error, alerts.c.snapshot)
        .join_from(deliveries, alerts, alerts.c.id == deliveries.c.alert_id)
        .where(deliveries.c.channel_id == channel_id, _UNTOLD)
        .order_by(deliveries.c.id)
        .limit(most)
    )
    return [(row.id, _letter(row)) for row in careful.rows(connection, query, deliveries.c.id)]


def _letter(row: Any) -> DeadLetter | None:
    try:
        return DeadLetter(alert=Alert.from_json(row.snapshot), reason=row.last_error or "unknown")
    except Exception:
        log.exception("alert_unreadable", delivery=row.id)
        return None


def other_channels(connection: Connection, channel: FailedChannel) -> list[int]:
    """Return the active channels of the project but for this one."""
    return list(
        connection.execute(
            select(channels.c.id)
            .where(
                channels.c.project_id == channel.project_id,
                channels.c.id != channel.id,
                channels.c.is_active,
            )
            .order_by(channels.c.id)
        ).scalars()
    )


def set_told(
    connection: Connection, channel: FailedChannel, delivery_ids: Sequence[int], *, now: datetime
) -> None:
    """Note that the other channels tell of these, or that there are none."""
    connection.execute(
        update(deliveries)
        .where(among(connection, deliveries.c.id, delivery_ids))
        .values(fallback_due=None)
    )
    connection.execute(
        update(channels).where(channels.c.id == channel.id).values(fallback_told_at=now)
    )


def revive(connection: Connection, delivery_id: int, *, now: datetime) -> None:
    """Let a dead delivery be tried again from `now` on, with a new budget."""
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id, deliveries.c.status == DEAD)
        .values(
            status=DeliveryStatus.PENDING.value,
            due_at=now,
            first_attempt_at=None,
            finished_at=None,
            fallback_due=None,
        )
    )


def count_unmended(connection: Connection, project_id: int, *, most: int) -> int:
    """Return how many deliveries of a project are dead, of channels that delivered nothing since.

    Counts up to `most`; tests of a channel are not counted, but one that arrives mends it.
    """
    later = deliveries.alias("later")
    mended = exists().where(
        later.c.channel_id == deliveries.c.channel_id,
        later.c.id > deliveries.c.id,
        later.c.status == DeliveryStatus.DELIVERED.value,
    )
    found = (
        select(deliveries.c.id)
        .join_from(deliveries, channels, channels.c.id == deliveries.c.channel_id)
        .join(alerts, alerts.c.id == deliveries.c.alert_id)
        .where(
            channels.c.project_id == project_id,
            deliveries.c.status == DEAD,
            alerts.c.kind != AlertKind.TEST.value,
            ~mended,
        )
        .limit(most)
        .subquery()
    )
    return connection.execute(select(func.count()).select_from(found)).scalar_one()
