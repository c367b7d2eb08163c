"""Touches: stored by one statement, and only where nothing but the last heartbeat changes."""

import shutil
import sqlite3
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.signal import Signal
from heartbeat_central.domain.state import State, Status, is_steady
from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.storage import heartbeats, states
from heartbeat_central.storage.engine import open_database
from heartbeat_central.storage.touch_stores import open_touch_store
from heartbeat_central.storage.touches import Touch, Touches
from tests.support.racing import waiting
from tests.support.world import World, at, signal

RUN = uuid4()
STEADY = State(
    status=Status.UP, armed_at=at(0), last_heartbeat_at=at(10), check_at=at(80), started_at=None
)
STATES = {
    "steady": STEADY,
    "new": replace(STEADY, status=Status.NEW, last_heartbeat_at=None),
    "down": replace(STEADY, status=Status.DOWN, check_at=None),
    "paused": replace(STEADY, status=Status.PAUSED, check_at=None),
    "paused and never heard from": replace(
        STEADY, status=Status.PAUSED, check_at=None, last_heartbeat_at=None
    ),
    "running": replace(STEADY, started_at=at(12)),
    "running under an id": replace(STEADY, started_at=at(12), started_rid=RUN),
    "without a check": replace(STEADY, check_at=None),
}


def put(world: World, application: ApplicationView, state: State) -> None:
    with world.database.write() as connection:
        states.save(connection, application.id, state)


def state_of(world: World, application: ApplicationView) -> State:
    with world.database.read() as connection:
        return states.load_many(connection, [application.id])[application.id]


def history(world: World, application: ApplicationView) -> list[heartbeats.Heartbeat]:
    with world.database.read() as connection:
        return heartbeats.page(connection, application.id, limit=100)


def touch(application: ApplicationView, sent: Signal, *, paused: bool = False) -> Touches:
    heard_at = None if paused else sent.received_at
    return Touches([Touch(application.id, paused, heard_at)], [(application.id, sent)])


@pytest.mark.parametrize("seen_as", ["steady", "paused"])
@pytest.mark.parametrize("name", STATES)
def test_a_touch_holds_only_for_what_is_still_as_it_was_seen(
    world: World, name: str, seen_as: str
) -> None:
    state = STATES[name]
    application = world.application()
    put(world, application, state)
    paused = seen_as == "paused"
    sent = signal(application.uuid, 20)
    lost = world.touches.store(touch(application, sent, paused=paused))
    is_so = state.status is Status.PAUSED if paused else is_steady(state)
    assert list(lost) == ([] if is_so else [application.id])
    assert len(history(world, application)) == (1 if is_so else 0)
    heard = replace(state, last_heartbeat_at=at(20)) if is_so and not paused else state
    assert state_of(world, application) == heard


@pytest.mark.parametrize(("received", "is_so"), [(29.999999, False), (30, True), (31, True)])
def test_a_touch_does_not_hold_for_what_came_before_a_deadline_was_extended(
    world: World, received: float, is_so: bool
) -> None:
    application = world.application()
    put(world, application, replace(STEADY, extended_at=at(30)))
    sent = signal(application.uuid, received)
    lost = world.touches.store(touch(application, sent))
    assert list(lost) == ([] if is_so else [application.id])
    assert len(history(world, application)) == (1 if is_so else 0)


def test_a_pause_makes_an_extended_deadline_no_matter(world: World) -> None:
    application = world.application()
    put(world, application, replace(STATES["paused"], extended_at=at(30)))
    assert not world.touches.store(touch(application, signal(application.uuid, 20), paused=True))


@pytest.mark.parametrize("name", STATES)
def test_finds_whom_touches_hold_for(world: World, name: str) -> None:
    state = STATES[name]
    application = world.application()
    put(world, application, state)
    found = world.touches.find([application.uuid, uuid4()])
    if is_steady(state) or state.status is Status.PAUSED:
        assert found == {application.uuid: (application.id, state.status is Status.PAUSED)}
    else:
        assert found == {}


def test_finds_any_number_at_once(world: World) -> None:
    applications = [world.application(f"app {number}") for number in range(70)]
    for one in applications:
        put(world, one, STEADY)
    found = world.touches.find([one.uuid for one in applications])
    assert found == {one.uuid: (one.id, False) for one in applications}


def test_every_column_of_the_history_is_stored_as_it_came(world: World) -> None:
    application = world.application()
    put(world, application, STEADY)
    full = signal(
        application.uuid,
        20.123456,
        exit_status=0,
        rid=UUID("0b1f5f3e-8c1d-4c6e-9a52-3f1f0a7f5d11"),
        body=b"\x00\xff\xfe done",
        body_size=70_000,
        method="GET",
        remote_address="2001:db8::1",
        user_agent="Bäckup/1 'quoted' \"twice\" \\",
    )
    bare = signal(application.uuid, 21)
    rows = [(application.id, full), (application.id, bare)]
    lost = world.touches.store(Touches([Touch(application.id, False, at(21))], rows))
    assert not lost
    for stored, sent in zip(reversed(history(world, application)), (full, bare), strict=True):
        for name in ("kind", "received_at", "exit_status", "rid", "body", "body_size", "method"):
            assert getattr(stored, name) == getattr(sent, name), name
        assert stored.remote_address == sent.remote_address
        assert stored.user_agent == sent.user_agent
        assert stored.duration is None


