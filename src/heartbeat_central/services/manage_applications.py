"""Create, show, change and remove applications."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from heartbeat_central.domain import state as machine
from heartbeat_central.domain.application import (
    Application,
    ApplicationSettings,
    settings_from,
)
from heartbeat_central.domain.errors import FieldError, Invalid
from heartbeat_central.domain.schedule import as_json, calendar_schedule
from heartbeat_central.domain.state import Decision, State, Status, Stopped
from heartbeat_central.domain.view import ApplicationView, application_view
from heartbeat_central.services.look_through import mend_missing
from heartbeat_central.storage import (
    applications,
    blind_windows,
    incidents,
    problems,
    projects,
    states,
)
from heartbeat_central.storage.engine import Connection, Database

Channels = Sequence[int] | Literal["*"]


_TIMING = ("expected_interval", "schedule")

_NO_STATE = State(
    status=Status.NEW,
    armed_at=datetime(1970, 1, 1, tzinfo=UTC),
    problem="what was heard of it is missing; the next heartbeat or look makes it anew",
)


def application_errors(
    database: Database,
    project_id: int,
    given: Mapping[str, Any],
    bad: Collection[str] = (),
    *,
    ref: int | UUID | None = None,
) -> list[FieldError]:
    """Return every rule that `given` breaks, for a new application or as changes to `ref`.

    `given` holds fields of the right type, as `change_application` takes them, and `bad` names the
    fields that were found wrong already: nothing is said of those. Raises NotFound.
    """
    with database.read() as connection:
        current: dict[str, Any] = {"name": "-", "expected_interval": None, "schedule": None}
        if ref is not None:
            current = _fields(applications.find(connection, project_id, ref).settings)
        unknown = _unknown_channels(connection, project_id, given.get("channels", ()))
    if ref is not None and not _changes_settings(given):
        return unknown
    wanted = _merged(current, given)
    if not set(bad).isdisjoint(_TIMING) and all(wanted[name] is None for name in _TIMING):
        # Whether one of the two was meant can't be told from what is left.
        wanted["expected_interval"] = 1
    return [*_rule_errors(wanted), *unknown]


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
        projects.note_change(connection, project_id)
        _subscribe(connection, project_id, application_id, channels)
        application = applications.load(connection, application_id)
    return application_view(application, state, now=now, base_url=base_url)


def get_application(
    database: Database, project_id: int, ref: int | UUID, *, now: datetime, base_url: str
) -> ApplicationView:
    """Return one application. Raises NotFound."""
    with database.read() as connection:
        application = applications.find(connection, project_id, ref)
        state = states.load_many(connection, [application.id]).get(application.id, _NO_STATE)
        windows = blind_windows.since_heard(connection, [state])
    return application_view(application, state, now=now, base_url=base_url, windows=windows)


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
    replaces a schedule, and the other way round. What can't be read of it must be among what is given,
    unless nothing but `is_active` and `channels` is. Raises Invalid and NotFound.
    """
    with database.write() as connection:
        application = applications.find(connection, project_id, ref)
        mend_missing(connection, now=now, uuids=[application.uuid])
        state = states.lock(connection, application.id)
        # Read behind the lock: what somebody else was just changing must not be undone.
        before = applications.find(connection, project_id, ref)
        settings = before.settings
        errors = _unknown_channels(connection, project_id, changes.get("channels", ()))
        if _changes_settings(changes):
            wanted = _merged(_fields(before.settings), changes)
            errors = [*_rule_errors(wanted), *errors]
            if not errors:
                settings = settings_from(**wanted)
        if errors:
            raise Invalid(errors)
        if settings != before.settings:
            applications.save_settings(connection, before.id, settings, now=now)
        if "channels" in changes:
            _subscribe(connection, project_id, before.id, changes["channels"])
        problem = before.problem or before.settings.timing.problem or state.problem
        if state.problem is not None:
            state = _mend(connection, before.id, state, now)
        if settings.timing != before.settings.timing or problem is not None:
            # What was wrong is mended, or found again at once by the detector, which says so.
            decision = machine.on_new_timing(
                settings.timing,
                state,
                now=now,
                windows=blind_windows.since_heard(connection, [state]),
            )
            state = _save(connection, before.id, decision)
        if "is_active" in changes:
            decision = _switched(settings, state, changes["is_active"], now)
            state = _save(connection, before.id, decision)
        if problem is not None:
            # Nobody waits to be told of one that is not to be watched.
            left = None if state.status is Status.PAUSED else settings.timing.problem
            problems.save(connection, {before.id: left}, now=now)
        projects.note_change(connection, project_id)
        after = applications.load(connection, before.id)
        windows = blind_windows.since_heard(connection, [state])
    return application_view(after, state, now=now, base_url=base_url, windows=windows)


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
        projects.note_change(connection, project_id)
    return application


