"""Create, read, change and remove applications."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from heartbeat_central.domain import state as machine
from heartbeat_central.domain.application import (
    Application,
    ApplicationSettings,
    settings_from,
)
from heartbeat_central.domain.schedule import as_json
from heartbeat_central.domain.state import Decision, Shown, State, Stopped
from heartbeat_central.domain.view import ApplicationView, application_view
from heartbeat_central.storage import applications, incidents, states
from heartbeat_central.storage.engine import Connection, Database

Channels = Sequence[int] | Literal["*"]


def create_application(
    database: Database,
    project_id: int,
    settings: ApplicationSettings,
    *,
    channels: Channels = (),
    is_active: bool = True,
    now: datetime,
    base_url: str,
) -> ApplicationView:
    """Store and return a new application. Raises Invalid on `channels` when one is unknown."""
    state = machine.born(settings.timing, now=now)
    if not is_active:
        state = machine.on_pause(state, now=now).state
    with database.write() as connection:
        application_id = applications.add(
            connection, project_id=project_id, uuid=uuid4(), settings=settings, now=now
        )
        states.insert_state(connection, application_id, state)
        _subscribe(connection, project_id, application_id, channels)
        application = applications.load(connection, application_id)
    return application_view(application, state, now=now, base_url=base_url)


def get_application(
    database: Database, project_id: int, ref: int | UUID, *, now: datetime, base_url: str
) -> ApplicationView:
    """Return one application. Raises NotFound."""
    with database.read() as connection:
        application = applications.find(connection, project_id, ref)
        state = states.load_many(connection, [application.id])[application.id]
    return application_view(application, state, now=now, base_url=base_url)


def list_applications(
    database: Database,
    project_id: int,
    *,
    now: datetime,
    base_url: str,
    search: str = "",
    status: Shown | None = None,
    tag: str | None = None,
    limit: int = 100,
    before_id: int | None = None,
) -> list[ApplicationView]:
    """Return up to `limit` applications, newest first, with ids below `before_id`.

    `late` and `running` follow from the time and tags are a list, so both are judged here, page by
    page, over what the database has narrowed down.
    """
    found: list[ApplicationView] = []
    with database.read() as connection:
        while len(found) < limit:
            page = applications.page(
                connection,
                project_id,
                limit=limit,
                before_id=before_id,
                search=search,
                statuses=_stored_statuses(status),
            )
            loaded = states.load_many(connection, [application.id for application in page])
            views = (
                application_view(one, loaded[one.id], now=now, base_url=base_url)
                for one in page
                if one.id in loaded
            )
            found += [
                view
                for view in views
                if status in (None, view.status) and (tag is None or tag in view.tags)
            ]
            if len(page) < limit:
                break
            before_id = page[-1].id
    return found[:limit]


def count_by_status(database: Database, project_id: int, *, now: datetime) -> dict[Shown, int]:
    """Return how many applications show each status at `now`."""
    counts: Counter[Shown] = Counter()
    with database.read() as connection:
        for timing, state in states.all_of_project(connection, project_id):
            counts[machine.shown(timing, state, now=now)] += 1
    return {status: counts[status] for status in Shown}


def change_application(
    database: Database,
    project_id: int,
    ref: int | UUID,
    changes: Mapping[str, Any],
    *,
    now: datetime,
    base_url: str,
) -> ApplicationView:
    """Change the fields given, leave the rest, and return the application.

    `changes` takes the arguments of `settings_from`, `is_active` and `channels`. Giving an interval
    replaces a schedule, and the other way round. Raises Invalid and NotFound.
    """
    with database.write() as connection:
        before = applications.find(connection, project_id, ref)
        state = states.lock(connection, before.id)
        settings = settings_from(**_merged(before.settings, changes))
        if settings != before.settings:
            applications.save_settings(connection, before.id, settings, now=now)
        if "channels" in changes:
            _subscribe(connection, project_id, before.id, changes["channels"])
        if settings.timing != before.settings.timing:
            state = _save(
                connection, before.id, machine.on_new_timing(settings.timing, state, now=now)
            )
        if "is_active" in changes:
            decision = _switched(settings, state, changes["is_active"], now)
            state = _save(connection, before.id, decision)
        after = applications.load(connection, before.id)
    return application_view(after, state, now=now, base_url=base_url)


def pause_application(
    database: Database, project_id: int, ref: int | UUID, *, now: datetime, base_url: str
) -> ApplicationView:
    """Stop watching an application; an open incident closes without an alert. Raises NotFound."""
    return change_application(
        database, project_id, ref, {"is_active": False}, now=now, base_url=base_url
    )


def resume_application(
    database: Database, project_id: int, ref: int | UUID, *, now: datetime, base_url: str
) -> ApplicationView:
    """Watch an application again, counting from `now`. Raises NotFound."""
    return change_application(
        database, project_id, ref, {"is_active": True}, now=now, base_url=base_url
    )


def delete_application(
    database: Database, project_id: int, ref: int | UUID, *, now: datetime
) -> Application:
    """Delete an application and return what it was. Raises NotFound.

    Its history goes with the next pruning; alerts about it that wait are cancelled, not sent.
    """
    with database.write() as connection:
        application = applications.find(connection, project_id, ref)
        applications.remove(connection, application.id)
    return application


def _subscribe(
    connection: Connection, project_id: int, application_id: int, channels: Channels
) -> None:
    wanted = applications.all_channels(connection, project_id) if channels == "*" else channels
    applications.set_channels(connection, project_id, application_id, [int(one) for one in wanted])


def _merged(settings: ApplicationSettings, changes: Mapping[str, Any]) -> dict[str, Any]:
    current = {
        "name": settings.name,
        "slug": settings.slug,
        "description": settings.description,
        "tags": settings.tags,
        "expected_interval": settings.expected_interval,
        "schedule": as_json(settings.timing.schedule),
        "grace_period": settings.timing.grace_period,
        "expect_first_heartbeat": settings.timing.expect_first_heartbeat,
    }
    changed = {name: value for name, value in changes.items() if name in current}
    if changed.get("expected_interval") is not None and "schedule" not in changed:
        changed["schedule"] = None
    if changed.get("schedule") is not None and "expected_interval" not in changed:
        changed["expected_interval"] = None
    return {**current, **changed}


def _switched(
    settings: ApplicationSettings, state: State, is_active: bool, now: datetime
) -> Decision:
    if is_active:
        return machine.on_resume(settings.timing, state, now=now)
    if state.status is machine.Status.PAUSED:
        return Decision(state)
    return machine.on_pause(state, now=now)


def _save(connection: Connection, application_id: int, decision: Decision) -> State:
    if isinstance(decision.transition, Stopped):
        incidents.close_open(connection, application_id, decision.transition.at)
    states.save(connection, application_id, decision.state)
    return decision.state


def _stored_statuses(status: Shown | None) -> list[str] | None:
    if status is None:
        return None
    if status in (Shown.LATE, Shown.RUNNING):
        return ["new", "up"]
    return [status.value]
