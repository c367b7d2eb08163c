"""Deletes what is old row by row, a bounded number at once.

Heartbeats so on SQLite alone; PostgreSQL drops whole days: see partitions.py. Only what the rollups
hold goes, and never the newest of that: SQLite gives the next heartbeat the id after the highest one
that is there, and rollups rely on ids that rise.
"""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, or_, select

from heartbeat_central.storage import careful
from heartbeat_central.storage.outbox import DeliveryStatus
from heartbeat_central.storage.tables import alerts, deliveries, heartbeats


def delete_oldest(connection: Connection, moment: datetime, *, rolled_id: int, most: int) -> int:
    """Delete those of up to `most` ids from the lowest on that came before `moment`; return how many.

    Ids rise with time, so these are the oldest rows, side by side, and no index on the time is needed.
    There may be more as long as any goes: what imports and deletions left out makes it fewer.
    """
    lowest = select(func.min(heartbeats.c.id)).scalar_subquery()
    # What has no time that can be read would lie there for ever, and hide the rows behind it.
    no_time = and_(~careful.is_readable(heartbeats.c.received_at), heartbeats.c.id < rolled_id)
    return connection.execute(
        delete(heartbeats).where(
            heartbeats.c.id < lowest + most, or_(_may_go(moment, rolled_id), no_time)
        )
    ).rowcount


def applications_with_older(
    connection: Connection, moment: datetime, *, rolled_id: int
) -> list[int]:
    """Return the ids of the applications, deleted ones too, that have heartbeats from before `moment`.

    One look at the index for each. It finds what has a higher id than its age would give it: imported
    rows, or all that follows rows from a clock that was ahead.
    """
    everyone = select(func.min(heartbeats.c.application_id).label("id")).cte(
        "everyone", recursive=True
    )
    following = (
        select(func.min(heartbeats.c.application_id))
        .where(heartbeats.c.application_id > everyone.c.id)
        .scalar_subquery()
    )
    everyone = everyone.union_all(select(following).where(everyone.c.id.is_not(None)))
    old = exists().where(heartbeats.c.application_id == everyone.c.id, _may_go(moment, rolled_id))
    query = select(everyone.c.id).where(everyone.c.id.is_not(None), old)
    return list(connection.execute(query).scalars())


def delete_older_of(
    connection: Connection, application_id: int, moment: datetime, *, rolled_id: int, most: int
) -> int:
    """Delete up to `most` of an application's heartbeats from before `moment`; return how many."""
    old = (
        select(heartbeats.c.id)
        .where(heartbeats.c.application_id == application_id, _may_go(moment, rolled_id))
        .limit(most)
    )
    return connection.execute(
        delete(heartbeats).where(heartbeats.c.id.in_(old.scalar_subquery()))
    ).rowcount


def delete_deliveries(connection: Connection, moment: datetime, *, most: int) -> int:
    """Delete up to `most` deliveries of alerts from before `moment`, with their attempts.

    Those of an alert that still waits for one of them stay.
    """
    one = deliveries.alias("one")
    waiting = exists().where(
        one.c.alert_id == alerts.c.id, one.c.status == DeliveryStatus.PENDING.value
    )
    old = (
        select(deliveries.c.id)
        .join(alerts, alerts.c.id == deliveries.c.alert_id)
        .where(alerts.c.created_at < moment, ~waiting)
        .limit(most)
    )
    return connection.execute(
        delete(deliveries).where(deliveries.c.id.in_(old.scalar_subquery()))
    ).rowcount


def delete_alerts(connection: Connection, moment: datetime, *, most: int) -> int:
    """Delete up to `most` alerts from before `moment` that have no delivery left; return how many."""
    told = exists().where(deliveries.c.alert_id == alerts.c.id)
    old = select(alerts.c.id).where(alerts.c.created_at < moment, ~told).limit(most)
    return connection.execute(delete(alerts).where(alerts.c.id.in_(old.scalar_subquery()))).rowcount


def _may_go(moment: datetime, rolled_id: int) -> ColumnElement[bool]:
    return and_(heartbeats.c.received_at < moment, heartbeats.c.id < rolled_id)
