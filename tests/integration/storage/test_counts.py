"""How many there are, over all projects."""

from sqlalchemy import Connection, update

from heartbeat_central.domain.state import Status
from heartbeat_central.storage import counts, tables
from heartbeat_central.storage.counts import Oldest
from tests.support import rows
from tests.support.rows import at


def test_nothing_is_counted_as_nothing(connection: Connection) -> None:
    assert counts.applications(connection) == {"new": 0, "up": 0, "down": 0, "paused": 0}
    assert counts.unfinished_deliveries(connection) == {"pending": 0, "dead": 0}
    assert counts.open_incidents(connection) == 0
    assert counts.oldest_pending(connection) == Oldest(None, None)


def test_applications_and_outages_are_counted_in_every_project(connection: Connection) -> None:
    for project_id in (rows.project(connection), rows.project(connection)):
        for status in (Status.UP, Status.UP, Status.PAUSED):
            rows.application(connection, project_id, status=status)
        down = rows.application(connection, project_id, status=Status.DOWN)
        rows.incident(connection, project_id, down, at(1), closed_at=at(2))
        rows.incident(connection, project_id, down, at(3))
    assert counts.applications(connection) == {"new": 0, "up": 4, "down": 2, "paused": 2}
    assert counts.open_incidents(connection) == 2


def test_what_waits_is_counted_and_the_oldest_of_it_known(
    connection: Connection, project_id: int
) -> None:
    channel_id = rows.channel(connection, project_id)
    statuses = ("delivered", "dead", "cancelled", "pending", "pending")
    for second, status in enumerate(statuses):
        (made,) = rows.deliveries(
            connection, project_id, [channel_id], created_at=at(second), due_at=at(99 - second)
        )
        connection.execute(
            update(tables.deliveries).where(tables.deliveries.c.id == made).values(status=status)
        )
    assert counts.unfinished_deliveries(connection) == {"pending": 2, "dead": 1}
    assert counts.oldest_pending(connection) == Oldest(at(3), at(95))
