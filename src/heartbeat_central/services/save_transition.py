"""Turns a transition into its incident and its alerts, inside the caller's transaction."""

from datetime import datetime

from heartbeat_central.domain.alert import Alert, AlertKind
from heartbeat_central.domain.incident import Incident
from heartbeat_central.domain.state import Recovered, State, Stopped, Transition, WentDown
from heartbeat_central.domain.view import application_view
from heartbeat_central.storage import applications, incidents, outbox
from heartbeat_central.storage.engine import Connection


def save_transition(
    connection: Connection,
    *,
    application_id: int,
    project_id: int,
    before: State,
    after: State,
    transition: Transition,
    now: datetime,
    base_url: str,
) -> int:
    """Open or close the incident and add one delivery per subscribed channel; return how many.

    All in the transaction that stores the new status: an outage and its alerts exist together or
    not at all.
    """
    match transition:
        case WentDown():
            kind = AlertKind.DOWN
            incident: Incident | None = incidents.open_incident(
                connection,
                project_id=project_id,
                application_id=application_id,
                reason=transition.reason,
                exit_status=transition.exit_status,
                opened_at=transition.at,
                last_heartbeat_at=before.last_heartbeat_at,
            )
        case Recovered():
            kind = AlertKind.UP
            incident = incidents.close_open(connection, application_id, transition.at)
        case Stopped():
            incidents.close_open(connection, application_id, transition.at)
            return 0
    channel_ids = outbox.subscribed_channels(connection, application_id)
    if not channel_ids:
        return 0
    application = applications.load(connection, application_id)
    alert = Alert(
        kind=kind,
        application=application_view(application, after, now=now, base_url=base_url),
        incident=incident,
        dashboard_url=f"{base_url}/applications/{application_id}",
        created_at=now,
    )
    return len(outbox.add(connection, project_id=project_id, alert=alert, channel_ids=channel_ids))
