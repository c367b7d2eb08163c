"""Outages count as downtime in the hours and days they touch, and each moment of them once."""

import math
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import insert, select

from heartbeat_central.domain.rollup import HOUR as AN_HOUR
from heartbeat_central.domain.rollup import Span
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.services import roll_up_downtime as rolling
from heartbeat_central.services.manage_applications import delete_application, pause_application
from heartbeat_central.storage import downtime as outages
from heartbeat_central.storage import tables
from tests.support import plain_rollups
from tests.support.world import BASE_URL, START, World, at, signal

MINUTE = 60
HOUR = 3600


def down(world: World, application: ApplicationView, span: Span = Span.HOUR) -> dict[float, float]:
    """Return minutes of downtime by the start of their hour or day, in hours after START."""
    return {
        (start - START) / AN_HOUR: rollup.down.total_seconds() / 60
        for (one, start), rollup in plain_rollups.stored(world.database, span).items()
        if one == application.id and rollup.down
    }


def test_an_open_outage_counts_up_to_the_last_full_hour(world: World) -> None:
    application = world.application()
    world.beat(application, 30 * MINUTE, SignalKind.FAIL)
    world.roll_up(45 * MINUTE)
    assert down(world, application) == {}
    world.roll_up(2 * HOUR + 10 * MINUTE)
    assert down(world, application) == {0: 30, 1: 60}
    world.roll_up(2 * HOUR + 50 * MINUTE)
    assert down(world, application) == {0: 30, 1: 60}
    world.roll_up(3 * HOUR)
    assert down(world, application) == {0: 30, 1: 60, 2: 60}


def test_a_closed_outage_counts_to_its_end(world: World) -> None:
    application = world.application()
    world.beat(application, 50 * MINUTE, SignalKind.FAIL)
    world.beat(application, 70 * MINUTE)
    world.roll_up(75 * MINUTE)
    assert down(world, application) == {0: 10, 1: 10}


def test_an_outage_across_midnight_counts_to_both_days(world: World) -> None:
    application = world.application()
    world.beat(application, 11 * HOUR, SignalKind.FAIL)  # at 23:00
    world.beat(application, 15 * HOUR)
    world.roll_up(16 * HOUR)
    assert down(world, application) == {11: 60, 12: 60, 13: 60, 14: 60}
    assert down(world, application, Span.DAY) == {-12: 60, 12: 180}


def test_an_outage_that_turns_out_to_have_ended_earlier_gives_back(world: World) -> None:
    application = world.application()
    world.beat(application, 30 * MINUTE, SignalKind.FAIL)
    world.roll_up(3 * HOUR)
    # The heartbeat arrived in time and waited for a database that was away.
    world.record([signal(application.uuid, 80 * MINUTE)], 3 * HOUR + 60)
    world.roll_up(3 * HOUR + 120)
    assert down(world, application) == {0: 30, 1: 20}
    assert down(world, application, Span.DAY) == {-12: 50}


def test_an_outage_that_was_over_before_it_began_takes_no_time(world: World) -> None:
    application = world.application()
    world.beat(application, 30 * MINUTE, SignalKind.FAIL)
    world.record([signal(application.uuid, 20 * MINUTE)], 31 * MINUTE)
    world.roll_up(2 * HOUR)
    assert down(world, application) == {}
    world.roll_up(3 * HOUR)
    assert down(world, application) == {}


def test_several_outages_within_an_hour_add_up(world: World) -> None:
    application = world.application()
    for minute in (10, 20, 30):
        world.beat(application, minute * MINUTE, SignalKind.FAIL)
        world.beat(application, (minute + 4) * MINUTE)
    world.roll_up(HOUR)
    assert down(world, application) == {0: 12}


def test_pausing_ends_the_downtime(world: World) -> None:
    application = world.application()
    world.beat(application, 30 * MINUTE, SignalKind.FAIL)
    pause_application(
        world.database,
        world.project_id,
        application.id,
        now=at(50 * MINUTE),
        base_url=BASE_URL,
    )
    world.roll_up(5 * HOUR)
    assert down(world, application) == {0: 20}


def test_an_outage_noticed_late_counts_from_its_deadline(world: World) -> None:
    application = world.application(interval=MINUTE, grace=0)
    world.roll_up(2 * HOUR)
    world.detect(2 * HOUR + 1)
    world.roll_up(2 * HOUR + 2)
    assert down(world, application) == {0: 59, 1: 60}


