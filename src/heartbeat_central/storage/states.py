"""The hot state of applications: what every heartbeat reads and writes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from heartbeat_central.domain.errors import NotFound
from heartbeat_central.domain.schedule import Timing
from heartbeat_central.domain.state import State, Status
from heartbeat_central.storage import careful
from heartbeat_central.storage.among import among
from heartbeat_central.storage.decoding import FIRST, state_of, timing_of
from heartbeat_central.storage.rows import update_rows
from heartbeat_central.storage.tables import application_states as states
from heartbeat_central.storage.tables import applications, incidents


@dataclass(frozen=True, slots=True)
class Watched:
    """What the state machine needs of one application, read under a row lock."""

    id: int
    uuid: UUID
    project_id: int
    timing: Timing
    state: State
    problem: str | None = None
    """As it was told last; `timing` and `state` have theirs as it is now."""


WATCHED = select(
    applications.c.id,
    applications.c.uuid,
    applications.c.project_id,
    applications.c.expected_interval,
    applications.c.schedule_kind,
    applications.c.schedule_expression,
    applications.c.schedule_timezone,
    applications.c.grace_period,
    applications.c.expect_first_heartbeat,
    applications.c.problem,
    states.c.status,
    states.c.armed_at,
    states.c.last_heartbeat_at,
    states.c.started_at,
    states.c.started_rid,
    states.c.check_at,
    states.c.extended_at,
).join_from(applications, states)

# Rows are locked in the order of their ids by everyone, so that two batches never deadlock.
# On SQLite the write transaction is the lock and FOR UPDATE is left out.
_BY_UUID = (
    WATCHED.where(applications.c.uuid.in_(bindparam("uuids", expanding=True)))
    .order_by(states.c.application_id)
    .with_for_update(of=states)
)

# SKIP LOCKED: what another node judges, or a heartbeat is just moving, is left to them.
_DUE = (
    WATCHED.where(states.c.check_at <= bindparam("now"))
    .order_by(states.c.check_at)
    .limit(bindparam("most"))
    .with_for_update(of=states, skip_locked=True)
)


def lock_for_signals(connection: Connection, uuids: Iterable[UUID]) -> dict[UUID, Watched]:
    """Return the applications with these uuids, locked until the transaction ends; unknown ones lack."""
    rows = careful.rows(connection, _BY_UUID, applications.c.id, {"uuids": list(uuids)})
    return {watched.uuid: watched for watched in map(to_watched, rows)}


def lock_due(
    connection: Connection, *, now: datetime, most: int, only: Collection[int] | None = None
) -> list[Watched]:
    """Return up to `most` applications whose check is due, locked, longest due first.

    `only`: of these alone, by id.
    """
    query = _DUE if only is None else _DUE.where(among(connection, states.c.application_id, only))
    rows = careful.rows(connection, query, applications.c.id, {"now": now, "most": most})
    return [to_watched(row) for row in rows]


def due_ids(connection: Connection, *, now: datetime, most: int) -> list[int]:
    """Return the ids of up to `most` applications whose check is due, longest due first."""
    query = select(states.c.application_id).where(states.c.check_at <= now)
    return list(connection.execute(query.order_by(states.c.check_at).limit(most)).scalars())


def earliest_check(connection: Connection) -> datetime | None:
    """Return when the next application must be judged; None when nothing awaits a check.

    What stands before 1970 or is no time at all is due at once, and its row is judged as a bad one.
    """
    found = careful.scalar(connection, select(func.min(states.c.check_at)))
    return FIRST if isinstance(found, careful.Unreadable) else found


def postpone(connection: Connection, until: Mapping[int, datetime]) -> None:
    """Move the checks of these applications, by id, and touch nothing else of their states."""
    if until:
        connection.execute(
            update(states)
            .where(states.c.application_id == bindparam("of"))
            .values(check_at=bindparam("new_check_at")),
            [{"of": id_, "new_check_at": at} for id_, at in sorted(until.items())],
        )


def make_due(connection: Connection, *, now: datetime, after_id: int, most: int) -> int | None:
    """Make the checks due of the next `most` applications after this id; return the last id of them.

    None: there is none after it.
    """
    page = (
        select(states.c.application_id)
        .where(states.c.application_id > after_id)
        .order_by(states.c.application_id)
        .limit(most)
        .subquery()
    )
    last = connection.execute(select(func.max(page.c.application_id))).scalar()
    if last is None:
        return None
    connection.execute(
        update(states)
        .where(
            states.c.application_id > after_id,
            states.c.application_id <= last,
            states.c.check_at > now,
        )
        .values(check_at=now)
    )
    return int(last)


def insert_state(connection: Connection, application_id: int, state: State) -> None:
    """Store the state of a new application."""
    connection.execute(insert(states).values(application_id=application_id, **_values(state)))


def lock(connection: Connection, application_id: int) -> State:
    """Return the state of one application, its row locked until the transaction ends. Raises NotFound."""
    query = select(states).where(states.c.application_id == application_id).with_for_update()
    for row in careful.rows(connection, query, states.c.application_id):
        return state_of(row)
    raise NotFound("there is no such application")


def replace_state(connection: Connection, application_id: int, state: State) -> None:
    """Store a whole new state in place of one that can't be read."""
    connection.execute(delete(states).where(states.c.application_id == application_id))
    insert_state(connection, application_id, state)


