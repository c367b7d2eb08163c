"""Hot state: each field comes back, what is due is claimed by one node, and who is left alone."""

from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, delete, select

from heartbeat_central.domain.errors import NotFound
from heartbeat_central.domain.schedule import CronSchedule, IntervalSchedule, Timing
from heartbeat_central.domain.state import State, Status
from heartbeat_central.storage import applications, incidents, states, tables
from heartbeat_central.storage.engine import Database
from tests.support import rows
from tests.support.racing import meanwhile
from tests.support.rows import NOON, at, on_postgresql

A_MICROSECOND = timedelta(microseconds=1)
FULL = State(
    status=Status.UP,
    armed_at=NOON - A_MICROSECOND,
    last_heartbeat_at=at(1) + A_MICROSECOND,
    started_at=at(2) + 2 * A_MICROSECOND,
    started_rid=UUID("ffffffff-ffff-ffff-ffff-ffffffffffff"),
    check_at=at(3) + 3 * A_MICROSECOND,
    extended_at=at(4) + 4 * A_MICROSECOND,
)
BARE = State(status=Status.PAUSED, armed_at=NOON)


def uuid_of(connection: Connection, application_id: int) -> UUID:
    return applications.load(connection, application_id).uuid


def due(connection: Connection, project_id: int, *checks: datetime | None) -> list[int]:
    """Store an application for each of these moments, at which it must be judged."""
    return [rows.application(connection, project_id, check_at=check_at) for check_at in checks]


@pytest.mark.parametrize("state", [FULL, BARE, *(replace(BARE, status=one) for one in Status)])
def test_every_field_comes_back_as_it_was(
    connection: Connection, project_id: int, state: State
) -> None:
    made = rows.application(connection, project_id)
    other = rows.application(connection, project_id)
    states.save(connection, made, state)
    assert states.lock(connection, made) == state
    assert states.load_many(connection, [made, other, rows.LARGEST]) == {
        made: state,
        other: State(status=Status.NEW, armed_at=NOON),
    }
    states.save(connection, made, BARE)
    assert states.lock(connection, made) == BARE, "what is None replaces what was there"


def test_many_are_saved_at_once_each_its_own(connection: Connection, project_id: int) -> None:
    made = [rows.application(connection, project_id) for _ in range(4)]
    changed = {one: replace(BARE, armed_at=at(one)) for one in reversed(made[:3])}
    states.save_many(connection, {})
    states.save_many(connection, changed)
    untouched = {made[3]: State(status=Status.NEW, armed_at=NOON)}
    assert states.load_many(connection, made) == changed | untouched


def test_an_application_has_one_state_and_a_state_its_application(
    connection: Connection, project_id: int
) -> None:
    made = rows.application(connection, project_id)
    for application_id in (made, rows.LARGEST):
        with rows.refused(connection):
            states.insert_state(connection, application_id, BARE)


def test_a_state_that_is_gone_can_not_be_locked(connection: Connection) -> None:
    with pytest.raises(NotFound):
        states.lock(connection, rows.LARGEST)


def test_who_changes_an_application_that_is_deleted_meanwhile_hears_that_it_is_gone(
    database: Database,
) -> None:
    with database.write() as connection:
        made = rows.application(connection, rows.project(connection))
    with ExitStack() as stack:
        with database.write() as deleting:
            applications.remove(deleting, made)
            changing = stack.enter_context(
                meanwhile(database, lambda connection: states.lock(connection, made))
            )
        with pytest.raises(NotFound):
            changing.result(10)


def test_what_judging_a_signal_needs_comes_by_uuid(connection: Connection, project_id: int) -> None:
    made = rows.application(connection, project_id, status=Status.UP, check_at=at(70))
    uuid = uuid_of(connection, made)
    found = states.lock_for_signals(connection, [uuid, uuid4(), uuid])
    assert list(found) == [uuid]
    assert found[uuid] == states.Watched(
        made,
        uuid,
        project_id,
        Timing(schedule=IntervalSchedule(60), grace_period=10),
        State(status=Status.UP, armed_at=NOON, check_at=at(70)),
    )
    assert states.lock_for_signals(connection, []) == {}


def test_a_batch_waits_for_the_batch_before_it(database: Database) -> None:
    """It judges what that one has left, so that no heartbeat is forgotten."""
    with database.write() as connection:
        made = rows.application(connection, rows.project(connection), status=Status.UP)
        uuid = uuid_of(connection, made)
    with ExitStack() as stack:
        with database.write() as first:
            states.lock_for_signals(first, [uuid])
            states.save(first, made, FULL)
            second = stack.enter_context(
                meanwhile(database, lambda connection: states.lock_for_signals(connection, [uuid]))
            )
        assert second.result(10)[uuid].state == FULL


