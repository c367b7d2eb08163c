"""The services on one database, and all that there is to see of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select

from heartbeat_central.alerts.registry import build_registry
from heartbeat_central.services.list_applications import list_applications
from heartbeat_central.storage import tables
from heartbeat_central.storage.engine import Database
from tests.faults import recording_plugin
from tests.support.world import BASE_URL, START, World

INCIDENTS = select(tables.incidents).order_by(tables.incidents.c.id)
STORED = select(tables.heartbeats.c.application_id, func.count()).group_by(
    tables.heartbeats.c.application_id
)
STATUSES = select(tables.deliveries.c.id, tables.deliveries.c.status)
DELIVERIES = (
    select(
        tables.deliveries.c.id,
        tables.deliveries.c.uuid,
        tables.deliveries.c.status,
        tables.deliveries.c.application_id,
        tables.deliveries.c.channel_id,
        tables.alerts.c.kind,
        tables.alerts.c.incident_id,
    )
    .join_from(tables.deliveries, tables.alerts)
    .order_by(tables.deliveries.c.id)
)


def outage(row: Any) -> tuple[Any, ...]:
    """Return what there is to see of an outage."""
    opened, closed = milliseconds(row.opened_at), milliseconds(row.closed_at)
    return row.reason, opened, closed, row.exit_status


def milliseconds(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    whole, rest = divmod(moment - START, timedelta(milliseconds=1))
    assert not rest, moment
    return whole


@dataclass(frozen=True)
class Seen:
    """What there is to see at one moment."""

    applications: dict[str, tuple[Any, ...]]
    """By name: status, last heartbeat, next expected, deadline, stored heartbeats, outages."""
    incidents: Sequence[Any]
    """The rows of all outages, as they opened."""
    deliveries: Sequence[Any]
    """The rows of all deliveries, as they were added."""


class Subject:
    """Used for one run after another."""

    def __init__(self, database: Database) -> None:
        self.world = World(database)
        self.world.registry = build_registry([recording_plugin.ENTRY_POINT])
        plugin = self.world.registry.get("recorder")
        assert isinstance(plugin, recording_plugin.RecordingPlugin)
        self.plugin = plugin
        self.channels = [self.world.channel("recorder", {}, name) for name in ("ops", "dev")]

    def clear(self) -> None:
        """Forget everything but the project and its channels."""
        self.plugin.told.clear()
        with self.world.database.write() as connection:
            for table in (
                tables.deliveries,
                tables.alerts,
                tables.applications,
                tables.blind_windows,
                tables.nodes,
                tables.heartbeats,
            ):
                connection.execute(delete(table))

    def look(self, now: datetime) -> Seen:
        """Return what there is to see at `now`."""
        database = self.world.database
        views = list_applications(database, self.world.project_id, now=now, base_url=BASE_URL)
        with database.read() as connection:
            incidents = connection.execute(INCIDENTS).all()
            stored = {row.application_id: row.count for row in connection.execute(STORED)}
            deliveries = connection.execute(DELIVERIES).all()
        applications = {
            view.name: (
                view.status.value,
                milliseconds(view.last_heartbeat),
                milliseconds(view.next_expected),
                milliseconds(view.deadline),
                stored.get(view.id, 0),
                [outage(row) for row in incidents if row.application_id == view.id],
            )
            for view in views
        }
        return Seen(applications, incidents, deliveries)

    def statuses(self) -> dict[int, str]:
        """Return the status of each delivery by its id."""
        with self.world.database.read() as connection:
            return {row.id: row.status for row in connection.execute(STATUSES)}
