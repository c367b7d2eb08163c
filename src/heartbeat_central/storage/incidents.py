"""Outages. A partial unique index allows one open incident per application."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, tuple_

from heartbeat_central.domain.errors import NotFound
from heartbeat_central.domain.incident import Incident, Reason
from heartbeat_central.storage import careful
from heartbeat_central.storage.among import among
from heartbeat_central.storage.decoding import FIRST
from heartbeat_central.storage.keys import reserve
from heartbeat_central.storage.rows import insert_rows, update_rows
from heartbeat_central.storage.tables import incidents


@dataclass(frozen=True, slots=True, kw_only=True)
class NewIncident:
    """An outage to store."""

    project_id: int
    application_id: int
    reason: Reason
    exit_status: int | None
    opened_at: datetime
    last_heartbeat_at: datetime | None


def open_many(connection: Connection, new: Sequence[NewIncident]) -> list[Incident]:
    """Store new open incidents, of an application each, and return them in order."""
    if not new:
        return []
    opened = [
        Incident(
            id=incident_id,
            application_id=one.application_id,
            reason=one.reason,
            exit_status=one.exit_status,
            opened_at=one.opened_at,
            last_heartbeat_at=one.last_heartbeat_at,
        )
        for incident_id, one in zip(reserve(connection, incidents, len(new)), new, strict=True)
    ]
    insert_rows(
        connection,
        incidents,
        [
            {
                "id": incident.id,
                "project_id": one.project_id,
                "application_id": incident.application_id,
                "reason": incident.reason.value,
                "exit_status": incident.exit_status,
                "opened_at": incident.opened_at,
                "last_heartbeat_at": incident.last_heartbeat_at,
            }
            for incident, one in zip(opened, new, strict=True)
        ],
    )
    return opened


def close_open(connection: Connection, application_id: int, at: datetime) -> None:
    """Close the open incident of an application, if there is one."""
    close_many(connection, {application_id: at})


def close_many(connection: Connection, moments: Mapping[int, datetime]) -> list[Incident]:
    """Close the open incidents of applications, given by id with the moment; return those there were."""
    if not moments:
        return []
    query = (
        select(incidents)
        .where(
            among(connection, incidents.c.application_id, moments), incidents.c.closed_at.is_(None)
        )
        .order_by(incidents.c.id)
        .with_for_update()
    )
    opened = map(_incident, careful.rows(connection, query, incidents.c.id))
    # A heartbeat that waited in the queue may be older than the outage it ends.
    closed = [
        replace(one, closed_at=max(moments[one.application_id], one.opened_at)) for one in opened
    ]
    if closed:
        update_rows(
            connection,
            incidents,
            "id",
            [{"id": incident.id, "closed_at": incident.closed_at} for incident in closed],
        )
    return closed


def load_many(connection: Connection, incident_ids: Sequence[int]) -> list[Incident]:
    """Return those of these incidents that there are, in any order."""
    query = select(incidents).where(among(connection, incidents.c.id, incident_ids))
    return [_incident(row) for row in careful.rows(connection, query, incidents.c.id)]


def open_of(connection: Connection, application_ids: Sequence[int]) -> dict[int, Incident]:
    """Return the open incidents of these applications, by application."""
    query = select(incidents).where(
        among(connection, incidents.c.application_id, application_ids),
        incidents.c.closed_at.is_(None),
    )
    rows = careful.rows(connection, query, incidents.c.id)
    return {row.application_id: _incident(row) for row in rows}


def find(connection: Connection, project_id: int, incident_id: int) -> Incident:
    """Return the project's incident with this id. Raises NotFound."""
    query = select(incidents).where(
        incidents.c.project_id == project_id, incidents.c.id == incident_id
    )
    for row in careful.rows(connection, query, incidents.c.id):
        return _incident(row)
    raise NotFound("there is no such incident")


def newest_id(connection: Connection) -> int | None:
    """Return the highest id there is, over all projects."""
    return connection.execute(select(func.max(incidents.c.id))).scalar()


def page(
    connection: Connection,
    project_id: int,
    *,
    application_id: int | None = None,
    open_only: bool = False,
    limit: int,
    before: tuple[datetime, int] | None = None,
) -> list[Incident]:
    """Return up to `limit` incidents, newest first; `before` is (opened_at, id) of the last seen.

    Those that began at no time which can be read are left out: there is no place for them.
    """
    # One of the two: with both, a database may walk through all of the project's.
    query = select(incidents).where(
        incidents.c.project_id == project_id
        if application_id is None
        else incidents.c.application_id == application_id,
        careful.is_readable(incidents.c.opened_at),
    )
    if open_only:
        query = query.where(incidents.c.closed_at.is_(None))
    if before is not None:
        query = query.where(
            tuple_(incidents.c.opened_at, incidents.c.id)
            < tuple_(*before, types=(incidents.c.opened_at.type, incidents.c.id.type))
        )
    query = query.order_by(incidents.c.opened_at.desc(), incidents.c.id.desc()).limit(limit)
    return [_incident(row) for row in careful.rows(connection, query, incidents.c.id)]


def _reason(stored: str) -> Reason:
    try:
        return Reason(stored)
    except ValueError:
        # Whatever it was, the outage was one; it must end and be shown like any other.
        return Reason.MISSED


def _incident(row: Any) -> Incident:
    # Whatever time can't be read: the outage was one, and must end and be told like any other.
    opened_at = row.opened_at or row.last_heartbeat_at or FIRST
    unreadable = row.unreadable if isinstance(row, careful.Damaged) else ()
    return Incident(
        id=row.id,
        application_id=row.application_id,
        reason=_reason(row.reason),
        exit_status=row.exit_status,
        opened_at=opened_at,
        closed_at=opened_at if "closed_at" in unreadable else row.closed_at,
        last_heartbeat_at=row.last_heartbeat_at,
    )
