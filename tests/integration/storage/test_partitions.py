"""The days of the history on PostgreSQL: their bounds, and what each change of the layout leaves alone."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.storage import heartbeats, partitions
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.heartbeats import NewHeartbeat
from tests.support import rows
from tests.support.rows import on_postgresql

pytestmark = on_postgresql

DAY = date(2040, 2, 29)
"""One that no partition exists for."""
MIDNIGHT = datetime(2040, 2, 29, tzinfo=UTC)
A_MICROSECOND = timedelta(microseconds=1)


def beat(connection: Connection, *moments: datetime) -> None:
    signals = [Signal(uuid=uuid4(), kind=SignalKind.SUCCESS, received_at=one) for one in moments]
    heartbeats.insert_many(connection, [NewHeartbeat(1, one, None) for one in signals])


def held(connection: Connection, table: str) -> int:
    return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()


def test_a_day_holds_what_came_from_midnight_to_midnight(connection: Connection) -> None:
    edges = [
        MIDNIGHT - A_MICROSECOND,
        MIDNIGHT,
        MIDNIGHT + timedelta(days=1) - A_MICROSECOND,
        MIDNIGHT + timedelta(days=1),
    ]
    beat(connection, *edges)
    before = heartbeats.page(connection, 1, limit=9)
    partitions.make(connection, DAY)
    assert held(connection, "heartbeats_on_20400229") == 2, "what waited for it has moved"
    assert held(connection, "heartbeats_default") == 2
    assert heartbeats.page(connection, 1, limit=9) == before, "not a byte of it has changed"
    beat(connection, *edges)
    assert held(connection, "heartbeats_on_20400229") == 4


def test_more_than_may_move_stays_where_it_is(connection: Connection) -> None:
    beat(connection, *(MIDNIGHT + timedelta(hours=hour) for hour in range(3)))
    assert not partitions.make(connection, DAY, most_moved=2)
    assert DAY not in partitions.existing_days(connection)
    assert held(connection, "heartbeats_default") == 3
    assert partitions.make(connection, DAY + timedelta(days=1), most_moved=2), "of another day"
    assert partitions.make(connection, DAY, most_moved=3)
    assert held(connection, "heartbeats_on_20400229") == 3


def test_a_day_is_made_once(connection: Connection) -> None:
    for _ in range(2):
        partitions.make(connection, DAY)
    assert partitions.existing_days(connection).count(DAY) == 1


def test_a_new_day_has_the_indexes_of_the_others(connection: Connection) -> None:
    partitions.make(connection, DAY)
    query = text(
        "SELECT regexp_replace(indexdef, '.* USING ', '') FROM pg_indexes WHERE tablename = :name"
    )
    defined = {
        name: set(connection.execute(query, {"name": name}).scalars())
        for name in ("heartbeats_on_20400229", "heartbeats_default")
    }
    assert defined["heartbeats_on_20400229"] == defined["heartbeats_default"]
    assert len(defined["heartbeats_default"]) == 2


def test_missing_are_today_and_the_days_ahead_soonest_first(connection: Connection) -> None:
    ahead = [DAY + timedelta(days=days) for days in range(partitions.DAYS_AHEAD + 1)]
    late = datetime(2040, 2, 29, 23, 59, tzinfo=UTC)
    assert partitions.missing_days(connection, now=late) == ahead
    partitions.make(connection, ahead[3])
    partitions.make(connection, DAY - timedelta(days=1))
    assert partitions.missing_days(connection, now=late) == [*ahead[:3], *ahead[4:]]
    # It is tomorrow in UTC already.
    west = late.astimezone(timezone(timedelta(hours=-8))) + timedelta(minutes=1)
    assert partitions.missing_days(connection, now=west)[-1] == ahead[-1] + timedelta(days=1)


def test_the_days_before_a_moment_lie_wholly_before_it(connection: Connection) -> None:
    known = set(partitions.existing_days(connection))
    days = [DAY + timedelta(days=days) for days in (2, 0, 1)]
    for day in days:
        partitions.make(connection, day)

    def before(moment: datetime) -> list[date]:
        return [day for day in partitions.days_before(connection, moment) if day not in known]

    assert before(MIDNIGHT + timedelta(days=1) - A_MICROSECOND) == []
    assert before(MIDNIGHT + timedelta(days=1)) == [DAY]
    assert before(MIDNIGHT + timedelta(days=9)) == sorted(days)


def test_a_day_is_dropped_with_all_that_is_in_it_once_that_is_rolled_up(
    connection: Connection,
) -> None:
    partitions.make(connection, DAY)
    beat(connection, MIDNIGHT, MIDNIGHT + timedelta(hours=1), MIDNIGHT + timedelta(days=1))
    newest = heartbeats.page(connection, 1, limit=9)[1].id
    assert not partitions.drop(connection, DAY, rolled_id=newest - 1)
    assert held(connection, "heartbeats") == 3
    assert partitions.drop(connection, DAY, rolled_id=newest)
    assert DAY not in partitions.existing_days(connection)
    assert held(connection, "heartbeats") == 1
    assert partitions.drop(connection, DAY, rolled_id=0), "another node was faster"


def test_what_has_no_day_goes_by_age_a_bounded_number_at_once(connection: Connection) -> None:
    beat(connection, *(MIDNIGHT + timedelta(seconds=second) for second in range(5)))
    ids = sorted(one.id for one in heartbeats.page(connection, 1, limit=9))

    def delete(rolled_id: int = rows.LARGEST) -> int:
        moment = MIDNIGHT + timedelta(seconds=4)
        return partitions.delete_unplaced(connection, moment, rolled_id=rolled_id, most=2)

    assert [delete(ids[0]), delete(), delete(), delete()] == [1, 2, 1, 0]
    assert [one.id for one in heartbeats.page(connection, 1, limit=9)] == ids[4:]


@pytest.fixture
def reader(shared_database: Database) -> Iterator[Connection]:
    """Somebody who reads the history and takes their time."""
    with shared_database.read() as connection:
        connection.execute(text("SELECT count(*) FROM heartbeats"))
        yield connection


def test_who_can_not_have_a_lock_soon_gives_up(
    shared_database: Database, reader: Connection
) -> None:
    assert not reader.closed
    with (
        pytest.raises(StorageUnavailable, match="lock timeout"),
        partitions.layout(shared_database) as connection,
    ):
        partitions.make(connection, DAY)
    with shared_database.read() as connection:
        assert DAY not in partitions.existing_days(connection)


def test_indexes_are_brought_up_to_date_while_others_read(
    shared_database: Database, reader: Connection
) -> None:
    assert not reader.closed
    partitions.summarize_recent(shared_database, now=datetime.now(UTC))
