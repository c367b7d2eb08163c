"""Channels: saved plugin configurations, encrypted, and how their last deliveries went."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from heartbeat_central.domain.errors import NotFound
from heartbeat_central.storage.tables import channels, deliveries, delivery_attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A stored channel; `sealed_config` is encrypted JSON."""

    id: int
    project_id: int
    name: str
    type: str
    sealed_config: str
    is_active: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Past:
    """How a channel's deliveries went."""

    last_delivery: datetime | None = None
    last_error: str | None = None


def add(
    connection: Connection,
    *,
    project_id: int,
    name: str,
    type_: str,
    sealed_config: str,
    is_active: bool,
    now: datetime,
) -> Channel:
    """Store and return a new channel."""
    row = connection.execute(
        insert(channels)
        .values(
            project_id=project_id,
            name=name,
            type=type_,
            config=sealed_config,
            is_active=is_active,
            created_at=now,
            updated_at=now,
        )
        .returning(channels)
    ).one()
    return _channel(row)


def find(
    connection: Connection, project_id: int, channel_id: int, *, lock: bool = False
) -> Channel:
    """Return the project's channel with this id; locked on demand. Raises NotFound."""
    query = select(channels).where(channels.c.project_id == project_id, channels.c.id == channel_id)
    if lock:
        # Deliveries to it may still be stored meanwhile.
        query = query.with_for_update(key_share=True)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound("there is no such channel")
    return _channel(row)


def page(
    connection: Connection, project_id: int, *, limit: int, before_id: int | None = None
) -> list[Channel]:
    """Return up to `limit` channels, newest first, with ids below `before_id`."""
    query = select(channels).where(channels.c.project_id == project_id)
    if before_id is not None:
        query = query.where(channels.c.id < before_id)
    rows = connection.execute(query.order_by(channels.c.id.desc()).limit(limit))
    return [_channel(row) for row in rows]


def save(
    connection: Connection,
    channel_id: int,
    *,
    name: str,
    sealed_config: str,
    is_active: bool,
    now: datetime,
) -> None:
    """Store a changed channel."""
    connection.execute(
        update(channels)
        .where(channels.c.id == channel_id)
        .values(name=name, config=sealed_config, is_active=is_active, updated_at=now)
    )


def remove(connection: Connection, channel_id: int) -> None:
    """Delete a channel with its subscriptions and deliveries."""
    connection.execute(delete(channels).where(channels.c.id == channel_id))


def pasts(connection: Connection, channel_ids: Sequence[int]) -> dict[int, Past]:
    """Return how the deliveries of these channels went, by id."""
    delivered = dict(
        connection.execute(
            select(deliveries.c.channel_id, func.max(deliveries.c.finished_at))
            .where(deliveries.c.channel_id.in_(channel_ids), deliveries.c.status == "delivered")
            .group_by(deliveries.c.channel_id)
        ).all()
    )
    newest = (
        select(
            deliveries.c.channel_id,
            delivery_attempts.c.outcome,
            delivery_attempts.c.detail,
            func.row_number()
            .over(partition_by=deliveries.c.channel_id, order_by=delivery_attempts.c.id.desc())
            .label("place"),
        )
        .join(delivery_attempts, delivery_attempts.c.delivery_id == deliveries.c.id)
        .where(deliveries.c.channel_id.in_(channel_ids))
        .subquery()
    )
    failed = {
        row.channel_id: row.detail
        for row in connection.execute(select(newest).where(newest.c.place == 1))
        if row.outcome != "ok"
    }
    return {one: Past(delivered.get(one), failed.get(one)) for one in channel_ids}


def _channel(row: Row[Any]) -> Channel:
    return Channel(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        type=row.type,
        sealed_config=row.config,
        is_active=row.is_active,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
