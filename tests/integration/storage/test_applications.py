"""Applications: every setting comes back, and what goes when one is deleted."""

from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, delete, func, select, update

from heartbeat_central.domain.application import Application, ApplicationSettings, settings_from
from heartbeat_central.domain.errors import Invalid, NotFound
from heartbeat_central.domain.rollup import Rollup, Span
from heartbeat_central.domain.schedule import LONGEST_SPAN
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.storage import (
    applications,
    channels,
    counts,
    heartbeats,
    problems,
    rollups,
    states,
    tables,
)
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.heartbeats import NewHeartbeat
from tests.support import rows
from tests.support.racing import meanwhile
from tests.support.rows import NOON, at

A_MICROSECOND = timedelta(microseconds=1)


def settings(**given: Any) -> ApplicationSettings:
    return settings_from(
        **{"name": "Backup", "expected_interval": 60, "schedule": None, "grace_period": 10, **given}
    )


SETTINGS = {
    "the usual": settings(),
    "the least": settings(name="x", expected_interval=1, grace_period=0),
    "the most": settings(
        name="🔥" * 200,
        slug="a" * 200,
        description="ß\n" * 5_000,
        tags=["🇩🇪" * 50] * 50,
        expected_interval=LONGEST_SPAN,
        grace_period=LONGEST_SPAN,
        expect_first_heartbeat=False,
    ),
    "cron": settings(
        expected_interval=None,
        schedule={
            "kind": "cron",
            "expression": "30 2 * * 1-5",
            "timezone": "America/Argentina/ComodRivadavia",
        },
    ),
    "OnCalendar": settings(
        expected_interval=None,
        schedule={"kind": "oncalendar", "expression": "Mon..Fri 02:30", "timezone": "UTC"},
    ),
    "quotes and wildcards": settings(
        name="100%_\\ 'quoted' \"twice\" {a} :b", tags=["{", "null", "[1]", "\\u0041"]
    ),
}


def add(
    connection: Connection, project_id: int, given: ApplicationSettings, uuid: UUID | None = None
) -> int:
    return applications.add(
        connection, project_id=project_id, uuid=uuid or uuid4(), settings=given, now=NOON
    )


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_comes_back_as_it_was(
    connection: Connection, project_id: int, name: str
) -> None:
    uuid = uuid4()
    made = add(connection, project_id, SETTINGS[name], uuid)
    expected = Application(
        id=made,
        uuid=uuid,
        project_id=project_id,
        settings=SETTINGS[name],
        channel_ids=(),
        created_at=NOON,
        updated_at=NOON,
    )
    assert applications.load(connection, made) == expected
    assert applications.find(connection, project_id, made) == expected
    assert applications.find(connection, project_id, uuid) == expected


@pytest.mark.parametrize("before", SETTINGS)
@pytest.mark.parametrize("after", ["cron", "the usual"])
def test_changed_settings_replace_all_that_was_there(
    connection: Connection, project_id: int, before: str, after: str
) -> None:
    made, other = (add(connection, project_id, SETTINGS[before]) for _ in range(2))
    later = at(5) + A_MICROSECOND
    applications.save_settings(connection, made, SETTINGS[after], now=later)
    found = applications.load(connection, made)
    assert found.settings == SETTINGS[after]
    assert (found.created_at, found.updated_at) == (NOON, later)
    assert applications.load(connection, other).settings == SETTINGS[before]


def test_a_problem_is_stored_until_it_is_solved_and_counted(
    connection: Connection, project_id: int
) -> None:
    first, second, fine = (rows.application(connection, project_id) for _ in range(3))
    problems.save(connection, {}, now=NOON)
    problems.save(connection, {second: "🔥" * 1_000, first: "schedule: unknown"}, now=NOON)

    def stored() -> list[str | None]:
        found = applications.load_many(connection, [first, second, fine])
        return [found[one].problem for one in (first, second, fine)]

    assert stored() == ["schedule: unknown", "🔥" * 1_000, None]
    assert counts.unreadable_applications(connection) == 2
    problems.save(connection, {first: None, rows.LARGEST: "nobody's"}, now=NOON)
    assert stored() == [None, "🔥" * 1_000, None]
    assert counts.unreadable_applications(connection) == 1


