"""Walks through the applications, for those that the detector would never come to by itself."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, or_, select

from heartbeat_central.domain.state import Status
from heartbeat_central.storage import careful
from heartbeat_central.storage.states import WATCHED, Watched, to_watched
from heartbeat_central.storage.tables import application_states as states
from heartbeat_central.storage.tables import applications

_AT_REST = (Status.DOWN.value, Status.PAUSED.value)


def page(
    connection: Connection, *, after_id: int, most: int, not_before: datetime | None
) -> list[Watched]:
    """Return up to `most` applications that await something, in the order of ids.

    `not_before`: those that the detector looks at earlier are left out.
    """
    query = WATCHED.where(states.c.application_id > after_id, states.c.status.not_in(_AT_REST))
    if not_before is not None:
        # On SQLite a text compares as later than any time.
        query = query.where(or_(states.c.check_at.is_(None), states.c.check_at > not_before))
    query = query.order_by(states.c.application_id).limit(most)
    return [to_watched(row) for row in careful.rows(connection, query, applications.c.id)]


def without_state(
    connection: Connection,
    *,
    uuids: Iterable[UUID] | None = None,
    most: int,
    lock: bool = False,
) -> list[int]:
    """Return up to `most` applications that have no state, of all or of these; locked on demand."""
    query = (
        select(applications.c.id)
        .outerjoin(states, states.c.application_id == applications.c.id)
        .where(states.c.application_id.is_(None))
        .order_by(applications.c.id)
        .limit(most)
    )
    if uuids is not None:
        query = query.where(applications.c.uuid.in_(list(uuids)))
    if lock:
        query = query.with_for_update(of=applications, key_share=True)
    return list(connection.execute(query).scalars())
