"""Rows for tests of storage modules, written by these modules themselves; what isn't said has a default."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Table, func, insert, select
from sqlalchemy.exc import IntegrityError

from heartbeat_central.domain.alert import Alert, AlertKind
from heartbeat_central.domain.application import settings_from
from heartbeat_central.domain.incident import Incident, Reason
from heartbeat_central.domain.state import State, Status
from heartbeat_central.storage import (
    applications,
    channels,
    incidents,
    leases,
    outbox,
    states,
    tables,
)
from heartbeat_central.storage.incidents import NewIncident
from heartbeat_central.storage.leases import Claimed, Mark
from heartbeat_central.storage.outbox import DeliveryStatus
from tests.support import sample_alerts

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
"""Tests count seconds from here."""
LARGEST = 2**63 - 1
"""The largest id."""

on_postgresql = pytest.mark.parametrize("shared_database", ["postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("shared_database", ["sqlite"], indirect=True)
"""For what only one of the two databases does."""


def at(seconds: float) -> datetime:
    """Return the moment `seconds` after NOON."""
    return NOON + timedelta(seconds=seconds)


def project(connection: Connection, name: str = "Default") -> int:
    """Store a project and return its id."""
    statement = insert(tables.projects).values(uuid=uuid4(), name=name, created_at=NOON)
    return int(connection.execute(statement.returning(tables.projects.c.id)).scalar_one())


def application(
    connection: Connection,
    project_id: int,
    name: str = "Backup",
    *,
    channel_ids: Sequence[int] = (),
    **state: Any,
) -> int:
    """Store an application that calls every minute, with its state, and return its id."""
    made = applications.add(
        connection,
        project_id=project_id,
        uuid=uuid4(),
        settings=settings_from(name=name, expected_interval=60, schedule=None, grace_period=10),
        now=NOON,
    )
    states.insert_state(connection, made, replace(State(status=Status.NEW, armed_at=NOON), **state))
    applications.set_channels(connection, project_id, made, channel_ids)
    return made


def channel(connection: Connection, project_id: int, name: str = "hook", **more: Any) -> int:
    """Store a channel and return its id."""
    values: dict[str, Any] = {
        "type_": "webhook",
        "sealed_config": "sealed",
        "is_active": True,
        "now": NOON,
    } | more
    return channels.add(connection, project_id=project_id, name=name, **values).id


def incident(
    connection: Connection,
    project_id: int,
    application_id: int,
    opened_at: datetime = NOON,
    *,
    closed_at: datetime | None = None,
    reason: Reason = Reason.MISSED,
    exit_status: int | None = None,
    last_heartbeat_at: datetime | None = None,
) -> int:
    """Store an outage and return its id."""
    new = NewIncident(
        project_id=project_id,
        application_id=application_id,
        reason=reason,
        exit_status=exit_status,
        opened_at=opened_at,
        last_heartbeat_at=last_heartbeat_at,
    )
    (opened,) = incidents.open_many(connection, [new])
    if closed_at is not None:
        incidents.close_open(connection, application_id, closed_at)
    return opened.id


def alert(
    kind: AlertKind = AlertKind.DOWN,
    *,
    application_id: int | None = None,
    incident_id: int | None = None,
    created_at: datetime = NOON,
) -> Alert:
    """Return an alert about an application and its outage; about no application without its id."""
    about = None
    if application_id is not None:
        about = replace(sample_alerts.application(), id=application_id)
    outage = None
    if incident_id is not None:
        outage = Incident(
            id=incident_id,
            application_id=application_id or 0,
            reason=Reason.MISSED,
            opened_at=created_at,
        )
    return Alert(
        kind=kind,
        application=about,
        incident=outage,
        dashboard_url="https://hc.example/",
        created_at=created_at,
    )


def deliveries(
    connection: Connection,
    project_id: int,
    channel_ids: Sequence[int],
    *,
    due_at: datetime | None = None,
    **about: Any,
) -> list[int]:
    """Store an alert with a delivery for each channel, and return the deliveries' ids."""
    return outbox.add(
        connection,
        project_id=project_id,
        alert=alert(**about),
        channel_ids=channel_ids,
        due_at=due_at,
    )


def count(connection: Connection, table: Table) -> int:
    """Return how many rows a table has."""
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def row(connection: Connection, table: Table, id_: int) -> Any:
    """Return the row with this id, None when there is none."""
    return connection.execute(select(table).where(table.c.id == id_)).one_or_none()


def lease(
    connection: Connection, *ids: int, seconds: float = 0, until: float = 30
) -> list[Claimed]:
    """Lease those of these deliveries that may be claimed."""
    return leases.lease(connection, ids, now=at(seconds), until=at(until))


def mark(connection: Connection, claimed: Claimed, status: DeliveryStatus, **more: Any) -> bool:
    """Record where a claimed delivery stands; return whether it counted."""
    given: dict[str, Any] = {"at": at(1), **more}
    return leases.mark_many(connection, [Mark(claimed, status, **given)]) == {claimed.id}


def delivery(connection: Connection, id_: int) -> Any:
    """Return the row of a delivery."""
    return row(connection, tables.deliveries, id_)


@contextlib.contextmanager
def refused(connection: Connection) -> Iterator[None]:
    """Expect that an index or a foreign key refuses what is done inside, and go on after it."""
    with pytest.raises(IntegrityError), connection.begin_nested():
        yield
