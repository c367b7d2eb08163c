"""Storms: their rows, whom they count, and one judge at a time."""

from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from heartbeat_central.domain.state import Status
from heartbeat_central.storage import incidents, storms, tables
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.storms import Storm
from tests.support import rows
from tests.support.racing import meanwhile
from tests.support.rows import NOON, at, on_postgresql

A_MICROSECOND = timedelta(microseconds=1)


def add(
    connection: Connection,
    project_id: int,
    last_down_at: datetime = NOON,
    *,
    digest_at: datetime | None = None,
) -> Storm:
    made = storms.add(connection, project_id, began_at=at(-60), last_down_at=last_down_at)
    made = replace(made, digest_at=digest_at)
    storms.save(connection, made)
    return made


def outage(
    connection: Connection,
    project_id: int,
    seconds: float,
    *,
    closed_at: datetime | None = None,
    application_id: int | None = None,
) -> int:
    return rows.incident(
        connection,
        project_id,
        application_id or rows.application(connection, project_id),
        at(seconds),
        closed_at=closed_at,
    )


def test_a_new_storm_holds_nothing(connection: Connection, project_id: int) -> None:
    made = storms.add(connection, project_id, began_at=at(-60) + A_MICROSECOND, last_down_at=at(0))
    assert made == Storm(
        id=made.id,
        project_id=project_id,
        began_at=at(-60) + A_MICROSECOND,
        last_down_at=at(0),
    )
    assert storms.lock(connection, made.id) == made


def test_every_field_that_changes_comes_back_as_it_was(
    connection: Connection, project_id: int
) -> None:
    made, other = add(connection, project_id), add(connection, project_id)
    full = replace(
        made,
        last_down_at=at(1) + A_MICROSECOND,
        held_since=at(2),
        digest_at=at(3),
        doubted_at=at(4),
        last_digest_at=at(5),
        digests=2**31 - 1,
    )
    for changed in (full, made):
        storms.save(connection, changed)
        assert storms.lock(connection, made.id) == changed
    assert storms.lock(connection, other.id) == other
    assert storms.lock(connection, rows.LARGEST) is None


def test_the_newest_storm_of_a_project_is_found(connection: Connection, project_id: int) -> None:
    assert storms.latest(connection, project_id) is None
    add(connection, project_id, at(500))
    newest = add(connection, project_id)
    add(connection, rows.project(connection))
    assert storms.latest(connection, project_id) == newest


def test_storms_of_a_project_are_judged_one_after_the_other(database: Database) -> None:
    """Each sees the outages of the other; else both might find too few."""
    with database.write() as connection:
        project_id, other = rows.project(connection), rows.project(connection)

    def judge(connection: Connection) -> int:
        storms.lock_projects(connection, [other, project_id, project_id])
        return storms.count_down(connection, project_id, after=at(-60), until=at(0), most=9)

    with ExitStack() as stack:
        with database.write() as first:
            assert judge(first) == 0
            second = stack.enter_context(meanwhile(database, judge))
            # What belongs to the project may still be stored.
            outage(first, project_id, 0)
        assert second.result(10) == 1


@on_postgresql
def test_heartbeats_do_not_wait_for_who_judges_storms(database: Database) -> None:
    with database.write() as connection:
        project_id = rows.project(connection)
    with database.write() as judging, database.write() as recording:
        storms.lock_projects(judging, [project_id])
        outage(recording, project_id, 0)


def test_those_that_went_down_are_counted_once_each(
    connection: Connection, project_id: int
) -> None:
    twice = rows.application(connection, project_id)
    outage(connection, project_id, 10, application_id=twice, closed_at=at(15))
    outage(connection, project_id, 20, application_id=twice)
    outage(connection, project_id, 20)
    outage(connection, project_id, 0)
    outage(connection, project_id, 30.000001)
    outage(connection, rows.project(connection), 20)

    def count(after: float, until: float, most: int = 99) -> int:
        return storms.count_down(
            connection, project_id, after=at(after), until=at(until), most=most
        )

    assert count(0, 30) == 2
    assert count(-0.000001, 30.000001) == 4
    assert count(-1, 99, most=3) == 3
    assert count(20, 30) == 0