def test_a_touch_waits_for_who_is_changing_the_application_and_holds_no_more(
    world: World,
) -> None:
    application = world.application()
    put(world, application, STEADY)
    sent = touch(application, signal(application.uuid, 20))
    down = replace(STEADY, status=Status.DOWN, check_at=None)
    with ExitStack() as stack:
        with world.database.write() as changing:
            states.save(changing, application.id, down)
            store = stack.enter_context(waiting(world.database, lambda: world.touches.store(sent)))
        assert list(store.result(10)) == [application.id]
    assert state_of(world, application) == down
    assert history(world, application) == []


def test_the_last_heartbeat_only_moves_forward(world: World) -> None:
    application = world.application()
    put(world, application, STEADY)
    assert not world.touches.store(touch(application, signal(application.uuid, 5)))
    assert state_of(world, application) == STEADY
    assert len(history(world, application)) == 1


def test_nothing_else_of_a_deleted_application_is_stored(world: World) -> None:
    gone = signal(uuid4(), 5)
    assert list(world.touches.store(Touches([Touch(999, False, at(5))], [(999, gone)]))) == [999]
    with world.database.read() as connection:
        assert connection.execute(select(text("count(*) FROM heartbeats"))).scalar_one() == 0


def test_what_is_lost_is_not_stored_and_all_else_is(world: World) -> None:
    applications = [world.application(f"app {number}") for number in range(3)]
    for one, name in zip(applications, ("steady", "down", "steady"), strict=True):
        put(world, one, STATES[name])
    sent = Touches(
        [Touch(one.id, False, at(20)) for one in applications],
        [(one.id, signal(one.uuid, 20)) for one in applications],
    )
    lost = world.touches.store(sent)
    assert applications[1].id in lost
    for one in applications:
        assert len(history(world, one)) == (0 if one.id in lost else 1)


def test_a_thousand_signals_of_many_applications_fit_one_batch(world: World) -> None:
    applications = [world.application(f"app {number}") for number in range(30)]
    for one in applications:
        put(world, one, STEADY)
    rows = [
        (applications[number % 30].id, signal(applications[number % 30].uuid, 20 + number))
        for number in range(1000)
    ]
    latest = {id_: sent.received_at for id_, sent in rows}
    touches = Touches([Touch(id_, False, latest[id_]) for id_ in sorted(latest)], rows)
    assert not world.touches.store(touches)
    assert sum(len(history(world, one)) for one in applications) == 1000
    for one in applications:
        assert state_of(world, one).last_heartbeat_at == latest[one.id]


def test_a_connection_that_was_cut_is_made_anew(world: World) -> None:
    application = world.application()
    put(world, application, STEADY)
    assert not world.touches.store(touch(application, signal(application.uuid, 20)))
    if world.database.dialect == "postgresql":
        world.database.close()
        with world.database.read() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
    assert not world.touches.store(touch(application, signal(application.uuid, 21)))
    assert len(history(world, application)) == 2


def test_a_file_that_took_the_place_of_the_database_is_written_to(
    migrated_file: Path, tmp_path: Path
) -> None:
    """Another thread may be the only one to have seen that it was gone."""
    file, copy = tmp_path / "heartbeat.sqlite3", tmp_path / "copy"
    shutil.copy(migrated_file, file)
    database = open_database(f"sqlite:///{file}")
    world = World(database)
    application = world.application()
    put(world, application, STEADY)
    assert not world.touches.store(touch(application, signal(application.uuid, 20)))
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    for left in file.parent.glob(f"{file.name}*"):
        left.unlink()
    copy.rename(file)
    assert not world.touches.store(touch(application, signal(application.uuid, 21)))
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("SELECT count(*) FROM heartbeats").fetchone() == (2,)
    world.close()
    database.close()


def test_times_far_apart_are_exact(world: World) -> None:
    application = world.application()
    put(world, application, replace(STEADY, last_heartbeat_at=None))
    sent = replace(signal(application.uuid, 0), received_at=at(0) + timedelta(microseconds=1))
    assert not world.touches.store(touch(application, sent))
    assert state_of(world, application).last_heartbeat_at == sent.received_at


def test_a_server_that_is_away_is_an_unavailable_database() -> None:
    database = open_database("postgresql://user:sesame@127.0.0.1:1/nothing")
    store = open_touch_store(database)
    with pytest.raises(StorageUnavailable) as caught:
        store.find([uuid4()])
    assert "sesame" not in str(caught.value)
    database.close()
