"""History goes by age, in bounded steps, and partitions are made ahead."""

from datetime import timedelta

from sqlalchemy import func, select

from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.services import prune_history as pruning
from heartbeat_central.services.roll_up_history import first_step, roll_up_history
from heartbeat_central.storage import partitions, tables
from tests.support.world import START, World, at, signal

DAY = 24 * 3600


def stored(world: World, table: str = "heartbeats") -> int:
    with world.database.read() as connection:
        rows = select(func.count()).select_from(tables.metadata.tables[table])
        return connection.execute(rows).scalar_one()


def roll_up_everything(world: World, seconds: float) -> None:
    """Roll up until only the end of the next hour is waited for."""
    step = first_step()
    now = at(seconds)
    while now < at(seconds) + timedelta(minutes=30):
        now = max(
            now + timedelta(milliseconds=1),
            roll_up_history(world.database, now=now, step=step).again_at,
        )


def test_old_heartbeats_go_and_young_ones_stay(world: World) -> None:
    application = world.application()
    world.record([signal(application.uuid, second) for second in range(5)])
    world.record([signal(application.uuid, 9 * DAY + second) for second in range(3)])
    pruning.prune_history(world.database, now=at(10 * DAY), keep_days=5)
    assert stored(world) == 8, "nothing goes before it is in the rollups"
    roll_up_everything(world, 10 * DAY)
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
    (up,) = [one for one in world.claim(3 + 31) if one]
    with world.database.write() as connection:
        connection.execute(tables.deliveries.update().values(status="delivered"))
    assert up is not None
    pruning.prune_history(world.database, now=at(400 * DAY), keep_days=5)
    assert stored(world, "deliveries") == 0
    assert stored(world, "alerts") == 0


def test_two_weeks_of_partitions_are_made_ahead(postgres_url: str) -> None:
    from heartbeat_central.storage.engine import open_database
    from heartbeat_central.storage.migrate import upgrade

    database = open_database(postgres_url)
    upgrade(database)
    for later in (0, 0, 3):
        pruning.make_room(database, now=START + timedelta(days=later))
    with database.read() as connection:
        days = partitions.existing_days(connection)
    assert min(days) == START.date()
    assert max(days) == START.date() + timedelta(days=3 + partitions.DAYS_AHEAD)
    assert len(days) == 3 + partitions.DAYS_AHEAD + 1
    database.close()
