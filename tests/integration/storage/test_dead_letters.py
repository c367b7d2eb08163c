"""Dead letters: who has yet to hear of them, and how they are tried again."""

from typing import Any

import pytest
from sqlalchemy import Connection, update

from heartbeat_central.domain.alert import AlertKind
from heartbeat_central.storage import dead_letters, outbox, tables
from heartbeat_central.storage.dead_letters import FailedChannel
from heartbeat_central.storage.engine import Database
from tests.support import rows
from tests.support.rows import at, on_postgresql


def change(connection: Connection, delivery_id: int, **values: Any) -> None:
    connection.execute(
        update(tables.deliveries).where(tables.deliveries.c.id == delivery_id).values(values)
    )


def dead(
    connection: Connection, project_id: int, channel_id: int, *, untold: bool = True, **about: Any
) -> int:
    """Store a delivery that was given up and return its id."""
    (made,) = rows.deliveries(connection, project_id, [channel_id], **about)
    change(
        connection,
        made,
        status="dead",
        attempt=3,
        due_at=None,
        first_attempt_at=at(1),
        finished_at=at(9),
        last_error="HTTP 410: 🔥",
        fallback_due=True if untold else None,
    )
    return made


def failed(connection: Connection, seconds: float = 100) -> list[int]:
    found = dead_letters.failed_channels(connection, told_before=at(seconds))
    return [one.id for one in found]


def test_a_channel_with_untold_dead_letters_is_found(
    connection: Connection, project_id: int
) -> None:
    failing, fine, told = (rows.channel(connection, project_id, f"{n} 🔥") for n in range(3))
    assert not dead_letters.is_any_untold(connection)
    rows.deliveries(connection, project_id, [fine])
    dead(connection, project_id, told, untold=False)
    assert not dead_letters.is_any_untold(connection)
    for _ in range(2):
        dead(connection, project_id, failing)
    assert dead_letters.is_any_untold(connection)
    assert dead_letters.failed_channels(connection, told_before=at(0)) == [
        FailedChannel(failing, project_id, "0 🔥")
    ]


def test_dead_letters_are_told_oldest_first_and_a_bounded_number_at_once(
    connection: Connection, project_id: int
) -> None:
    channel_id, other = (rows.channel(connection, project_id) for _ in range(2))
    made = [dead(connection, project_id, channel_id, created_at=at(second)) for second in (5, 3, 4)]
    dead(connection, project_id, channel_id, untold=False)
    dead(connection, project_id, other)
    letters = dead_letters.untold(connection, channel_id, most=2)
    assert [id_ for id_, _ in letters] == made[:2]
    first = letters[0][1]
    assert first is not None
    assert first.alert == rows.alert(created_at=at(5))
    assert first.reason == "HTTP 410: 🔥"
    change(connection, made[0], last_error=None)
    [(_, again)] = dead_letters.untold(connection, channel_id, most=1)
    assert again is not None
    assert again.reason == "unknown"


def test_what_was_told_is_not_told_again_and_the_channel_has_a_pause(
    connection: Connection, project_id: int
) -> None:
    channel_id = rows.channel(connection, project_id)
    first, second = (dead(connection, project_id, channel_id) for _ in range(2))
    (channel,) = dead_letters.failed_channels(connection, told_before=at(0))
    dead_letters.set_told(connection, channel, [first], now=at(50))
    assert [id_ for id_, _ in dead_letters.untold(connection, channel_id, most=9)] == [second]
    assert failed(connection, 49.999999) == []
    assert failed(connection, 50) == [channel_id]
    dead_letters.set_told(connection, channel, [second], now=at(60))
    dead_letters.set_told(connection, channel, [], now=at(70))
    assert not dead_letters.is_any_untold(connection)


def test_the_other_channels_are_the_active_ones_of_the_project(
    connection: Connection, project_id: int
) -> None:
    failing, first, second = (rows.channel(connection, project_id) for _ in range(3))
    rows.channel(connection, project_id, is_active=False)
    rows.channel(connection, rows.project(connection))
    channel = FailedChannel(failing, project_id, "hook")
    assert dead_letters.other_channels(connection, channel) == [first, second]


@on_postgresql
def test_nodes_that_tell_at_once_take_different_channels(database: Database) -> None:
    with database.write() as connection:
        project_id = rows.project(connection)
        first, second = (rows.channel(connection, project_id) for _ in range(2))
        dead(connection, project_id, first)
    with database.write() as one, database.write() as other:
        assert failed(one) == [first]
        # A new dead letter of a channel in hand is no reason to wait, nor is storing it.
        dead(other, project_id, first)
        dead(other, project_id, second)
        assert failed(other) == [second]


def test_a_revived_delivery_starts_over(connection: Connection, project_id: int) -> None:
    channel_id = rows.channel(connection, project_id)
    made = dead(connection, project_id, channel_id)
    dead_letters.revive(connection, made, now=at(500))
    row = rows.row(connection, tables.deliveries, made)
    assert (row.status, row.due_at, row.first_attempt_at) == ("pending", at(500), None)
    assert (row.finished_at, row.fallback_due) == (None, None)
    assert row.attempt == 3, "an attempt that is still on its way must not count"
    assert failed(connection) == []


@pytest.mark.parametrize("status", ["pending", "delivered", "cancelled"])
def test_only_what_is_dead_is_revived(connection: Connection, project_id: int, status: str) -> None:
    made = dead(connection, project_id, rows.channel(connection, project_id))
    change(connection, made, status=status)
    before = rows.row(connection, tables.deliveries, made)
    dead_letters.revive(connection, made, now=at(500))
    assert rows.row(connection, tables.deliveries, made) == before


def test_what_is_dead_counts_until_its_channel_delivers_again(
    connection: Connection, project_id: int
) -> None:
    def count(most: int = 99) -> int:
        return dead_letters.count_unmended(connection, project_id, most=most)

    def delivered(channel_id: int, **about: Any) -> None:
        (made,) = rows.deliveries(connection, project_id, [channel_id], **about)
        change(connection, made, status="delivered")

    broken, mended = (rows.channel(connection, project_id) for _ in range(2))
    other = rows.project(connection)
    dead(connection, other, rows.channel(connection, other))
    delivered(broken)
    assert count() == 0
    for channel_id in (broken, broken, mended):
        dead(connection, project_id, channel_id, untold=False)
    dead(connection, project_id, broken, kind=AlertKind.TEST)
    assert (count(), count(most=2)) == (3, 2)
    delivered(mended, kind=AlertKind.TEST)
    assert count() == 2
    rows.deliveries(connection, project_id, [broken])
    assert count() == 2
    shown = outbox.page(connection, project_id, status=outbox.DeliveryStatus.DEAD, limit=9)
    assert len(shown) == 4, "they stay in the list"