def load_many(connection: Connection, application_ids: Sequence[int]) -> dict[int, State]:
    """Return the states of those of these applications that have one, by id."""
    query = select(states).where(among(connection, states.c.application_id, application_ids))
    rows = careful.rows(connection, query, states.c.application_id)
    return {row.application_id: state_of(row) for row in rows}


def save(connection: Connection, application_id: int, state: State) -> None:
    """Store one changed state."""
    save_many(connection, {application_id: state})


def save_many(connection: Connection, changed: Mapping[int, State]) -> None:
    """Store changed states by application id, in the order of the ids."""
    update_rows(
        connection,
        states,
        "application_id",
        [
            {"application_id": application_id, **_values(state)}
            for application_id, state in sorted(changed.items(), key=lambda item: item[0])
        ],
    )


def unheard_since(
    connection: Connection, moment: datetime, *, after_id: int, most: int
) -> list[Watched]:
    """Return up to `most` watched applications not heard from since `moment`, in the order of ids.

    With those that went down since. Those that rest, or were down by then, are left out.
    """
    went_down = exists().where(
        incidents.c.application_id == states.c.application_id,
        incidents.c.closed_at.is_(None),
        incidents.c.opened_at >= moment,
    )
    query = (
        WATCHED.where(
            states.c.application_id > after_id,
            states.c.armed_at < moment,
            or_(states.c.last_heartbeat_at.is_(None), states.c.last_heartbeat_at < moment),
            or_(
                states.c.check_at.is_not(None),
                and_(states.c.status == Status.DOWN.value, went_down),
            ),
        )
        .order_by(states.c.application_id)
        .limit(most)
    )
    return [to_watched(row) for row in careful.rows(connection, query, applications.c.id)]


def _values(state: State) -> dict[str, Any]:
    return {
        "status": state.status.value,
        "armed_at": state.armed_at,
        "last_heartbeat_at": state.last_heartbeat_at,
        "started_at": state.started_at,
        "started_rid": state.started_rid,
        "check_at": state.check_at,
        "extended_at": state.extended_at,
    }


def to_watched(row: Any) -> Watched:
    """Return what a row of `WATCHED` holds."""
    timing = timing_of(
        row.expected_interval,
        row.schedule_kind,
        row.schedule_expression,
        row.schedule_timezone,
        row.grace_period,
        row.expect_first_heartbeat,
    )
    return Watched(row.id, row.uuid, row.project_id, timing, state_of(row), row.problem)
