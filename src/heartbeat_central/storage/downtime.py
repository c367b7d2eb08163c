"""Outages, and how far each of them is in the rollups."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, func, literal, or_, select, update

from heartbeat_central.storage.decoding import FIRST
from heartbeat_central.storage.tables import INCIDENT_UNROLLED, incidents
from heartbeat_central.storage.types import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """What counting one needs."""

    id: int
    application_id: int
    opened_at: datetime
    closed_at: datetime | None
    rolled_until: datetime | None
    """Up to when the rollups hold it; None: not at all yet."""

    @property
    def counted_until(self) -> datetime:
        """Return up to when its downtime is counted."""
        return self.rolled_until or self.opened_at


_OUTAGE = select(
    incidents.c.id,
    incidents.c.application_id,
    incidents.c.opened_at,
    incidents.c.closed_at,
    incidents.c.rolled_until,
).where(INCIDENT_UNROLLED)


def unrolled(
    connection: Connection, *, until: datetime, after_id: int = 0, most: int
) -> list[Outage]:
    """Return up to `most` outages that the rollups don't hold to their end, or to `until` while open.

    Those with ids above `after_id`, in the order of their ids. What has no time that could be one of an
    outage is left alone.
    """
    latest = until + timedelta(days=1)
    sane = and_(
        incidents.c.opened_at.between(FIRST, latest),
        *(
            or_(one.is_(None), one.between(FIRST, latest))
            for one in (incidents.c.closed_at, incidents.c.rolled_until)
        ),
    )
    counted = func.coalesce(incidents.c.rolled_until, incidents.c.opened_at)
    query = (
        _OUTAGE.where(
            incidents.c.id > after_id,
            or_(incidents.c.closed_at.is_not(None), counted < until),
            sane,
        )
        .order_by(incidents.c.id)
        .limit(most)
    )
    return [Outage(**row) for row in connection.execute(query).mappings()]


def mark_rolled(connection: Connection, outage: Outage, *, until: datetime) -> bool:
    """Note how far an outage is counted; False when another process counted it meanwhile."""
    as_seen = incidents.c.rolled_until.is_not_distinct_from(literal(outage.rolled_until, Moment()))
    updated = connection.execute(
        update(incidents).where(incidents.c.id == outage.id, as_seen).values(rolled_until=until)
    )
    return updated.rowcount == 1
