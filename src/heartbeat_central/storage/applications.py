"""Applications: identity and settings. Their hot state lives in storage.states."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, delete, insert, select, update

from heartbeat_central.domain import schedule as schedules
from heartbeat_central.domain.application import Application, ApplicationSettings
from heartbeat_central.domain.errors import Invalid, NotFound
from heartbeat_central.storage import careful
from heartbeat_central.storage.among import among
from heartbeat_central.storage.decoding import FIRST, settings_of
from heartbeat_central.storage.tables import (
    application_states,
    applications,
    channels,
    subscriptions,
)


def add(
    connection: Connection,
    *,
    project_id: int,
    uuid: UUID,
    settings: ApplicationSettings,
    now: datetime,
) -> int:
    """Store a new application and return its id."""
    application_id: int = connection.execute(
        insert(applications)
        .values(
            project_id=project_id, uuid=uuid, created_at=now, updated_at=now, **_values(settings)
        )
        .returning(applications.c.id)
    ).scalar_one()
    return application_id


def load(connection: Connection, application_id: int) -> Application:
    """Return the application with this id. Raises NotFound."""
    found = load_many(connection, [application_id])
    if not found:
        raise NotFound("there is no such application")
    return found[application_id]


def load_many(connection: Connection, application_ids: Sequence[int]) -> dict[int, Application]:
    """Return those of these applications that exist, by id."""
    if not application_ids:
        return {}
    query = select(applications).where(among(connection, applications.c.id, application_ids))
    return {one.id: one for one in _with_channels(connection, query)}


def find(connection: Connection, project_id: int, ref: int | UUID) -> Application:
    """Return the project's application with this id or uuid. Raises NotFound."""
    column = applications.c.uuid if isinstance(ref, UUID) else applications.c.id
    found = _with_channels(
        connection,
        select(applications).where(applications.c.project_id == project_id, column == ref),
    )
    if not found:
        raise NotFound("there is no such application")
    return found[0]


def save_settings(
    connection: Connection, application_id: int, settings: ApplicationSettings, *, now: datetime
) -> None:
    """Store changed settings."""
    connection.execute(
        update(applications)
        .where(applications.c.id == application_id)
        .values(updated_at=now, **_values(settings))
    )


def remove(connection: Connection, application_id: int) -> None:
    """Delete an application with its state, incidents, rollups and subscriptions."""
    # The state first, as all do who judge it: with the application in its hands, this would wait for the
    # state while they, with an incident to store, wait for the application.
    state = select(application_states.c.application_id)
    connection.execute(
        state.where(application_states.c.application_id == application_id).with_for_update()
    )
    connection.execute(delete(applications).where(applications.c.id == application_id))


def set_channels(
    connection: Connection, project_id: int, application_id: int, channel_ids: Iterable[int]
) -> None:
    """Subscribe an application to exactly these channels. Raises Invalid on `channels`."""
    wanted = sorted(set(channel_ids))
    # Locked: one that somebody is just deleting is gone by then, or stays until this is stored.
    known = set(
        connection.execute(
            select(channels.c.id)
            .where(channels.c.project_id == project_id, channels.c.id.in_(wanted))
            .order_by(channels.c.id)
            .with_for_update(read=True, key_share=True)
        ).scalars()
    )
    unknown = [channel_id for channel_id in wanted if channel_id not in known]
    if unknown:
        raise Invalid.one("channels", f"there is no channel {', '.join(map(str, unknown))}")
    connection.execute(
        delete(subscriptions).where(subscriptions.c.application_id == application_id)
    )
    if wanted:
        connection.execute(
            insert(subscriptions),
            [{"application_id": application_id, "channel_id": one} for one in wanted],
        )


def all_channels(connection: Connection, project_id: int) -> list[int]:
    """Return the ids of every channel of a project."""
    query = select(channels.c.id).where(channels.c.project_id == project_id).order_by(channels.c.id)
    return list(connection.execute(query).scalars())


def _with_channels(connection: Connection, query: Select[Any]) -> list[Application]:
    rows = careful.rows(connection, query, applications.c.id)
    subscribed: dict[int, list[int]] = {row.id: [] for row in rows}
    if rows:
        for pair in connection.execute(
            select(subscriptions)
            .where(among(connection, subscriptions.c.application_id, subscribed))
            .order_by(subscriptions.c.channel_id)
        ):
            subscribed[pair.application_id].append(pair.channel_id)
    return [_application(row, tuple(subscribed[row.id])) for row in rows]


def _application(row: Any, channel_ids: tuple[int, ...]) -> Application:
    settings, problem = settings_of(row)
    return Application(
        id=row.id,
        uuid=row.uuid or UUID(int=0),
        project_id=row.project_id,
        settings=settings,
        channel_ids=channel_ids,
        created_at=row.created_at or FIRST,
        updated_at=row.updated_at or FIRST,
        problem=problem or row.problem,
    )


def _values(settings: ApplicationSettings) -> dict[str, Any]:
    calendar = schedules.as_json(settings.timing.schedule) or {}
    return {
        "name": settings.name,
        "slug": settings.slug,
        "description": settings.description,
        "tags": list(settings.tags),
        "expected_interval": settings.expected_interval,
        "schedule_kind": calendar.get("kind"),
        "schedule_expression": calendar.get("expression"),
        "schedule_timezone": calendar.get("timezone"),
        "grace_period": settings.timing.grace_period,
        "expect_first_heartbeat": settings.timing.expect_first_heartbeat,
    }
