"""Every heartbeat is counted once, whatever comes late, dies in between or runs twice."""

import itertools
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import event, insert

from heartbeat_central.domain.rollup import Rollup, Span, next_time
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.services import roll_up_history
from heartbeat_central.services.manage_applications import delete_application
from heartbeat_central.services.roll_up_history import RollUp
from heartbeat_central.storage import roll_up_progress, tables
from heartbeat_central.storage.engine import Database
from tests.support import plain_rollups
from tests.support.world import START, World, at, on_postgresql, signal

HOUR = 3600
DAY = 24 * HOUR


def hours_of(world: World, application: ApplicationView) -> dict[float, Rollup]:
    """Return an application's hourly rollups by their start, in hours after START."""
    return {
        (hour - START) / timedelta(hours=1): rollup
        for (one, hour), rollup in plain_rollups.stored(world.database, Span.HOUR).items()
        if one == application.id
    }


def assert_all_counted(world: World, seconds: float) -> None:
    """The rollups are what all heartbeats and outages up to the last full hour come to."""
    for span in Span:
        counted = plain_rollups.stored(world.database, span)
        hour = Span.HOUR.start(at(seconds))
        assert counted == plain_rollups.expected(world.database, span, until=hour)


def rolling(world: World, most: int = 1_000) -> RollUp:
    """Return a node whose steps count at most `most` heartbeats, and store as many hours."""
    return RollUp(world.database, most=most)


def finish(rolling: RollUp, seconds: float) -> int:
    """Run steps until the round has ended; return how many."""
    now, steps = at(seconds), 1
    while rolling.step(now=now) != next_time(now):
        steps += 1
        assert steps < 1_000
    return steps


def test_counts_signals_by_hour_and_day(world: World) -> None:
    application = world.application()
    run = uuid4()
    world.record(
        [
            signal(application.uuid, 10, SignalKind.START, rid=run),
            signal(application.uuid, 40, rid=run),
            signal(application.uuid, 100),
            signal(application.uuid, 110, SignalKind.LOG),
            signal(application.uuid, 120, SignalKind.FAIL),
            signal(application.uuid, HOUR + 700),
        ]
    )
    world.roll_up(HOUR + 800)
    hours = hours_of(world, application)
    assert hours[0].successes == 2
    assert hours[0].failures == 1
    assert hours[0].longest_gap == timedelta(seconds=60)
    assert (hours[0].runs, hours[0].run_time) == (1, timedelta(seconds=30))
    assert hours[1].successes == 1
    assert_all_counted(world, HOUR + 800)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_added_step_by_step_is_what_all_come_to(world: World, seed: int) -> None:
    chance = random.Random(seed)
    applications = [world.application(f"app {number}") for number in range(4)]
    deleted = applications.pop()
    now = 0.0
    for batch in range(10):
        now += chance.choice([1, 60, HOUR, 7 * HOUR])
        signals = []
        for _ in range(chance.randrange(40)):
            # Some waited in a queue, some come from an import, a clock ahead sent a few.
            late = chance.choice([0, 0, 0, 30, HOUR, 30 * HOUR, -600])
            kind = chance.choice([SignalKind.SUCCESS] * 5 + list(SignalKind))
            application = chance.choice([*applications, deleted])
            signals.append(signal(application.uuid, now - late - chance.random(), kind))
        if signals:
            world.record(signals, now)
        if batch == 7:
            delete_application(world.database, world.project_id, deleted.id, now=at(now))
        if chance.random() < 0.6:
            finish(rolling(world, most=chance.choice([3, 7, 1_000])), now)
    finish(rolling(world), now)
    assert_all_counted(world, now)


def test_a_heartbeat_from_long_ago_is_added_to_its_own_hour(world: World) -> None:
    application = world.application()
    world.record([signal(application.uuid, -40 * DAY), signal(application.uuid, -40 * DAY + 600)])
    world.roll_up(0)
    world.record([signal(application.uuid, -40 * DAY + 120)], 5)
    world.roll_up(10)
    (hour,) = hours_of(world, application).values()
    assert (hour.successes, hour.longest_gap) == (3, timedelta(seconds=480))
    assert_all_counted(world, 10)


def test_a_late_heartbeat_whose_hour_is_pruned_leaves_an_upper_bound(world: World) -> None:
    application = world.application()
    world.record([signal(application.uuid, 0), signal(application.uuid, 600)])
    world.roll_up(700)
    with world.database.write() as connection:
        connection.execute(
            tables.heartbeats.delete().where(tables.heartbeats.c.received_at == at(0))
        )
    world.record([signal(application.uuid, 300)], 800)
    world.roll_up(900)
    (hour,) = hours_of(world, application).values()
    assert (hour.successes, hour.longest_gap) == (3, timedelta(seconds=600))


def test_a_deleted_application_has_no_rollups_and_holds_nothing_up(world: World) -> None:
    gone, stays = world.application("gone"), world.application("stays")
    world.record([signal(gone.uuid, 1), signal(stays.uuid, 2)])
    delete_application(world.database, world.project_id, gone.id, now=at(3))
    world.roll_up(10)
    assert set(hours_of(world, stays)) == {0}
    assert hours_of(world, gone) == {}
    assert_all_counted(world, 10)


def test_an_application_may_be_deleted_while_its_heartbeats_are_counted(world: World) -> None:
    gone, stays = world.application("gone"), world.application("stays")
    world.record([signal(gone.uuid, 1), signal(stays.uuid, 2)])
    asked = 0

    def timer() -> float:
        nonlocal asked
        asked += 1
        if asked == 2:  # after counting, before storing
            delete_application(world.database, world.project_id, gone.id, now=at(3))
        return asked / 1000

    finish(RollUp(world.database, timer=timer), 10)
    assert hours_of(world, gone) == {}
    assert_all_counted(world, 10)