def _subscribe(
    connection: Connection, project_id: int, application_id: int, channels: Channels
) -> None:
    wanted = applications.all_channels(connection, project_id) if channels == "*" else channels
    applications.set_channels(connection, project_id, application_id, [int(one) for one in wanted])


def _unknown_channels(
    connection: Connection, project_id: int, channels: Channels
) -> list[FieldError]:
    if channels == "*":
        return []
    known = applications.all_channels(connection, project_id)
    unknown = sorted(set(channels).difference(known))
    if not unknown:
        return []
    return [FieldError("channels", f"there is no channel {', '.join(map(str, unknown))}")]


def _rule_errors(fields: Mapping[str, Any]) -> list[FieldError]:
    try:
        settings_from(**fields)
    except Invalid as invalid:
        errors = list(invalid.errors)
    else:
        return []
    schedule = fields["schedule"]
    if schedule and "schedule.timezone" in {error.field for error in errors}:
        # A wrong zone hides a wrong expression.
        try:
            calendar_schedule(schedule["kind"], schedule["expression"], "UTC")
        except Invalid as invalid:
            errors += invalid.errors
    return errors


def _fields(settings: ApplicationSettings) -> dict[str, Any]:
    return {
        "name": settings.name,
        "slug": settings.slug,
        "description": settings.description,
        "tags": settings.tags,
        "expected_interval": settings.expected_interval,
        "schedule": as_json(settings.timing.schedule),
        "grace_period": settings.timing.grace_period,
        "expect_first_heartbeat": settings.timing.expect_first_heartbeat,
    }


def _merged(current: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `settings_from`; an interval replaces a schedule, and the reverse."""
    changed = {
        name: value for name, value in changes.items() if name not in ("channels", "is_active")
    }
    if changed.get("expected_interval") is not None and "schedule" not in changed:
        changed["schedule"] = None
    if changed.get("schedule") is not None and "expected_interval" not in changed:
        changed["expected_interval"] = None
    return {**current, **changed}


def _changes_settings(changes: Mapping[str, Any]) -> bool:
    return not set(changes) <= {"is_active", "channels"}


def _mend(connection: Connection, application_id: int, state: State, now: datetime) -> State:
    is_down = bool(incidents.open_of(connection, [application_id]))
    state = machine.mended(state, is_down=is_down, now=now)
    states.replace_state(connection, application_id, state)
    return state


def _switched(
    settings: ApplicationSettings, state: State, is_active: bool, now: datetime
) -> Decision:
    if is_active:
        return machine.on_resume(settings.timing, state, now=now)
    if state.status is Status.PAUSED:
        return Decision(state)
    return machine.on_pause(state, now=now)


def _save(connection: Connection, application_id: int, decision: Decision) -> State:
    if isinstance(decision.transition, Stopped):
        incidents.close_open(connection, application_id, decision.transition.at)
    states.save(connection, application_id, decision.state)
    return decision.state