def test_the_watched_are_those_that_are_not_paused(connection: Connection, project_id: int) -> None:
    for status in Status:
        rows.application(connection, project_id, status=status)
    rows.application(connection, rows.project(connection))
    assert storms.count_watched(connection, project_id, most=99) == 3
    assert storms.count_watched(connection, project_id, most=2) == 2


def test_a_storm_adopts_what_began_in_it_and_what_is_named(
    connection: Connection, project_id: int
) -> None:
    before, first, last, after, named = (
        outage(connection, project_id, seconds) for seconds in (-60, -59.999999, 0, 1, 99)
    )
    foreign = outage(connection, rows.project(connection), -1)
    earlier = add(connection, project_id)
    taken = outage(connection, project_id, -1)
    storms.adopt(connection, replace(earlier, began_at=at(-1.5), last_down_at=at(-0.5)), [])
    storm = add(connection, project_id)
    storms.adopt(connection, storm, [named])
    every = [before, first, last, after, named, foreign, taken]
    assert storms.storms_of(connection, every) == {
        first: storm.id,
        last: storm.id,
        named: storm.id,
        taken: earlier.id,
    }
    assert storms.storms_of(connection, [before]) == {}
    storms.adopt(connection, storm, [])
    assert before not in storms.storms_of(connection, every)


@on_postgresql
def test_an_outage_that_is_just_ending_is_left_out(database: Database) -> None:
    with database.write() as connection:
        project_id = rows.project(connection)
        down = rows.application(connection, project_id)
        ending = outage(connection, project_id, -1, application_id=down)
        lasting = outage(connection, project_id, -1)
        storm = add(connection, project_id)
    with database.write() as recording, database.write() as judging:
        incidents.close_open(recording, down, at(5))
        storms.adopt(judging, storm, [ending])
        assert storms.storms_of(judging, [ending, lasting]) == {lasting: storm.id}


def test_due_digests_come_longest_due_first(connection: Connection, project_id: int) -> None:
    assert storms.next_digest_at(connection) is None
    add(connection, project_id)
    assert storms.next_digest_at(connection) is None
    late, later, soon = (
        add(connection, project_id, digest_at=at(seconds)) for seconds in (5, 1, 9)
    )
    assert storms.next_digest_at(connection) == at(1)
    assert storms.due(connection, at(0.999999)) == []
    assert storms.due(connection, at(5)) == [later.id, late.id]
    storms.make_due(connection, at(2))
    first, *others = storms.due(connection, at(2))
    assert (first, set(others)) == (later.id, {late.id, soon.id})
    assert storms.next_digest_at(connection) == at(1), "what was due stays as it was"


def test_storms_that_are_over_go_a_bounded_number_at_once(
    connection: Connection, project_id: int
) -> None:
    old = [add(connection, project_id, at(seconds)) for seconds in (1, 2, 3)]
    holding = add(connection, project_id, at(4), digest_at=at(999))
    young = add(connection, project_id, at(10))
    assert storms.delete_older_than(connection, at(10), most=2) == 2
    assert storms.delete_older_than(connection, at(10), most=2) == 1
    assert storms.delete_older_than(connection, at(10), most=2) == 0
    left = connection.execute(select(tables.storms.c.id).order_by(tables.storms.c.id)).scalars()
    assert list(left) == [holding.id, young.id]
    assert add(connection, project_id).id > max(one.id for one in (*old, young))


def test_an_outage_outlives_its_storm(connection: Connection, project_id: int) -> None:
    storm = add(connection, project_id)
    made = outage(connection, project_id, -1)
    storms.adopt(connection, storm, [])
    storms.delete_older_than(connection, at(10), most=9)
    assert storms.lock(connection, storm.id) is None
    assert storms.storms_of(connection, [made]) == {made: storm.id}
    assert incidents.find(connection, project_id, made).closed_at is None
