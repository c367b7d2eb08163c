"""History goes by age, in bounded steps, and partitions are made ahead."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, func, select, text

from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.services import prune_history as pruning
from heartbeat_central.services.manage_applications import delete_application
from heartbeat_central.services.record_signals import Outcome
from heartbeat_central.storage import partitions, roll_up_progress, tables
from heartbeat_central.storage.engine import Database
from tests.support.world import START, World, at, on_postgresql, on_sqlite, signal

DAY = 24 * 3600


def stored(world: World, table: str = "heartbeats") -> int:
    with world.database.read() as connection:
        rows = select(func.count()).select_from(tables.metadata.tables[table])
        return connection.execute(rows).scalar_one()


def test_old_heartbeats_go_and_young_ones_stay(world: World) -> None:
    application = world.application()
    world.record([signal(application.uuid, second) for second in range(5)])
    world.record([signal(application.uuid, 9 * DAY + second) for second in range(3)])
    pruning.prune_history(world.database, now=at(10 * DAY), keep_days=5)
    assert stored(world) == 8, "nothing goes before it is in the rollups"
    world.roll_up(10 * DAY)
    pruning.prune_history(world.database, now=at(10 * DAY), keep_days=5)
    assert stored(world) == 3


def test_alerts_that_wait_are_never_pruned(world: World) -> None:
    told = world.application("told", channels=[world.webhook("http://127.0.0.1:9/")])
    world.beat(told, 1, SignalKind.FAIL)
    pruning.prune_history(world.database, now=at(400 * DAY), keep_days=5)
    assert stored(world, "deliveries") == 1


def test_finished_alerts_go_by_age(world: World) -> None:
    application = world.application(channels=[world.webhook("http://127.0.0.1:9/")])
    world.beat(application, 1, SignalKind.FAIL)
    world.beat(application, 2)
    world.claim(3)
    world.claim(3)
    assert len(world.claim(3 + 31)) == 1
    with world.database.write() as connection:
        connection.execute(tables.deliveries.update().values(status="delivered"))
    pruning.prune_history(world.database, now=at(400 * DAY), keep_days=5)
    assert stored(world, "deliveries") == 0
    assert stored(world, "alerts") == 0


def test_an_alert_goes_whole_or_not_at_all(world: World) -> None:
    channels = [world.webhook(f"http://127.0.0.1:9/{number}") for number in range(3)]
    application = world.application(channels=channels)
    world.beat(application, 1, SignalKind.FAIL)
    with world.database.write() as connection:
        first = select(func.min(tables.deliveries.c.id)).scalar_subquery()
        connection.execute(
            tables.deliveries.update()
            .where(tables.deliveries.c.id != first)
            .values(status="delivered")
        )
    pruning.prune_history(world.database, now=at(400 * DAY), keep_days=5)
    assert (stored(world, "alerts"), stored(world, "deliveries")) == (1, 3)
    with world.database.write() as connection:
        connection.execute(tables.deliveries.update().values(status="dead"))
    pruning.prune_history(world.database, now=at(400 * DAY), keep_days=5)
    assert (stored(world, "alerts"), stored(world, "deliveries")) == (0, 0)


def test_an_old_heartbeat_that_came_after_young_ones_goes_too(world: World) -> None:
    application, gone = world.application(), world.application("gone")
    world.record([signal(application.uuid, 9 * DAY), signal(gone.uuid, 9 * DAY)])
    world.record([signal(application.uuid, 1), signal(gone.uuid, 1)], 9 * DAY)
    world.record([signal(application.uuid, 9 * DAY + 1)])
    delete_application(world.database, world.project_id, gone.id, now=at(9 * DAY))
    world.roll_up(10 * DAY)
    pruning.prune_history(world.database, now=at(10 * DAY), keep_days=5)
    assert stored(world) == 3


def test_a_call_ends_in_time_and_says_that_there_is_more(world: World) -> None:
    application = world.application(channels=[world.webhook("http://127.0.0.1:9/")])
    world.beat(application, 1, SignalKind.FAIL)
    with world.database.write() as connection:
        connection.execute(tables.deliveries.update().values(status="delivered"))

    def prune(seconds_a_look: int) -> bool:
        clock = itertools.count(0, seconds_a_look)
        return pruning.prune_history(
            world.database,
            now=at(400 * DAY),
            keep_days=5,
            timer=lambda: next(clock),
            pause=lambda _: None,
        ).more

    assert prune(seconds_a_look=3)
    assert prune(seconds_a_look=3)
    assert not prune(seconds_a_look=0)
    assert stored(world, "deliveries") == 0


# --- SQLite: row by row --------------------------------------------------------------------------


@contextmanager
def deleted(database: Database) -> Iterator[list[int]]:
    """Yield the list of how many heartbeats each statement deletes."""
    counts: list[int] = []

    def after(_: Any, cursor: Any, statement: str, *__: object) -> None:
        if statement.startswith("DELETE FROM heartbeats"):
            counts.append(cursor.rowcount)

    event.listen(database.engine, "after_cursor_execute", after)
    try:
        yield counts
    finally:
        event.remove(database.engine, "after_cursor_execute", after)


@on_sqlite
@pytest.mark.parametrize(
    ("seconds_a_row", "steps"),
    [
        (0.0, [100, 200, 400, 299]),  # fast: each step twice the last
        (0.00005, [100, 200, 200, 200, 200, 99]),  # 200 rows are what 10 ms are enough for
        (0.0002, [100, 50, 50, 50, 50]),  # slow: smaller at once
    ],
)
def test_steps_adapt_so_that_heartbeats_wait_only_shortly(
    world: World, seconds_a_row: float, steps: list[int]
) -> None:
    application = world.application()
    world.record([signal(application.uuid, number / 10) for number in range(1_000)])
    world.roll_up(10 * DAY)
    paused: list[float] = []
    with deleted(world.database) as counts:

        def timer() -> float:
            # Behind every step, as far on as its rows take.
            return sum(counts) * seconds_a_row

        pruning.prune_history(
            world.database, now=at(10 * DAY), keep_days=5, timer=timer, pause=paused.append
        )
    assert counts[: len(steps)] == pytest.approx(steps, abs=2)
    assert sum(counts) == 999
    assert stored(world) == 1, "the newest stays, so that its id isn't given again"
    full_steps = [count for count in counts if count][: len(paused)]
    # It works for a quarter of the time.
    assert paused == pytest.approx([3 * count * seconds_a_row for count in full_steps])


@on_sqlite
def test_ids_that_were_left_out_hold_nothing_up(world: World) -> None:
    application = world.application()
    world.record([signal(application.uuid, number / 10) for number in range(300)])
    world.roll_up(10 * DAY)
    with world.database.write() as connection:
        connection.execute(text("UPDATE heartbeats SET id = -id"))
        connection.execute(text("UPDATE heartbeats SET id = -id * 1000"))
        connection.execute(
            text("UPDATE rollup_progress SET rolled_id = 300000, rolling_id = 300000")
        )
    pruning.prune_history(world.database, now=at(10 * DAY), keep_days=5, pause=lambda _: None)
    assert stored(world) == 1


@on_sqlite
def test_ids_are_never_given_again(world: World) -> None:
    application = world.application()
    world.record([signal(application.uuid, second) for second in range(5)])
    world.roll_up(10)
    pruning.prune_history(world.database, now=at(10 * DAY), keep_days=5)
    world.beat(application, 10 * DAY)
    with world.database.read() as connection:
        rolled = roll_up_progress.rolled_id(connection)
        newest = connection.execute(select(func.max(tables.heartbeats.c.id))).scalar_one()
    assert newest == rolled + 1


# --- PostgreSQL: day by day ----------------------------------------------------------------------


def days(world: World) -> list[int]:
    """Return the days that have a partition, counted from the day of START."""
    with world.database.read() as connection:
        existing = partitions.existing_days(connection)
    return sorted((day - START.date()).days for day in existing)


def in_default(world: World) -> int:
    with world.database.read() as connection:
        return connection.execute(text("SELECT count(*) FROM heartbeats_default")).scalar_one()


@on_postgresql
def test_two_weeks_of_partitions_are_made_ahead(world: World) -> None:
    assert days(world) == list(range(partitions.DAYS_AHEAD + 1))
    for later in (0, 3):
        pruning.make_room(world.database, now=at(later * DAY))
    assert days(world) == list(range(3 + partitions.DAYS_AHEAD + 1))


@on_postgresql
def test_a_day_is_dropped_whole_once_it_is_too_old(world: World) -> None:
    application = world.application()
    world.record([signal(application.uuid, day * DAY) for day in range(4)])
    world.roll_up(3 * DAY)
    with deleted(world.database) as counts:
        # At noon, of the first two days the second is not wholly older than two days yet.
        pruning.prune_history(world.database, now=at(3 * DAY), keep_days=2)
    assert counts == [0], "not row by row, but for a look at what has no day"
    assert days(world)[0] == 1
    assert stored(world) == 3


@on_postgresql
def test_a_day_that_is_not_rolled_up_stays(world: World) -> None:
    application = world.application()
    world.record([signal(application.uuid, 1)])
    pruning.prune_history(world.database, now=at(9 * DAY), keep_days=5)
    assert days(world)[0] == 0
    assert stored(world) == 1
    world.roll_up(9 * DAY)
    pruning.prune_history(world.database, now=at(9 * DAY), keep_days=5)
    assert days(world)[0] == 4
    assert stored(world) == 0


@on_postgresql
def test_a_new_day_takes_over_what_waits_in_the_default_partition(world: World) -> None:
    application = world.application()
    world.record([signal(application.uuid, day * DAY) for day in (20, 20.3, 40)])
    assert in_default(world) == 3
    pruning.make_room(world.database, now=at(10 * DAY))
    assert days(world)[-1] == 24
    assert in_default(world) == 1
    assert stored(world) == 3
    pruning.make_room(world.database, now=at(30 * DAY))
    assert in_default(world) == 0
    world.roll_up(50 * DAY)
    assert stored(world) == 3


@on_postgresql
def test_what_came_with_an_old_time_goes_by_age_as_well(world: World) -> None:
    application = world.application()
    world.record([signal(application.uuid, -day * DAY) for day in (2, 100, 101)])
    pruning.prune_history(world.database, now=at(0), keep_days=5)
    assert in_default(world) == 3
    world.roll_up(0)
    pruning.prune_history(world.database, now=at(0), keep_days=5)
    assert in_default(world) == 1


@on_postgresql
def test_a_reader_that_takes_its_time_is_not_in_the_way_for_long(world: World) -> None:
    application = world.application()
    world.beat(application, 1)
    world.roll_up(9 * DAY)
    with world.database.read() as reader:
        reader.execute(select(tables.heartbeats)).all()
        # Recording would queue behind whoever waits for this reader: so nobody does for long.
        pruning.make_room(world.database, now=at(9 * DAY))
        pruning.prune_history(world.database, now=at(9 * DAY), keep_days=5)
        assert (days(world)[0], days(world)[-1]) == (0, partitions.DAYS_AHEAD)
        assert world.beat(application, 9 * DAY) is Outcome.STORED
    pruning.make_room(world.database, now=at(9 * DAY))
    pruning.prune_history(world.database, now=at(9 * DAY), keep_days=5)
    assert (days(world)[0], days(world)[-1]) == (4, 9 + partitions.DAYS_AHEAD)


@on_postgresql
def test_recording_goes_on_while_days_are_made_and_dropped(world: World) -> None:
    application = world.application()
    ended = threading.Event()
    outcomes: list[Outcome] = []

    def record() -> None:
        second = 0
        while not ended.is_set():
            second += 1
            outcomes.append(world.beat(application, 60 * DAY + second))

    recorder = threading.Thread(target=record)
    recorder.start()
    try:
        for day in range(0, 60, 6):
            pruning.make_room(world.database, now=at(day * DAY))
            world.roll_up(day * DAY)
            pruning.prune_history(world.database, now=at(day * DAY), keep_days=1)
    finally:
        ended.set()
        recorder.join(30)
    assert outcomes
    assert set(outcomes) == {Outcome.STORED}
    assert stored(world) == len(outcomes)


@on_postgresql
def test_nodes_that_make_room_together_make_it_once(world: World) -> None:
    nodes = [
        threading.Thread(target=pruning.make_room, args=(world.database,), kwargs={"now": at(DAY)})
        for _ in range(4)
    ]
    for node in nodes:
        node.start()
    for node in nodes:
        node.join(30)
    assert days(world) == list(range(partitions.DAYS_AHEAD + 2))
