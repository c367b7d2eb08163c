"""Which applications can't be watched and why, and what of that channels have yet to be told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    update,
)

from heartbeat_central.storage.among import among
from heartbeat_central.storage.tables import applications, projects

_UNTOLD = applications.c.problem_untold_since.is_not(None)
_HAS_NONE = applications.c.problem.is_(None)


@dataclass(frozen=True, slots=True)
class Untold:
    """An application whose problem came or went, which its channels don't know."""

    id: int
    problem: str | None
    """As it is now; None: it has none any more."""
    was_told: bool
    """Whether its channels were told of a problem and not that it is gone."""


def save(connection: Connection, problems: Mapping[int, str | None], *, now: datetime) -> None:
    """Store why these applications, by id, can't be watched; None: they can.

    That one came or went is marked to be told. That it reads differently now is not.
    """
    found = {id_: problem for id_, problem in problems.items() if problem is not None}
    moment = literal(now, applications.c.problem_untold_since.type)
    came = func.coalesce(applications.c.problem_untold_since, moment)
    if found:
        # An older version of the program doesn't mark what it takes away: then nobody waits to be told.
        is_first = and_(_HAS_NONE, applications.c.problem_untold_since.is_(None))
        connection.execute(
            update(applications)
            .where(applications.c.id == bindparam("of"))
            .values(
                problem=bindparam("new_problem"),
                problem_untold_since=case(
                    (_HAS_NONE, came), else_=applications.c.problem_untold_since
                ),
                problem_told_at=case((is_first, None), else_=applications.c.problem_told_at),
            ),
            [{"of": id_, "new_problem": problem} for id_, problem in sorted(found.items())],
        )
    gone = sorted(problems.keys() - found.keys())
    if gone:
        connection.execute(
            update(applications)
            .where(among(connection, applications.c.id, gone), ~_HAS_NONE)
            .values(problem=None, problem_untold_since=came)
        )


def mark_unmarked(connection: Connection, *, now: datetime) -> None:
    """Have told what a version of the program found that could not tell it."""
    connection.execute(
        update(applications)
        .where(~_HAS_NONE, applications.c.problem_told_at.is_(None), ~_UNTOLD)
        .values(problem_untold_since=now)
    )


def is_any_untold(connection: Connection) -> bool:
    """Return whether anything is untold: one look at an index that is mostly empty."""
    return (
        connection.execute(select(applications.c.id).where(_UNTOLD).limit(1)).scalar() is not None
    )


def projects_to_tell(
    connection: Connection, *, now: datetime, since: datetime, told_before: datetime
) -> list[int]:
    """Return the projects in which something is untold since then, and that were last told before.

    A time that is still to come was written before the clock was set back, and counts as long ago.
    """
    first = func.min(applications.c.problem_untold_since)
    query = (
        select(applications.c.project_id)
        .join(projects, projects.c.id == applications.c.project_id)
        .where(_UNTOLD, _told_before(told_before, now))
        .group_by(applications.c.project_id)
        .having(or_(first <= since, first > now))
        .order_by(applications.c.project_id)
    )
    return list(connection.execute(query).scalars())


def untold(
    connection: Connection, project_id: int, *, most: int, lock: bool = False
) -> list[Untold]:
    """Return up to `most` applications of a project of which something is untold.

    Locked on demand; those that another transaction has in hand are left for later then.
    """
    query = (
        select(
            applications.c.id,
            applications.c.problem,
            applications.c.problem_told_at.is_not(None).label("was_told"),
        )
        .where(applications.c.project_id == project_id, _UNTOLD)
        .order_by(applications.c.id)
        .limit(most)
    )
    if lock:
        query = query.with_for_update(key_share=True, skip_locked=True)
    rows = connection.execute(query)
    return [Untold(row.id, row.problem, bool(row.was_told)) for row in rows]


def claim_project(
    connection: Connection, project_id: int, *, now: datetime, told_before: datetime
) -> bool:
    """Note that the project's channels are told now; False when another node has just done so."""
    updated = connection.execute(
        update(projects)
        .where(projects.c.id == project_id, _told_before(told_before, now))
        .values(problems_told_at=now)
    )
    return updated.rowcount == 1


def set_told(
    connection: Connection, application_ids: Sequence[int], *, told_at: datetime | None
) -> None:
    """Note that nothing is left to tell of these; None: nor is there anything to take back."""
    if application_ids:
        values: dict[str, Any] = {"problem_untold_since": None, "problem_told_at": told_at}
        connection.execute(
            update(applications)
            .where(among(connection, applications.c.id, application_ids))
            .values(values)
        )


def _told_before(moment: datetime, now: datetime) -> ColumnElement[bool]:
    told_at = projects.c.problems_told_at
    return or_(told_at.is_(None), told_at <= moment, told_at > now)
