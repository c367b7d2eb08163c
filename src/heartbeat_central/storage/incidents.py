"""Outages. A partial unique index allows one open incident per application."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from heartbeat_central.domain.incident import Incident, Reason
from heartbeat_central.storage.tables import incidents


def open_incident(
    connection: Connection,
    *,
    project_id: int,
    application_id: int,
    reason: Reason,
    exit_status: int | None,
    opened_at: datetime,
    last_heartbeat_at: datetime | None,
) -> Incident:
    """Store and return a new open incident."""
    row = connection.execute(
        insert(incidents)
        .values(
            project_id=project_id,
            application_id=application_id,
            reason=reason.value,
            exit_status=exit_status,
            opened_at=opened_at,
            last_heartbeat_at=last_heartbeat_at,
        )
        .returning(incidents)
    ).one()
    return to_incident(row)


def close_open(connection: Connection, application_id: int, at: datetime) -> Incident | None:
    """Close the open incident of an application and return it; None when there is none."""
    row = connection.execute(
        select(incidents)
        .where(incidents.c.application_id == application_id, incidents.c.closed_at.is_(None))
        .with_for_update()
    ).one_or_none()
    if row is None:
        return None
    # A heartbeat that waited in the queue may be older than the outage it ends.
    closed_at = max(at, row.opened_at)
    connection.execute(
        update(incidents).where(incidents.c.id == row.id).values(closed_at=closed_at)
    )
    return to_incident(row, closed_at=closed_at)


def to_incident(row: Row[Any], *, closed_at: datetime | None = None) -> Incident:
    """Return the incident of a row; `closed_at` replaces the row's."""
    return Incident(
        id=row.id,
        application_id=row.application_id,
        reason=Reason(row.reason),
        exit_status=row.exit_status,
        opened_at=row.opened_at,
        closed_at=closed_at or row.closed_at,
        last_heartbeat_at=row.last_heartbeat_at,
    )