def test_heartbeats_that_are_counted_later_leave_the_downtime_alone(world: World) -> None:
    application = world.application()
    world.beat(application, 30 * MINUTE, SignalKind.FAIL)
    world.roll_up(2 * HOUR)
    world.record([signal(application.uuid, 40 * MINUTE, SignalKind.LOG)], 2 * HOUR + 1)
    world.record([signal(application.uuid, 41 * MINUTE)], 2 * HOUR + 2)
    world.roll_up(2 * HOUR + 10)
    assert down(world, application) == {0: 11}


def test_the_downtime_of_a_deleted_application_goes_with_it(world: World) -> None:
    gone, stays = world.application("gone"), world.application("stays")
    for application in (gone, stays):
        world.beat(application, 30 * MINUTE, SignalKind.FAIL)
    world.roll_up(HOUR)
    delete_application(world.database, world.project_id, gone.id, now=at(HOUR))
    world.roll_up(2 * HOUR)
    assert down(world, gone) == {}
    assert down(world, stays) == {0: 30, 1: 60}


@pytest.mark.parametrize("limits", [(1, 2), (2, 3), (100, 5)])
def test_a_step_is_bounded_and_the_next_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int]
) -> None:
    most_outages, most_hours = limits
    monkeypatch.setattr(rolling, "MOST_OUTAGES", most_outages)
    monkeypatch.setattr(rolling, "MOST_HOURS", {world.database.dialect: most_hours})
    applications = [world.application(f"app {number}") for number in range(3)]
    for application in applications:
        world.beat(application, 30 * MINUTE, SignalKind.FAIL)
    world.beat(applications[1], 6 * HOUR)
    world.roll_up(7 * HOUR)
    whole = {0: 30, 1: 60, 2: 60, 3: 60, 4: 60, 5: 60, 6: 60}
    assert down(world, applications[0]) == whole
    assert down(world, applications[1]) == {**dict(list(whole.items())[:-1])}
    assert down(world, applications[2]) == whole


def test_an_outage_that_another_process_counted_meanwhile_is_not_counted_again(
    world: World,
) -> None:
    application = world.application()
    world.beat(application, 30 * MINUTE, SignalKind.FAIL)
    with world.database.read() as connection:
        (seen,) = outages.unrolled(connection, until=at(HOUR), most=10)
    world.roll_up(HOUR)
    with world.database.write() as connection:
        assert not outages.mark_rolled(connection, seen, until=at(HOUR))


def test_a_whole_fleet_that_is_down_is_walked_through_once_an_hour(world: World) -> None:
    """What is counted already isn't looked at again and again within a round."""
    application = world.application()
    with world.database.write() as connection:
        ids = list(
            connection.execute(
                insert(tables.applications).returning(tables.applications.c.id),
                [fleet_row(world, number) for number in range(500)],
            ).scalars()
        )
        connection.execute(
            insert(tables.incidents),
            [
                {
                    "project_id": world.project_id,
                    "application_id": one,
                    "reason": "missed",
                    "opened_at": at(30 * MINUTE),
                }
                for one in ids
            ],
        )
    found: list[int] = []
    after_id: int | None = 0
    while after_id is not None:
        found.append(after_id)
        after_id = rolling.roll_up_downtime(world.database, until=at(2 * HOUR), after_id=after_id)
    # Each is down in two hours; on SQLite a step takes fewer hours than 200 outages have.
    at_once = min(rolling.MOST_OUTAGES, rolling.MOST_HOURS[world.database.dialect] // 2)
    assert len(found) == 1 + math.ceil(500 / at_once)
    with world.database.read() as connection:
        ends = set(connection.execute(select(tables.incidents.c.rolled_until)).scalars())
    assert ends == {at(2 * HOUR)}
    assert down(world, application) == {}


def fleet_row(world: World, number: int) -> dict[str, object]:
    return {
        "project_id": world.project_id,
        "uuid": uuid4(),
        "name": f"app {number}",
        "slug": f"app-{number}",
        "description": "",
        "tags": [],
        "expected_interval": 60,
        "grace_period": 0,
        "expect_first_heartbeat": True,
        "created_at": START,
        "updated_at": START,
    }


def test_the_time_before_now_is_never_counted_twice(world: World) -> None:
    application = world.application()
    world.beat(application, 5 * MINUTE, SignalKind.FAIL)
    for minute in range(60, 300, 37):
        world.roll_up(minute * MINUTE)
    world.beat(application, 290 * MINUTE)
    world.roll_up(300 * MINUTE)
    total = sum(down(world, application).values())
    assert timedelta(minutes=total) == timedelta(minutes=285)
    assert max(down(world, application).values()) == 60