def test_a_round_counts_what_there_is_when_it_begins_and_the_next_one_the_rest(
    world: World,
) -> None:
    application = world.application()
    world.record([signal(application.uuid, second) for second in range(4)])
    node = rolling(world, most=2)
    assert node.step(now=at(10)) == at(10), "there is more"
    world.beat(application, 11)
    finish(node, 12)
    assert hours_of(world, application)[0].successes == 4
    finish(node, 200)
    assert hours_of(world, application)[0].successes == 5


def test_a_count_that_comes_to_too_much_is_tried_smaller(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roll_up_history, "MOST_HOURS", 150)
    application = world.application()
    world.record([signal(application.uuid, hour * HOUR) for hour in range(-320, 0)], 0)
    finish(RollUp(world.database), 60)
    assert_all_counted(world, 60)


@pytest.mark.parametrize(
    ("slow", "stored_each"),
    [
        (False, [200, 400, 800, 1600, 0]),  # each twice as much as the last
        (True, [200, 100, 50, 25, 12, 10, 10, 10]),  # smaller at once, yet it goes on
    ],
)
def test_steps_grow_and_shrink_with_the_time_they_take(
    world: World, slow: bool, stored_each: list[int]
) -> None:
    application = world.application()
    world.record([signal(application.uuid, -hour * HOUR) for hour in range(3_000)], 0)
    twice_too_long = 2 * roll_up_history.WRITE_SECONDS[world.database.dialect]
    clock = itertools.count(0.0, twice_too_long if slow else 0.0)
    node = RollUp(world.database, timer=lambda: next(clock))
    node.step(now=at(60))
    seen = [0]
    for _ in stored_each:
        node.step(now=at(60))
        seen.append(len(hours_of(world, application)))
    grown = [after - before for before, after in itertools.pairwise(seen)]
    assert grown == pytest.approx(stored_each, abs=2)


# --- crashes -----------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for a process that ends at this very moment."""


@contextmanager
def killed_at(database: Database, number: int) -> Iterator[None]:
    """End what runs before its statement with this number, counted from 0."""
    seen = iter(range(1_000_000))

    def before(*_: object) -> None:
        if next(seen) == number:
            raise Killed

    event.listen(database.engine, "before_cursor_execute", before)
    try:
        yield
    finally:
        event.remove(database.engine, "before_cursor_execute", before)


def test_whatever_statement_it_dies_at_nothing_is_counted_twice_or_lost(world: World) -> None:
    applications = [world.application(f"app {number}") for number in range(3)]
    for second in (0, HOUR, 26 * HOUR):
        world.record([signal(one.uuid, second + number) for number, one in enumerate(applications)])
    world.detect(27 * HOUR)
    world.beat(applications[0], 29 * HOUR + 100)
    survived = 0
    for statement in range(1_000):
        try:
            with killed_at(world.database, statement):
                finish(rolling(world, most=2), 30 * HOUR)
        except Killed:
            continue
        survived += 1
        if survived == 2:  # the first may have done the last of the work itself
            break
    assert survived == 2
    assert_all_counted(world, 30 * HOUR)


# --- several at once ---------------------------------------------------------------------------


def test_several_nodes_at_once_count_everything_once(world: World) -> None:
    applications = [world.application(f"app {number}") for number in range(5)]
    for second in range(30):
        world.record([signal(one.uuid, second * 300) for one in applications])
    world.detect(10 * HOUR)
    everyone = threading.Barrier(4)

    def node(_: int) -> None:
        everyone.wait(20)
        # To a node that finds another one at work, coming back is the same as starting anew.
        for _ in range(40):
            rolling(world, most=10).step(now=at(11 * HOUR))

    with ThreadPoolExecutor(4) as nodes:
        list(nodes.map(node, range(4)))
    finish(rolling(world), 11 * HOUR)
    assert_all_counted(world, 11 * HOUR)


@on_postgresql
def test_one_node_works_and_the_other_comes_back(world: World) -> None:
    with world.database.read() as connection:
        assert roll_up_progress.claim(connection)
        assert rolling(world).step(now=at(0)) == at(10)


@on_postgresql
def test_a_heartbeat_that_commits_after_a_higher_id_is_not_passed_over(world: World) -> None:
    application = world.application()
    node = rolling(world)
    with world.database.write() as slow:
        slow.execute(insert(tables.heartbeats).values(beat_row(application)))
        world.beat(application, 2)
        assert node.step(now=at(10)) == at(11), "asks again soon"
        assert node.step(now=at(11)) == at(12)
        assert hours_of(world, application) == {}
    # Those that write meanwhile need not be waited for: their ids are higher.
    with world.database.write() as later:
        later.execute(insert(tables.heartbeats).values(beat_row(application)))
        finish(node, 12)
        assert hours_of(world, application)[0].successes == 2
    finish(node, 130)
    assert hours_of(world, application)[0].successes == 3


@on_postgresql
def test_a_heartbeat_that_is_taken_back_is_not_waited_for(world: World) -> None:
    application = world.application()
    node = rolling(world)
    with world.database.read() as slow:
        transaction = slow.begin_nested()
        slow.execute(insert(tables.heartbeats).values(beat_row(application)))
        assert node.step(now=at(10)) == at(11)
        transaction.rollback()
    world.beat(application, 12)
    finish(node, 13)
    finish(node, 130)
    assert_all_counted(world, 130)


def beat_row(application: ApplicationView) -> dict[str, object]:
    return {
        "application_id": application.id,
        "kind": 0,
        "received_at": at(1),
        "method": "POST",
        "body_size": 0,
    }
