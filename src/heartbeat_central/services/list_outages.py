"""Outages with their applications as they are now, for the list of a digest."""

from collections.abc import Collection
from datetime import datetime

from heartbeat_central.domain.digest import ListedApplication
from heartbeat_central.domain.incident import Incident
from heartbeat_central.services.listed import listed
from heartbeat_central.storage import applications, incidents, states
from heartbeat_central.storage.engine import Connection

AT_ONCE = 1000
"""Outages that one statement loads."""


def list_outages(
    connection: Connection, incident_ids: Collection[int], *, now: datetime, base_url: str
) -> dict[int, tuple[ListedApplication, Incident]]:
    """Return these outages by their ids; those of deleted applications lack."""
    ids = sorted(incident_ids)
    found: dict[int, tuple[ListedApplication, Incident]] = {}
    for start in range(0, len(ids), AT_ONCE):
        outages = incidents.load_many(connection, ids[start : start + AT_ONCE])
        application_ids = sorted({incident.application_id for incident in outages})
        loaded = applications.load_many(connection, application_ids)
        hot = states.load_many(connection, application_ids)
        for incident in outages:
            application = loaded.get(incident.application_id)
            if application is not None and application.id in hot:
                one = listed(application, hot[application.id], now=now, base_url=base_url)
                found[incident.id] = (one, incident)
    return found
