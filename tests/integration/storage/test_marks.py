"""What came of attempts: only the holder of the newest lease tells, and whatever was said is kept."""

from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, select

from heartbeat_central.storage import leases, tables
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.leases import Attempt, Mark
from heartbeat_central.storage.outbox import DeliveryStatus
from tests.support import rows
from tests.support.racing import meanwhile
from tests.support.rows import at, lease, mark
from tests.support.rows import delivery as stored

PENDING, DELIVERED, DEAD = (
    DeliveryStatus.PENDING,
    DeliveryStatus.DELIVERED,
    DeliveryStatus.DEAD,
)


@pytest.fixture
def channel_id(connection: Connection, project_id: int) -> int:
    return rows.channel(connection, project_id)


@pytest.mark.parametrize("status", [DELIVERED, DEAD, DeliveryStatus.CANCELLED])
def test_a_mark_ends_a_delivery(
    connection: Connection, project_id: int, channel_id: int, status: DeliveryStatus
) -> None:
    made, other = rows.deliveries(connection, project_id, [channel_id] * 2)
    (claimed, _) = lease(connection, made, other)
    before = stored(connection, other)
    error = "HTTP 500: öops 🔥" * 1_000
    assert mark(connection, claimed, status, at=at(7), error=error, fallback_due=status is DEAD)
    row = stored(connection, made)
    assert (row.status, row.finished_at, row.due_at, row.leased_until) == (
        *(status.value, at(7)),
        *(None, None),
    )
    assert (row.last_error, row.attempt) == (error, 1)
    assert row.fallback_due is (True if status is DEAD else None)
    assert stored(connection, other) == before
    assert not mark(connection, claimed, DELIVERED), "it is marked once"
    assert stored(connection, made) == row


def test_a_mark_has_a_delivery_tried_again(
    connection: Connection, project_id: int, channel_id: int
) -> None:
    (made,) = rows.deliveries(connection, project_id, [channel_id])
    (claimed,) = lease(connection, made)
    assert mark(connection, claimed, PENDING, at=at(7), due_at=at(20), error="HTTP 503")
    row = stored(connection, made)
    assert (row.status, row.due_at, row.leased_until) == ("pending", at(20), None)
    assert (row.finished_at, row.last_error, row.attempt) == (None, "HTTP 503", 1)
    assert lease(connection, made, seconds=19) == []
    assert lease(connection, made, seconds=20)[0].attempt == 2


def test_only_the_newest_attempt_marks(
    connection: Connection, project_id: int, channel_id: int
) -> None:
    """A node that was away for longer than its lease must not overrule the one that took over."""
    made, other = rows.deliveries(connection, project_id, [channel_id] * 2)
    stale, _ = lease(connection, made, other, until=10)
    newer, _ = lease(connection, made, other, seconds=10, until=20)
    before = stored(connection, made)
    for status in (DELIVERED, DEAD, PENDING):
        assert not mark(connection, stale, status, due_at=at(5), error="stale")
    leases.extend(connection, [stale], until=at(99))
    leases.release(connection, stale, now=at(0))
    assert stored(connection, made) == before
    marks = [Mark(stale, DEAD, at=at(1)), Mark(newer, DELIVERED, at=at(2))]
    assert leases.mark_many(connection, marks[:1]) == set()
    assert leases.mark_many(connection, marks[1:]) == {made}


def test_marks_go_each_to_its_own_and_tell_which_counted(
    connection: Connection, project_id: int, channel_id: int
) -> None:
    made = rows.deliveries(connection, project_id, [channel_id] * 4)
    claimed = lease(connection, *made)
    lost = replace(claimed[1], attempt=claimed[1].attempt - 1)
    kept = leases.mark_many(
        connection,
        [
            Mark(claimed[3], DEAD, at=at(3), error="three"),
            Mark(lost, DEAD, at=at(1), error="one"),
            Mark(claimed[0], DELIVERED, at=at(0)),
        ],
    )
    assert kept == {made[0], made[3]}
    found = [stored(connection, one) for one in made]
    assert [one.status for one in found] == ["delivered", "pending", "pending", "dead"]
    assert [one.last_error for one in found] == [None, None, None, "three"]
    assert leases.mark_many(connection, []) == set()


def test_an_expired_lease_that_nobody_took_over_still_marks(
    connection: Connection, project_id: int, channel_id: int
) -> None:
    (made,) = rows.deliveries(connection, project_id, [channel_id])
    (claimed,) = lease(connection, made, until=10)
    assert mark(connection, claimed, DELIVERED, at=at(99))


def test_of_two_nodes_that_mark_one_lease_the_second_hears_that_it_is_lost(
    database: Database,
) -> None:
    with database.write() as connection:
        project_id = rows.project(connection)
        (made,) = rows.deliveries(connection, project_id, [rows.channel(connection, project_id)])
        (claimed,) = lease(connection, made)
    with ExitStack() as stack:
        with database.write() as first:
            assert mark(first, claimed, DELIVERED)
            second = stack.enter_context(
                meanwhile(database, lambda connection: mark(connection, claimed, DEAD))
            )
        assert second.result(10) is False
    with database.read() as connection:
        assert stored(connection, made).status == "delivered"


@pytest.mark.parametrize("said", ["nul \x00 byte", "half of a pair \ud800", "\x00"])
def test_whatever_a_receiver_said_is_stored(
    connection: Connection, project_id: int, channel_id: int, said: str
) -> None:
    """What could not be recorded would be sent again and again."""
    (made,) = rows.deliveries(connection, project_id, [channel_id])
    (claimed,) = lease(connection, made)
    assert mark(connection, claimed, DEAD, error=said)
    attempt = Attempt(
        delivery_id=made,
        attempt=1,
        started_at=at(0),
        finished_at=at(1),
        outcome="failed",
        detail=said,
    )
    leases.add_attempts(connection, [attempt])
    told = said.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
    assert stored(connection, made).last_error == told
    assert connection.execute(select(tables.delivery_attempts.c.detail)).scalar_one() == told


def test_attempts_are_stored_as_they_were(
    connection: Connection, project_id: int, channel_id: int
) -> None:
    (made,) = rows.deliveries(connection, project_id, [channel_id])
    tried = [
        Attempt(
            delivery_id=made,
            attempt=number,
            started_at=at(number) + timedelta(microseconds=1),
            finished_at=at(number + 1),
            outcome=outcome,
            detail="ö🔥\n" * 10_000,
        )
        for number, outcome in enumerate(("failed", "ok"), start=1)
    ]
    leases.add_attempts(connection, [])
    leases.add_attempts(connection, tried)
    found = connection.execute(
        select(tables.delivery_attempts).order_by(tables.delivery_attempts.c.attempt)
    ).mappings()
    assert [Attempt(**{k: v for k, v in one.items() if k != "id"}) for one in found] == tried
