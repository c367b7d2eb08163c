"""Reads what has happened: heartbeats, incidents and deliveries, newest first, page by page."""

from datetime import datetime
from typing import Any
from uuid import UUID

from heartbeat_central.domain.incident import Incident
from heartbeat_central.domain.moment import isoformat
from heartbeat_central.storage import (
    applications,
    channels,
    dead_letters,
    heartbeats,
    incidents,
    outbox,
)
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.heartbeats import Heartbeat
from heartbeat_central.storage.outbox import Delivery, DeliveryStatus

Position = tuple[datetime, int]
"""Where a page ends: the time and the id of its last row."""


def heartbeats_page(
    database: Database,
    project_id: int,
    ref: int | UUID,
    *,
    limit: int,
    before: Position | None = None,
) -> list[Heartbeat]:
    """Return an application's signals. Raises NotFound."""
    with database.read() as connection:
        application = applications.find(connection, project_id, ref)
        return heartbeats.page(connection, application.id, limit=limit, before=before)


def incidents_page(
    database: Database,
    project_id: int,
    *,
    ref: int | UUID | None = None,
    open_only: bool = False,
    limit: int,
    before: Position | None = None,
) -> list[Incident]:
    """Return a project's incidents, or one application's. Raises NotFound."""
    with database.read() as connection:
        application_id = None
        if ref is not None:
            application_id = applications.find(connection, project_id, ref).id
        return incidents.page(
            connection,
            project_id,
            application_id=application_id,
            open_only=open_only,
            limit=limit,
            before=before,
        )


def get_incident(database: Database, project_id: int, incident_id: int) -> Incident:
    """Return one incident. Raises NotFound."""
    with database.read() as connection:
        return incidents.find(connection, project_id, incident_id)


def deliveries_page(
    database: Database,
    project_id: int,
    channel_id: int,
    *,
    status: DeliveryStatus | None = None,
    limit: int,
    before_id: int | None = None,
) -> list[Delivery]:
    """Return a channel's deliveries. Raises NotFound."""
    with database.read() as connection:
        channels.find(connection, project_id, channel_id)
        return outbox.page(
            connection,
            project_id,
            channel_id=channel_id,
            status=status,
            limit=limit,
            before_id=before_id,
        )


def project_deliveries_page(
    database: Database,
    project_id: int,
    *,
    status: DeliveryStatus | None = None,
    with_tests: bool = True,
    limit: int,
    before_id: int | None = None,
) -> list[Delivery]:
    """Return the deliveries of all channels of a project, those of tests too unless you say no."""
    with database.read() as connection:
        return outbox.page(
            connection,
            project_id,
            status=status,
            with_tests=with_tests,
            limit=limit,
            before_id=before_id,
        )


def count_undelivered(database: Database, project_id: int, *, most: int) -> int:
    """Return how many alerts of a project did not arrive, of channels that have not worked since.

    Counts up to `most`.
    """
    with database.read() as connection:
        return dead_letters.count_unmended(connection, project_id, most=most)


def heartbeat_json(heartbeat: Heartbeat) -> dict[str, Any]:
    """Return the API's heartbeat. A body that is no UTF-8 is shown with replacement characters."""
    body = heartbeat.body
    return {
        "id": heartbeat.id,
        "kind": heartbeat.label,
        "received_at": isoformat(heartbeat.received_at),
        "exit_status": heartbeat.exit_status,
        "duration": None if heartbeat.duration is None else heartbeat.duration.total_seconds(),
        "rid": None if heartbeat.rid is None else str(heartbeat.rid),
        "method": heartbeat.method,
        "remote_address": heartbeat.remote_address,
        "user_agent": heartbeat.user_agent,
        "body": None if body is None else body.decode("utf-8", "replace"),
        "body_size": heartbeat.body_size,
    }
