"""Nobody kept house for weeks: on PostgreSQL there is no partition for today, and old ones are left over."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.services.prune_history import make_room, prune_history
from heartbeat_central.services.record_signals import Outcome
from heartbeat_central.services.roll_up_history import RollUp
from heartbeat_central.storage import heartbeats, partitions
from heartbeat_central.storage.engine import Database, open_database
from heartbeat_central.storage.heartbeats import NewHeartbeat
from tests.conftest import migrated
from tests.support.service import Service, wait_until
from tests.support.world import START, World, at, on_postgresql, signal

DAY = 24 * 3600
AWAY = 31
"""Days. Partitions exist for two weeks ahead."""


def days(database: Database) -> list[date]:
    with database.read() as connection:
        return sorted(partitions.existing_days(connection))


def count(database: Database, table: str) -> int:
    with database.read() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def days_from(first: date, number: int) -> list[date]:
    return [first + timedelta(days=day) for day in range(number)]


@on_postgresql
def test_heartbeats_are_stored_at_once_and_get_their_day_later(world: World) -> None:
    application = world.application(interval=60)
    world.record([signal(application.uuid, second) for second in range(5)])
    world.roll_up(1)
    assert world.beat(application, AWAY * DAY) is Outcome.STORED
    assert count(world.database, "heartbeats_default") == 1

    # Somebody reads the history for longer than housekeeping waits: later is early enough.
    with world.database.read() as reader:
        reader.execute(text("SELECT count(*) FROM heartbeats"))
        make_room(world.database, now=at(AWAY * DAY + 1))
    assert world.beat(application, AWAY * DAY + 2) is Outcome.STORED
    assert count(world.database, "heartbeats_default") == 2

    make_room(world.database, now=at(AWAY * DAY + 3))
    assert count(world.database, "heartbeats_default") == 0
    prune_history(world.database, now=at(AWAY * DAY + 3), keep_days=20)
    today = START.date() + timedelta(days=AWAY)
    before = days_from(START.date() + timedelta(days=11), 4)
    assert days(world.database) == [*before, *days_from(today, partitions.DAYS_AHEAD + 1)]
    assert world.beat(application, AWAY * DAY + 4) is Outcome.STORED
    assert count(world.database, f"heartbeats_on_{today:%Y%m%d}") == 3
    assert count(world.database, "heartbeats") == 3, "those of before were too old"


@on_postgresql
def test_more_than_can_be_moved_in_a_moment_stays_and_goes_by_age(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "MOST_MOVED", 2)
    application = world.application(interval=60)
    world.record([signal(application.uuid, AWAY * DAY + second) for second in range(3)])
    make_room(world.database, now=at(AWAY * DAY + 3))
    assert count(world.database, "heartbeats_default") == 3
    # Today has none, all days ahead have one.
    tomorrow = START.date() + timedelta(days=AWAY + 1)
    assert days(world.database)[-partitions.DAYS_AHEAD :] == days_from(
        tomorrow, partitions.DAYS_AHEAD
    )
    world.beat(application, (AWAY + 1) * DAY)
    assert count(world.database, "heartbeats_default") == 3
    world.roll_up((AWAY + 1) * DAY)
    prune_history(world.database, now=at((AWAY + 6) * DAY), keep_days=5)
    assert count(world.database, "heartbeats_default") == 0
    assert count(world.database, "heartbeats") == 1


# --- the whole service -------------------------------------------------------------------------


@pytest.fixture
def left(postgres_url: str) -> Iterator[Database]:
    """What a node left behind that stopped a month ago, with old heartbeats, all rolled up."""
    migrated(postgres_url)
    with closing(open_database(postgres_url)) as database:
        last = datetime.now(UTC) - timedelta(days=AWAY)
        with database.write() as connection:
            for day in partitions.existing_days(connection):
                partitions.drop(connection, day, rolled_id=0)
            for day in days_from(last.date() - timedelta(days=5), 5 + partitions.DAYS_AHEAD):
                partitions.make(connection, day)
            moments = [last - timedelta(days=day) for day in range(5)]
            beats = [
                Signal(uuid=uuid4(), kind=SignalKind.SUCCESS, received_at=one) for one in moments
            ]
            heartbeats.insert_many(connection, [NewHeartbeat(1, one, None) for one in beats])
        rolling = RollUp(database)
        while rolling.step(now=last) == last:
            pass
        yield database


def test_a_node_that_was_away_for_a_month_stores_at_once_and_tidies_up(
    left: Database, postgres_url: str, tmp_path: Path
) -> None:
    started = datetime.now(UTC).date()
    assert started not in days(left)
    assert count(left, "heartbeats") == 5
    with Service(tmp_path, DATABASE_URL=postgres_url, HEARTBEAT_RETENTION_DAYS="7") as service:
        application = service.api("POST", "/applications", {"name": "A", "expected_interval": 60})
        for _ in range(3):
            assert service.beat(application)["status"] == "ok"
        wait_until(lambda: days(left)[0] >= started, "the old days to be dropped")
        assert service.stop() == 0
    # It may have become midnight since.
    assert {*days_from(started, partitions.DAYS_AHEAD + 1)} <= set(days(left))
    assert count(left, "heartbeats") == 3
    assert count(left, "heartbeats_default") == 0
