"""Outages. A partial unique index allows one open incident per application."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, tuple_, update

from heartbeat_central.domain.errors import NotFound
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


def find(connection: Connection, project_id: int, incident_id: int) -> Incident:
    """Return the project's incident with this id. Raises NotFound."""
    row = connection.execute(
        select(incidents).where(incidents.c.project_id == project_id, incidents.c.id == incident_id)
    ).one_or_none()
    if row is None:
        raise NotFound("there is no such incident")
    return to_incident(row)


def page(
    connection: Connection,
    project_id: int,
    *,
    application_id: int | None = None,
    open_only: bool = False,
    limit: int,
    before: tuple[datetime, int] | None = None,
) -> list[Incident]:
    """Return up to `limit` incidents, newest first; `before` is (opened_at, id) of the last seen."""
    query = select(incidents).where(incidents.c.project_id == project_id)
    if application_id is not None:
        query = query.where(incidents.c.application_id == application_id)
    if open_only:
        query = query.where(incidents.c.closed_at.is_(None))
    if before is not None:
        query = query.where(
            tuple_(incidents.c.opened_at, incidents.c.id)
            < tuple_(*before, types=(incidents.c.opened_at.type, incidents.c.id.type))
        )
    query = query.order_by(incidents.c.opened_at.desc(), incidents.c.id.desc()).limit(limit)
    return [to_incident(row) for row in connection.execute(query)]


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
