"""How many there are, over all projects."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from heartbeat_central.domain.state import Status
from heartbeat_central.storage.tables import application_states, deliveries, incidents
from heartbeat_central.storage.tables import applications as all_applications


def applications(connection: Connection) -> dict[str, int]:
    """Return the applications by stored status, every status named."""
    rows = connection.execute(
        select(application_states.c.status, func.count()).group_by(application_states.c.status)
    )
    return {**{status.value: 0 for status in Status}, **dict(rows.all())}


def unreadable_applications(connection: Connection) -> int:
    """Return how many applications have a problem: a look at the index of those few."""
    query = select(func.count()).where(all_applications.c.problem.is_not(None))
    return connection.execute(query).scalar_one()


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


@dataclass(frozen=True, slots=True)
class Oldest:
    """Of the deliveries that wait, when the first was made and the first is due; None: none waits."""

    created_at: datetime | None
    due_at: datetime | None


def oldest_pending(connection: Connection) -> Oldest:
    """Return the oldest of the deliveries that wait: a look at the few that do."""
    query = select(func.min(deliveries.c.created_at), func.min(deliveries.c.due_at)).where(
        deliveries.c.status == "pending"
    )
    created_at, due_at = connection.execute(query).one()
    return Oldest(created_at, due_at)
