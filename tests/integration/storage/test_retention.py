"""What is old goes, a bounded number at once, and nothing else."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, insert, select, update

from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.storage import heartbeats, retention, tables
from heartbeat_central.storage.heartbeats import NewHeartbeat
from tests.support import rows
from tests.support.rows import at

ALL = rows.LARGEST


def beat(connection: Connection, application_id: int, *seconds: float) -> None:
    new = [
        NewHeartbeat(
            application_id,
            Signal(uuid=uuid4(), kind=SignalKind.SUCCESS, received_at=at(one)),
            None,
        )
        for one in seconds
    ]
    heartbeats.insert_many(connection, new)


def left(connection: Connection, application_id: int = 1) -> list[float]:
    """Return when the heartbeats of an application came, oldest first."""
    found = heartbeats.page(connection, application_id, limit=99)
    return [(one.received_at - at(0)).total_seconds() for one in reversed(found)]


def ids(connection: Connection) -> list[int]:
    return sorted(connection.execute(select(tables.heartbeats.c.id)).scalars())


def test_the_oldest_go_first_and_up_to_the_given_moment(connection: Connection) -> None:
    beat(connection, 1, 1, 2, 3, 4, 5)

    def delete(most: int) -> int:
        return retention.delete_oldest(connection, at(4), rolled_id=ALL, most=most)

    assert [delete(2), left(connection)] == [2, [3, 4, 5]]
    assert [delete(2), left(connection)] == [1, [4, 5]]
    assert [delete(2), left(connection)] == [0, [4, 5]]


def test_of_the_lowest_ids_those_that_are_young_stay(connection: Connection) -> None:
    beat(connection, 1, 9, 1, 8, 2, 3)
    assert retention.delete_oldest(connection, at(5), rolled_id=ALL, most=4) == 2
    assert left(connection) == [3, 8, 9]
    assert retention.delete_oldest(connection, at(5), rolled_id=ALL, most=2) == 0


def test_what_is_not_in_the_rollups_stays_and_so_does_the_newest_that_is(
    connection: Connection,
) -> None:
    """SQLite gives the next heartbeat the id after the highest that is there."""
    beat(connection, 1, 1, 2, 3, 4)
    third = ids(connection)[2]
    assert retention.delete_oldest(connection, at(9), rolled_id=third, most=9) == 2
    beat(connection, 2, 1)
    assert retention.delete_older_of(connection, 1, at(9), rolled_id=third, most=9) == 0
    assert retention.applications_with_older(connection, at(9), rolled_id=third) == []
    assert left(connection) == [3, 4]


def test_applications_with_something_older_are_found_deleted_ones_too(
    connection: Connection,
) -> None:
    for application_id, seconds in ((3, 1), (1, 8), (900, 4.999999), (7, 5), (7, 6), (3, 9)):
        beat(connection, application_id, seconds)
    found = retention.applications_with_older(connection, at(5), rolled_id=ALL)
    assert sorted(found) == [3, 900]
    assert retention.applications_with_older(connection, at(0), rolled_id=ALL) == []


def test_an_empty_history_has_nothing_older(connection: Connection) -> None:
    assert retention.applications_with_older(connection, at(5), rolled_id=ALL) == []
    assert retention.delete_oldest(connection, at(5), rolled_id=ALL, most=9) == 0


def test_the_older_of_one_application_go_a_bounded_number_at_once(connection: Connection) -> None:
    beat(connection, 1, 9, 1, 2, 3)
    beat(connection, 2, 1)

    def delete() -> int:
        return retention.delete_older_of(connection, 1, at(5), rolled_id=ALL, most=2)

    assert [delete(), delete(), delete()] == [2, 1, 0]
    assert (left(connection), left(connection, 2)) == ([9], [1])


class Outbox:
    """Alerts with deliveries in the states given."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.project_id = rows.project(connection)
        self.channel_id = rows.channel(connection, self.project_id)

    def alert(self, seconds: float, *statuses: str) -> list[int]:
        made = rows.deliveries(
            self.connection,
            self.project_id,
            [self.channel_id] * len(statuses),
            created_at=at(seconds),
        )
        for delivery_id, status in zip(made, statuses, strict=True):
            self.connection.execute(
                update(tables.deliveries)
                .where(tables.deliveries.c.id == delivery_id)
                .values(status=status)
            )
            attempt: dict[str, Any] = {"outcome": "ok", "detail": ""}
            self.connection.execute(
                insert(tables.delivery_attempts).values(
                    delivery_id=delivery_id,
                    attempt=1,
                    started_at=at(0),
                    finished_at=at(0) + timedelta(seconds=1),
                    **attempt,
                )
            )
        return made

    def deliveries(self) -> list[int]:
        return sorted(self.connection.execute(select(tables.deliveries.c.id)).scalars())


@pytest.fixture
def outbox(connection: Connection) -> Outbox:
    return Outbox(connection)


def test_deliveries_go_with_their_attempts_and_by_the_age_of_their_alert(outbox: Outbox) -> None:
    outbox.alert(1, "delivered", "dead", "cancelled")
    young = outbox.alert(5, "delivered")

    def delete() -> int:
        return retention.delete_deliveries(outbox.connection, at(5), most=2)

    assert [delete(), delete(), delete()] == [2, 1, 0]
    assert outbox.deliveries() == young
    assert rows.count(outbox.connection, tables.delivery_attempts) == 1


def test_an_alert_that_still_waits_for_one_of_its_deliveries_stays_whole(outbox: Outbox) -> None:
    waiting = outbox.alert(1, "delivered", "pending", "dead")
    assert retention.delete_deliveries(outbox.connection, at(99), most=9) == 0
    assert retention.delete_alerts(outbox.connection, at(99), most=9) == 0
    assert outbox.deliveries() == waiting


def test_alerts_go_once_no_delivery_is_left(outbox: Outbox) -> None:
    outbox.alert(1, "delivered")
    for _ in range(3):
        outbox.alert(2)
    outbox.alert(5)

    def delete() -> int:
        return retention.delete_alerts(outbox.connection, at(5), most=2)

    assert [delete(), delete(), delete()] == [2, 1, 0]
    assert rows.count(outbox.connection, tables.alerts) == 2
    retention.delete_deliveries(outbox.connection, at(5), most=9)
    assert delete() == 1