@on_postgresql
def test_batches_lock_applications_in_one_order_whatever_theirs_is(database: Database) -> None:
    """So none holds what the other waits for."""
    with database.write() as connection:
        made = due(connection, rows.project(connection), at(0), at(0))
        first, second = (uuid_of(connection, one) for one in made)

    def lock_both(connection: Connection) -> int:
        return len(states.lock_for_signals(connection, [second, first]))

    for held, left in ((first, [made[1]]), (second, [])):
        with ExitStack() as stack:
            with database.write() as other:
                states.lock_for_signals(other, [held])
                batch = stack.enter_context(meanwhile(database, lock_both))
                with database.write() as third:
                    free = [one.id for one in states.lock_due(third, now=at(1), most=9)]
            assert batch.result(10) == 2
        assert free == left


def test_what_is_due_comes_longest_due_first_and_no_more_than_asked_for(
    connection: Connection, project_id: int
) -> None:
    late, never, soon, first, just = due(
        connection, project_id, at(5), None, at(11) + A_MICROSECOND, at(1), at(11)
    )
    found = states.lock_due(connection, now=at(11), most=10)
    assert [one.id for one in found] == [first, late, just]
    assert [one.id for one in states.lock_due(connection, now=at(11), most=2)] == [first, late]
    assert {never, soon}.isdisjoint(one.id for one in found)
    assert states.lock_due(connection, now=at(0), most=10) == []


def test_the_earliest_check_is_known(connection: Connection, project_id: int) -> None:
    assert states.earliest_check(connection) is None
    due(connection, project_id, None)
    assert states.earliest_check(connection) is None
    due(connection, project_id, at(5), at(1) + A_MICROSECOND, at(9))
    assert states.earliest_check(connection) == at(1) + A_MICROSECOND


def test_a_cron_schedule_comes_with_what_is_due(connection: Connection, project_id: int) -> None:
    (made,) = due(connection, project_id, at(0))
    timing = {"schedule_kind": "cron", "schedule_expression": "0 3 * * *"}
    connection.execute(
        tables.applications.update().values(
            expected_interval=None, schedule_timezone="Europe/Vienna", **timing
        )
    )
    (found,) = states.lock_due(connection, now=at(1), most=1)
    assert found.id == made
    assert found.timing.schedule == CronSchedule("0 3 * * *", "Europe/Vienna")


@on_postgresql
def test_detectors_share_what_is_due_and_none_waits(database: Database) -> None:
    with database.write() as connection:
        made = due(connection, rows.project(connection), *(at(second) for second in range(6)))
        uuid = uuid_of(connection, made[0])
    with database.write() as recording, database.write() as first, database.write() as second:
        states.lock_for_signals(recording, [uuid])
        claimed = [
            [one.id for one in states.lock_due(node, now=at(10), most=3)]
            for node in (first, second)
        ]
    assert claimed == [made[1:4], made[4:]], "a heartbeat that is just stored is not judged over"


def test_checks_are_made_due_page_by_page(connection: Connection, project_id: int) -> None:
    past, first, never, second, third = due(
        connection, project_id, at(-5), at(100), None, at(200), at(300)
    )

    def checks() -> dict[int, datetime | None]:
        return {
            id_: state.check_at
            for id_, state in states.load_many(
                connection, [past, first, never, second, third]
            ).items()
        }

    assert states.make_due(connection, now=at(0), after_id=0, most=2) == first
    before = {past: at(-5), never: None}
    assert checks() == before | {first: at(0), second: at(200), third: at(300)}
    assert states.make_due(connection, now=at(0), after_id=first, most=10) == third
    assert checks() == before | {first: at(0), second: at(0), third: at(0)}
    assert states.make_due(connection, now=at(0), after_id=third, most=10) is None


def test_the_unheard_of_are_those_that_were_watched_then_and_silent_since(
    connection: Connection, project_id: int
) -> None:
    def add(**state: Any) -> int:
        given: dict[str, Any] = {
            "armed_at": at(0),
            "check_at": at(500),
            "status": Status.UP,
            **state,
        }
        return rows.application(connection, project_id, **given)

    def down(opened_at: datetime, closed_at: datetime | None = None) -> int:
        made = add(status=Status.DOWN, check_at=None)
        rows.incident(connection, project_id, made, opened_at, closed_at=closed_at)
        return made

    expected = [
        add(),
        add(last_heartbeat_at=at(99) + timedelta(microseconds=999_999)),
        down(at(100)),
    ]
    add(armed_at=at(100))
    add(last_heartbeat_at=at(100))
    add(check_at=None)
    add(status=Status.PAUSED, check_at=None)
    down(at(99))
    down(at(120), closed_at=at(130))
    found = states.unheard_since(connection, at(100), after_id=0, most=100)
    assert [one.id for one in found] == expected
    assert found[0].state.check_at == at(500)
    page = states.unheard_since(connection, at(100), after_id=expected[0], most=1)
    assert [one.id for one in page] == expected[1:2]


def test_deleting_an_application_leaves_no_check_behind(
    connection: Connection, project_id: int
) -> None:
    due(connection, project_id, at(1))
    connection.execute(delete(tables.applications))
    assert connection.execute(select(tables.application_states)).all() == []
    assert states.earliest_check(connection) is None
    assert incidents.open_of(connection, [1]) == {}
