"""How many there are, over all projects."""

from sqlalchemy import Connection, func, select

from heartbeat_central.domain.state import Status
from heartbeat_central.storage.tables import application_states, deliveries, incidents


def applications(connection: Connection) -> dict[str, int]:
    """Return the applications by stored status, every status named."""
    rows = connection.execute(
        select(application_states.c.status, func.count()).group_by(application_states.c.status)
    )
    return {**{status.value: 0 for status in Status}, **dict(rows.all())}


def unfinished_deliveries(connection: Connection) -> dict[str, int]:
    """Return the deliveries that wait, and those that were given up."""
    rows = connection.execute(
        select(deliveries.c.status, func.count())
        .where(deliveries.c.status.in_(("pending", "dead")))
        .group_by(deliveries.c.status)
    )
    return {"pending": 0, "dead": 0, **dict(rows.all())}


def open_incidents(connection: Connection) -> int:
    """Return the open incidents."""
    query = select(func.count()).where(incidents.c.closed_at.is_(None))
    return connection.execute(query).scalar_one()
