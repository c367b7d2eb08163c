"""Storms: recognising one, its row with the time of its next digest, and its incidents."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from heartbeat_central.domain.state import Status
from heartbeat_central.storage.among import among
from heartbeat_central.storage.tables import (
    application_states,
    applications,
    incidents,
    projects,
    storms,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """One storm, its row locked until the transaction ends."""

    id: int
    project_id: int
    began_at: datetime
    """None of its outages began before."""
    last_down_at: datetime
    """When its newest outage began."""
    held_since: datetime | None = None
    digest_at: datetime | None = None
    """When what is held is told; None when nothing is held."""
    doubted_at: datetime | None = None
    last_digest_at: datetime | None = None
    digests: int = 0
    """Without a pause between them."""


def lock_projects(connection: Connection, project_ids: Iterable[int]) -> None:
    """Let no other transaction judge storms of these projects until this one ends.

    So each sees the outages of the other. Everyone takes these locks in the order of the ids, after
    those on applications and before those on storms and deliveries.
    """
    connection.execute(
        select(projects.c.id)
        .where(among(connection, projects.c.id, project_ids))
        .order_by(projects.c.id)
        .with_for_update(key_share=True)
    ).all()


def latest(connection: Connection, project_id: int) -> Storm | None:
    """Return the newest storm of a project, locked; None when there never was one."""
    row = connection.execute(
        select(storms)
        .where(storms.c.project_id == project_id)
        .order_by(storms.c.id.desc())
        .limit(1)
        .with_for_update()
    ).one_or_none()
    return None if row is None else _storm(row)


def lock(connection: Connection, storm_id: int) -> Storm | None:
    """Return a storm, locked; None when it was deleted."""
    row = connection.execute(
        select(storms).where(storms.c.id == storm_id).with_for_update()
    ).one_or_none()
    return None if row is None else _storm(row)


def add(
    connection: Connection, project_id: int, *, began_at: datetime, last_down_at: datetime
) -> Storm:
    """Store and return a new storm."""
    row = connection.execute(
        insert(storms)
        .values(project_id=project_id, began_at=began_at, last_down_at=last_down_at, digests=0)
        .returning(storms)
    ).one()
    return _storm(row)


def save(connection: Connection, storm: Storm) -> None:
    """Store a changed storm."""
    connection.execute(
        update(storms)
        .where(storms.c.id == storm.id)
        .values(
            last_down_at=storm.last_down_at,
            held_since=storm.held_since,
            digest_at=storm.digest_at,
            doubted_at=storm.doubted_at,
            last_digest_at=storm.last_digest_at,
            digests=storm.digests,
        )
    )


def count_down(
    connection: Connection, project_id: int, *, after: datetime, until: datetime, most: int
) -> int:
    """Return how many applications of a project went down in that span, counting up to `most`."""
    found = (
        select(incidents.c.application_id)
        .where(
            incidents.c.project_id == project_id,
            incidents.c.opened_at > after,
            incidents.c.opened_at <= until,
        )
        .distinct()
        .limit(most)
        .subquery()
    )
    return connection.execute(select(func.count()).select_from(found)).scalar_one()


def count_watched(connection: Connection, project_id: int, *, most: int) -> int:
    """Return how many applications of a project are not paused, counting up to `most`."""
    found = (
        select(applications.c.id)
        .join(application_states, application_states.c.application_id == applications.c.id)
        .where(
            applications.c.project_id == project_id,
            application_states.c.status != Status.PAUSED.value,
        )
        .limit(most)
        .subquery()
    )
    return connection.execute(select(func.count()).select_from(found)).scalar_one()


def adopt(connection: Connection, storm: Storm, incident_ids: Sequence[int]) -> None:
    """Count these incidents to the storm, and those that began between its beginning and its newest.

    One that another transaction is just closing is left out: its recovery is told alone.
    """
    began = and_(
        incidents.c.project_id == storm.project_id,
        incidents.c.opened_at > storm.began_at,
        incidents.c.opened_at <= storm.last_down_at,
    )
    # Waiting for that transaction could end in a deadlock: it may want the lock on the project.
    free = connection.execute(
        select(incidents.c.id)
        .where(
            incidents.c.storm_id.is_(None),
            or_(began, among(connection, incidents.c.id, incident_ids)),
        )
        .order_by(incidents.c.id)
        .with_for_update(skip_locked=True)
    ).scalars()
    connection.execute(
        update(incidents).where(among(connection, incidents.c.id, free)).values(storm_id=storm.id)
    )


def storms_of(connection: Connection, incident_ids: Sequence[int]) -> dict[int, int]:
    """Return the storm of each of these incidents that began in one."""
    rows = connection.execute(
        select(incidents.c.id, incidents.c.storm_id).where(
            among(connection, incidents.c.id, incident_ids), incidents.c.storm_id.is_not(None)
        )
    )
    return {row.id: row.storm_id for row in rows}


def next_digest_at(connection: Connection) -> datetime | None:
    """Return when the next digest of a storm is due; None when nothing is held."""
    return connection.execute(
        select(func.min(storms.c.digest_at)).where(storms.c.digest_at.is_not(None))
    ).scalar()


def due(connection: Connection, now: datetime) -> list[int]:
    """Return the storms whose digest is due."""
    return list(
        connection.execute(
            select(storms.c.id).where(storms.c.digest_at <= now).order_by(storms.c.digest_at)
        ).scalars()
    )


def make_due(connection: Connection, now: datetime) -> None:
    """Have told now what waits for a time that is still to come: the clock was set back."""
    connection.execute(update(storms).where(storms.c.digest_at > now).values(digest_at=now))


def delete_older_than(connection: Connection, moment: datetime, *, most: int) -> int:
    """Delete up to `most` storms whose last outage began before `moment` and that hold nothing."""
    over = (
        select(storms.c.id)
        .where(storms.c.last_down_at < moment, storms.c.digest_at.is_(None))
        .limit(most)
    )
    return connection.execute(
        delete(storms).where(storms.c.id.in_(over.scalar_subquery()))
    ).rowcount


def _storm(row: Row[Any]) -> Storm:
    return Storm(
        id=row.id,
        project_id=row.project_id,
        began_at=row.began_at,
        last_down_at=row.last_down_at,
        held_since=row.held_since,
        digest_at=row.digest_at,
        doubted_at=row.doubted_at,
        last_digest_at=row.last_digest_at,
        digests=row.digests,
    )
