"""Open pages hear of whatever they show, and asking costs the same however much there is."""

from collections.abc import Callable

import pytest
from sqlalchemy import event, select

from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.services.fingerprint import fingerprint
from heartbeat_central.services.manage_applications import (
    change_application,
    delete_application,
    pause_application,
)
from heartbeat_central.storage.tables import projects
from tests.support.world import BASE_URL, World, at, on_postgresql

Change = Callable[[World, ApplicationView], object]


def _edit(world: World, one: ApplicationView, **changes: object) -> None:
    change_application(
        world.database, world.project_id, one.id, changes, now=at(5), base_url=BASE_URL
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda world, _: world.application("another"), id="created"),
        pytest.param(lambda world, one: _edit(world, one, name="renamed"), id="renamed"),
        pytest.param(lambda world, one: _edit(world, one, channels=[]), id="channels"),
        pytest.param(
            lambda world, one: pause_application(
                world.database, world.project_id, one.id, now=at(5), base_url=BASE_URL
            ),
            id="paused",
        ),
        pytest.param(
            lambda world, one: delete_application(
                world.database, world.project_id, one.id, now=at(5)
            ),
            id="deleted",
        ),
        pytest.param(lambda world, one: world.beat(one, 5), id="heartbeat"),
        pytest.param(lambda world, one: world.beat(one, 5, SignalKind.START), id="start"),
        pytest.param(lambda world, one: world.beat(one, 5, SignalKind.FAIL), id="failure"),
        pytest.param(lambda world, _: world.detect(600), id="gone down"),
    ],
)
def test_it_differs_after(world: World, change: Change) -> None:
    application = world.application()
    world.beat(application, 1)
    world.beat(application, 2)
    before = fingerprint(world.database, world.project_id)
    assert fingerprint(world.database, world.project_id) == before
    change(world, application)
    assert fingerprint(world.database, world.project_id) != before


def test_it_differs_once_a_delivery_was_attempted(world: World) -> None:
    # Nobody listens on port 9: the attempt fails at once.
    channel = world.webhook("http://127.0.0.1:9/")
    world.application(channels=[channel])
    world.detect(600)
    before = fingerprint(world.database, world.project_id)
    (claimed,) = world.claim(601)
    world.send(claimed, 601)
    assert fingerprint(world.database, world.project_id) != before


def test_heartbeats_and_outages_leave_the_row_that_all_share_alone(world: World) -> None:
    application = world.application()

    def changes() -> int:
        with world.database.read() as connection:
            return connection.execute(select(projects.c.changes)).scalar_one()

    before = changes()
    for second, kind in enumerate((SignalKind.SUCCESS, SignalKind.START, SignalKind.FAIL), 1):
        world.beat(application, second, kind)
    world.beat(application, 10)
    world.detect(600)
    assert changes() == before


@on_postgresql
def test_it_looks_at_the_ends_of_indexes_alone(world: World) -> None:
    statements: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(world.database.engine, "before_cursor_execute", note)
    fingerprint(world.database, world.project_id)
    event.remove(world.database.engine, "before_cursor_execute", note)
    assert statements
    assert not [one for one in statements if "application" in one]
