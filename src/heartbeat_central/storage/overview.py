"""What lists and counts ask of all applications of a project at once.

What an application shows follows from the time, and the domain alone decides it. The database leaves out
only what can't show the status that is asked for, so that few are left to judge.
"""

from collections import Counter
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    and_,
    cast,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from heartbeat_central.domain.state import Shown, Status
from heartbeat_central.storage import careful
from heartbeat_central.storage.states import WATCHED, Watched, to_watched
from heartbeat_central.storage.tables import IS_NOT_UP, applications, blind_windows
from heartbeat_central.storage.tables import application_states as states

_AWAITED = states.c.status.in_([Status.NEW.value, Status.UP.value])


def count(connection: Connection, project_id: int) -> dict[tuple[Status, bool], int]:
    """Return how many applications of a project have each status, without and with a started run."""
    is_running = states.c.started_at.is_not(None)
    rows = connection.execute(
        select(states.c.status, is_running.label("is_running"), func.count().label("number"))
        .join_from(states, applications)
        .where(applications.c.project_id == project_id)
        .group_by(states.c.status, is_running)
    )
    counts: Counter[tuple[Status, bool]] = Counter()
    for row in rows:
        # One that is unknown is shown as new: storage/decoding.py.
        known = row.status in _STATUSES
        status = Status(row.status) if known else Status.NEW
        counts[status, known and bool(row.is_running)] += row.number
    return counts


_STATUSES = frozenset(status.value for status in Status)


def maybe_late(connection: Connection, project_id: int, *, now: datetime) -> list[Watched]:
    """Return the applications of a project that may show `late` at `now`: on a good day hardly any."""
    query = WATCHED.where(
        applications.c.project_id == project_id, _may_show(connection, Shown.LATE, now)
    )
    return [to_watched(row) for row in careful.rows(connection, query, applications.c.id)]


def page(
    connection: Connection,
    project_id: int,
    *,
    now: datetime,
    limit: int,
    before_id: int | None = None,
    status: Shown | None = None,
    search: str = "",
    tag: str | None = None,
) -> list[Watched]:
    """Return up to `limit` applications that may show `status`, newest first, with ids below `before_id`.

    `search` finds a part of the name or the slug, in any case; `tag` a whole tag.
    """
    query = WATCHED.where(applications.c.project_id == project_id)
    if before_id is not None:
        query = query.where(applications.c.id < before_id)
    if status is not None:
        query = query.where(_may_show(connection, status, now))
    if search:
        query = query.where(
            or_(
                applications.c.name.icontains(search, autoescape=True),
                applications.c.slug.icontains(search, autoescape=True),
            )
        )
    if tag is not None:
        query = query.where(_has_tag(connection, tag))
    query = query.order_by(applications.c.id.desc()).limit(limit)
    return [to_watched(row) for row in careful.rows(connection, query, applications.c.id)]


def _may_show(connection: Connection, status: Shown, now: datetime) -> ColumnElement[bool]:
    match status:
        case Shown.DOWN | Shown.PAUSED:
            return and_(states.c.status == status.value, IS_NOT_UP)
        case Shown.RUNNING:
            return and_(_AWAITED, states.c.started_at.is_not(None))
        case Shown.NEW:
            return and_(states.c.status == status.value, IS_NOT_UP, states.c.started_at.is_(None))
        case Shown.UP:
            return and_(states.c.status == status.value, states.c.started_at.is_(None))
        case Shown.LATE:
            return and_(_AWAITED, states.c.started_at.is_(None), _may_be_expected(connection, now))


def _may_be_expected(connection: Connection, now: datetime) -> ColumnElement[bool]:
    """Leave out those with an interval that were heard of within it, and most of the others."""
    heard_at = func.coalesce(states.c.last_heartbeat_at, states.c.armed_at)
    interval, grace = applications.c.expected_interval, applications.c.grace_period
    # The detector never looks later than the deadline, which comes a grace period after what is expected;
    # blind windows since the last heartbeat alone make it later.
    blind_until = select(func.max(blind_windows.c.ended_at)).scalar_subquery()
    return or_(
        and_(interval.is_not(None), heard_at <= _seconds_from(connection, now, -interval)),
        and_(
            interval.is_(None),
            or_(
                states.c.check_at <= _seconds_from(connection, now, grace),
                heard_at <= blind_until,
            ),
        ),
    )


def _has_tag(connection: Connection, tag: str) -> ColumnElement[bool]:
    if connection.dialect.name == "sqlite":
        each = func.json_each(applications.c.tags).table_valued("value")
        return exists(select(literal_column("1")).select_from(each).where(each.c.value == tag))
    return cast(applications.c.tags, JSONB).contains([tag])


def _seconds_from(
    connection: Connection, now: datetime, seconds: ColumnElement[int]
) -> ColumnElement[Any]:
    moment = literal(now, states.c.armed_at.type)
    if connection.dialect.name == "sqlite":
        return moment.op("+", return_type=BigInteger())(seconds * 1_000_000)
    return moment + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