def test_what_can_not_be_read_of_one_costs_the_others_nothing(
    connection: Connection, project_id: int
) -> None:
    """The more so in one look: a library or a person may have left it there."""
    bad: dict[str, dict[str, Any]] = {
        "schedule": {
            "expected_interval": None,
            "schedule_kind": "moon",
            "schedule_expression": "new",
        },
        "interval": {"expected_interval": -1},
        "zone": {
            "expected_interval": None,
            "schedule_kind": "cron",
            "schedule_expression": "* * * * *",
            "schedule_timezone": "Mars/Olympus",
        },
        "tags": {"tags": 7},
        "name": {"name": ""},
    }
    fine = rows.application(connection, project_id, "fine")
    made = {name: rows.application(connection, project_id, name) for name in bad}
    for name, values in bad.items():
        statement = update(tables.applications).where(tables.applications.c.id == made[name])
        connection.execute(statement.values(values))
    found = applications.load_many(connection, [fine, *made.values()])
    assert found.pop(fine).problem is None
    for name in ("schedule", "interval", "zone"):
        assert found[made[name]].settings.timing.problem, name
        assert found[made[name]].settings.name == name
    assert found[made["tags"]].problem
    assert found[made["name"]].settings.name == f"Application {made['name']}"


def test_applications_of_other_projects_are_not_found(
    connection: Connection, project_id: int
) -> None:
    made = rows.application(connection, project_id)
    uuid = applications.load(connection, made).uuid
    other = rows.project(connection)
    refs: list[tuple[int, int | UUID]] = [
        *((other, made), (other, uuid)),
        *((project_id, made + 1), (project_id, uuid4())),
        *((project_id, rows.LARGEST), (project_id, -1)),
    ]
    for whose, ref in refs:
        with pytest.raises(NotFound):
            applications.find(connection, whose, ref)
    with pytest.raises(NotFound):
        applications.load(connection, made + 1)


def test_many_are_loaded_at_once_and_those_that_are_gone_lack(
    connection: Connection, project_id: int
) -> None:
    made = [rows.application(connection, project_id, f"app {number}") for number in range(3)]
    applications.remove(connection, made[1])
    assert applications.load_many(connection, []) == {}
    found = applications.load_many(connection, [*made, rows.LARGEST])
    assert {id_: one.settings.name for id_, one in found.items()} == {
        made[0]: "app 0",
        made[2]: "app 2",
    }


def test_a_uuid_is_given_once(connection: Connection, project_id: int) -> None:
    uuid = uuid4()
    add(connection, project_id, settings(), uuid)
    with rows.refused(connection):
        add(connection, rows.project(connection), settings(), uuid)


def test_an_application_is_subscribed_to_exactly_the_channels_given(
    connection: Connection, project_id: int
) -> None:
    first, second, third = (rows.channel(connection, project_id) for _ in range(3))
    made, other = (rows.application(connection, project_id) for _ in range(2))

    def subscribe(*channel_ids: int) -> tuple[int, ...]:
        applications.set_channels(connection, project_id, made, channel_ids)
        return applications.load(connection, made).channel_ids

    applications.set_channels(connection, project_id, other, [first])
    assert subscribe(third, first, third) == (first, third)
    assert subscribe(second) == (second,)
    assert subscribe() == ()
    assert applications.load(connection, other).channel_ids == (first,)
    assert applications.all_channels(connection, project_id) == [first, second, third]


def test_channels_that_the_project_does_not_have_are_named_and_change_nothing(
    connection: Connection, project_id: int
) -> None:
    mine = rows.channel(connection, project_id)
    foreign = rows.channel(connection, rows.project(connection))
    made = rows.application(connection, project_id, channel_ids=[mine])
    with pytest.raises(Invalid, match=f"there is no channel {foreign}, {rows.LARGEST}") as caught:
        applications.set_channels(connection, project_id, made, [rows.LARGEST, foreign, mine])
    assert [error.field for error in caught.value.errors] == ["channels"]
    assert applications.load(connection, made).channel_ids == (mine,)


def furnish(connection: Connection, project_id: int, channel_id: int) -> int:
    """Store an application with something in every table that knows of applications."""
    made = rows.application(connection, project_id, channel_ids=[channel_id])
    incident_id = rows.incident(connection, project_id, made)
    rows.deliveries(
        connection, project_id, [channel_id], application_id=made, incident_id=incident_id
    )
    for span in Span:
        rollups.save(connection, span, {(made, span.start(NOON)): Rollup(failures=1)})
    signal = Signal(uuid=uuid4(), kind=SignalKind.SUCCESS, received_at=NOON)
    heartbeats.insert_many(connection, [NewHeartbeat(made, signal, None)])
    return made


def held(connection: Connection) -> dict[str, int]:
    """Return the tables that hold something, with how many rows."""
    counts = {one.name: rows.count(connection, one) for one in tables.metadata.sorted_tables}
    return {name: rows for name, rows in counts.items() if rows and name != "rollup_progress"}


def test_a_deleted_application_takes_along_what_is_its_own_and_no_more(
    connection: Connection, project_id: int
) -> None:
    channel_id = rows.channel(connection, project_id)
    kept = furnish(connection, project_id, channel_id)
    before = held(connection)
    gone = furnish(connection, project_id, channel_id)
    applications.remove(connection, gone)
    # Its history goes with the next pruning, and its alerts tell people that it was deleted.
    left = {"heartbeats": 2, "alerts": 2, "deliveries": 2}
    assert held(connection) == before | left
    assert applications.load(connection, kept).channel_ids == (channel_id,)


def test_a_deleted_project_takes_along_all_but_the_history(
    connection: Connection, project_id: int
) -> None:
    furnish(connection, project_id, rows.channel(connection, project_id))
    before = held(connection)
    other = rows.project(connection)
    furnish(connection, other, rows.channel(connection, other))
    connection.execute(delete(tables.projects).where(tables.projects.c.id == other))
    assert held(connection) == before | {"heartbeats": 2}


def test_the_id_of_a_deleted_application_is_never_given_again(
    connection: Connection, project_id: int
) -> None:
    """Or a new one would come with the history of the old."""
    gone = rows.application(connection, project_id)
    applications.remove(connection, gone)
    assert rows.application(connection, project_id) > gone
    newest = connection.execute(select(func.max(tables.applications.c.id))).scalar_one()
    assert newest > gone


def test_an_application_is_deleted_after_what_a_heartbeat_of_it_sets_off(
    database: Database,
) -> None:
    """Each would wait for a row of the other, did they not begin with the same one."""
    with database.write() as connection:
        project_id = rows.project(connection)
        made = rows.application(connection, project_id)
        uuid = applications.load(connection, made).uuid
    with ExitStack() as stack:
        with database.write() as recording:
            assert uuid in states.lock_for_signals(recording, [uuid])
            removal = stack.enter_context(
                meanwhile(database, lambda connection: applications.remove(connection, made))
            )
            rows.incident(recording, project_id, made)
        removal.result(10)
    with database.read() as connection:
        for table in (tables.applications, tables.application_states, tables.incidents):
            assert rows.count(connection, table) == 0


def test_a_heartbeat_after_the_deletion_is_for_nobody(database: Database) -> None:
    with database.write() as connection:
        made = rows.application(connection, rows.project(connection))
        uuid = applications.load(connection, made).uuid
    with ExitStack() as stack:
        with database.write() as deleting:
            applications.remove(deleting, made)
            recording = stack.enter_context(
                meanwhile(database, lambda connection: states.lock_for_signals(connection, [uuid]))
            )
        assert recording.result(10) == {}


def test_a_channel_that_is_deleted_meanwhile_is_no_channel(database: Database) -> None:
    with database.write() as connection:
        project_id = rows.project(connection)
        gone = rows.channel(connection, project_id)
        made = rows.application(connection, project_id)
    with ExitStack() as stack:
        with database.write() as deleting:
            channels.remove(deleting, gone)
            subscribing = stack.enter_context(
                meanwhile(
                    database,
                    lambda connection: applications.set_channels(
                        connection, project_id, made, [gone]
                    ),
                )
            )
        with pytest.raises(Invalid, match="there is no channel"):
            subscribing.result(10)
