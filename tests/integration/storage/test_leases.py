"""Leases: who may send what, and whose outcome counts."""

from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, update

from heartbeat_central.domain.alert import AlertKind
from heartbeat_central.domain.overtaken import Situation
from heartbeat_central.domain.state import Status
from heartbeat_central.storage import applications, channels, leases, outbox, tables
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.leases import Claimed, Due
from heartbeat_central.storage.outbox import DeliveryStatus
from tests.support import rows
from tests.support.racing import meanwhile
from tests.support.rows import NOON, at, lease, mark, on_postgresql
from tests.support.rows import delivery as stored

PENDING, DELIVERED, DEAD = (
    DeliveryStatus.PENDING,
    DeliveryStatus.DELIVERED,
    DeliveryStatus.DEAD,
)


@pytest.fixture
def channel_id(connection: Connection, project_id: int) -> int:
    return rows.channel(connection, project_id)


def due_ids(connection: Connection, seconds: float = 0, **more: Any) -> list[int]:
    given = {"most": 100, "per_channel": 100, **more}
    return [one.id for one in leases.due(connection, now=at(seconds), **given)]


# --- what is due


def test_what_is_due_comes_oldest_first_and_no_more_than_asked_for(
    connection: Connection, project_id: int, channel_id: int
) -> None:
    made = [
        rows.deliveries(connection, project_id, [channel_id], due_at=at(second))[0]
        for second in (5, 1, 3, 9)
    ]
    assert due_ids(connection, 5) == made[:3]
    assert due_ids(connection, 4.999999) == made[1:3]
    assert due_ids(connection, 9, most=2) == made[:2]
    assert leases.due(connection, now=at(1), most=9, per_channel=9) == [
        Due(made[1], channel_id, None)
    ]


def test_the_backlog_of_a_channel_hides_nobody_else(
    connection: Connection, project_id: int
) -> None:
    busy, full, idle = (rows.channel(connection, project_id) for _ in range(3))
    backlog = rows.deliveries(connection, project_id, [busy, full] * 5)
    (other,) = rows.deliveries(connection, project_id, [idle])
    found = due_ids(connection, per_channel=2, full_channels=[full])
    assert found == [backlog[0], backlog[2], other]


def test_only_what_waits_is_due(connection: Connection, project_id: int, channel_id: int) -> None:
    made = rows.deliveries(connection, project_id, [channel_id] * 4)
    for delivery_id, status in zip(made, DeliveryStatus, strict=False):
        connection.execute(
            update(tables.deliveries)
            .where(tables.deliveries.c.id == delivery_id)
            .values(status=status.value)
        )
    assert due_ids(connection) == made[:1]
    assert [one.id for one in lease(connection, *made)] == made[:1]
    assert leases.earliest_due(connection) == at(30)


def test_a_recovery_does_not_overtake_its_outage(
    connection: Connection, project_id: int, channel_id: int
) -> None:
    other = rows.channel(connection, project_id)

    def tell(application_id: int | None, kind: AlertKind, *to: int) -> list[int]:
        return rows.deliveries(connection, project_id, to, application_id=application_id, kind=kind)

    first, second = (rows.application(connection, project_id) for _ in range(2))
    down, down_elsewhere = tell(first, AlertKind.DOWN, channel_id, other)
    (up,) = tell(first, AlertKind.UP, channel_id)
    (other_down,) = tell(second, AlertKind.DOWN, channel_id)
    tests = tell(None, AlertKind.TEST, channel_id, channel_id)
    everything_else = [down, down_elsewhere, other_down, *tests]
    assert due_ids(connection) == everything_else

    (claimed,) = lease(connection, down)
    assert due_ids(connection, 29) == everything_else[1:], "one is under way"
    assert due_ids(connection, 30) == everything_else, "its lease has run out"
    assert mark(connection, claimed, PENDING, due_at=at(600))
    assert due_ids(connection, 30) == sorted([*everything_else[1:], up]), "that one waits itself"


def test_the_next_due_is_known(connection: Connection, project_id: int, channel_id: int) -> None:
    assert leases.earliest_due(connection) is None
    other = rows.channel(connection, project_id)
    rows.deliveries(connection, project_id, [channel_id], due_at=at(5))
    rows.deliveries(connection, project_id, [other], due_at=at(7))
    assert leases.earliest_due(connection) == at(5)
    assert leases.earliest_due(connection, full_channels=[channel_id]) == at(7)
    assert leases.earliest_due(connection, full_channels=[channel_id, other]) is None


# --- leases


def test_a_lease_brings_all_that_sending_needs(connection: Connection, project_id: int) -> None:
    channel_id = rows.channel(
        connection, project_id, type_="slack", sealed_config="sealed 🔥", is_active=True
    )
    alert = rows.alert(application_id=rows.application(connection, project_id))
    (made,) = outbox.add(connection, project_id=project_id, alert=alert, channel_ids=[channel_id])
    (claimed,) = lease(connection, made, seconds=2)
    row = stored(connection, made)
    assert claimed == Claimed(
        id=made,
        uuid=row.uuid,
        attempt=1,
        alert=alert,
        channel_id=channel_id,
        channel_type="slack",
        sealed_config="sealed 🔥",
        situation=Situation(incident_is_open=False),
        first_attempt_at=at(2),
    )
    assert (row.attempt, row.due_at, row.leased_until) == (1, at(30), at(30))
    assert lease(connection) == []


def test_a_lease_tells_how_things_are(connection: Connection, project_id: int) -> None:
    def situation(
        state: Status | None, *, over: bool = False, again: bool = False, off: bool = False
    ) -> Situation:
        channel_id = rows.channel(connection, project_id, is_active=not off)
        application_id = rows.application(connection, project_id, status=state or Status.DOWN)
        closed_at = at(1) if over or again else None
        incident_id = rows.incident(connection, project_id, application_id, closed_at=closed_at)
        (made,) = rows.deliveries(
            connection,
            project_id,
            [channel_id],
            application_id=application_id,
            incident_id=incident_id,
        )
        if again:
            rows.incident(connection, project_id, application_id, at(2))
        if state is None:
            applications.remove(connection, application_id)
        return lease(connection, made)[0].situation

    assert situation(Status.DOWN) == Situation(down_since=NOON)
    assert situation(Status.DOWN, off=True) == Situation(channel_is_active=False, down_since=NOON)
    assert situation(Status.UP, over=True) == Situation(incident_is_open=False)
    assert situation(Status.DOWN, again=True) == Situation(incident_is_open=False, down_since=at(2))
    assert situation(Status.PAUSED, over=True) == Situation(
        application_is_paused=True, incident_is_open=False
    )
    assert situation(None) == Situation(application_exists=False, incident_is_open=False)


def test_what_is_leased_is_nobody_elses_until_the_lease_runs_out(
    connection: Connection, project_id: int, channel_id: int
) -> None:
    (made,) = rows.deliveries(connection, project_id, [channel_id])
    (first,) = lease(connection, made, seconds=1, until=31)
    assert lease(connection, made, seconds=30.999999) == []
    (second,) = lease(connection, made, seconds=31, until=61)
    assert (first.attempt, second.attempt) == (1, 2)
    assert second.first_attempt_at == first.first_attempt_at == at(1)
    assert second.uuid == first.uuid, "receivers tell a repetition by it"


@on_postgresql
def test_nodes_that_claim_at_once_take_different_deliveries(database: Database) -> None:
    with database.write() as connection:
        project_id = rows.project(connection)
        made = rows.deliveries(connection, project_id, [rows.channel(connection, project_id)] * 6)
    with database.write() as first, database.write() as second:
        taken = [one.id for one in lease(first, *made[:4])]
        assert taken == made[:4]
        assert [one.id for one in lease(second, *made)] == made[4:], "nobody waits"
    with database.write() as third:
        assert lease(third, *made) == []


def test_a_deletion_of_the_channel_is_waited_for_or_waits(database: Database) -> None:
    with database.write() as connection:
        project_id = rows.project(connection)
        channel_id = rows.channel(connection, project_id)
        (made,) = rows.deliveries(connection, project_id, [channel_id])
    with ExitStack() as stack:
        with database.write() as claiming:
            (claimed,) = lease(claiming, made)
            deleting = stack.enter_context(
                meanwhile(database, lambda connection: channels.remove(connection, channel_id))
            )
        deleting.result(10)
    with database.write() as connection:
        assert not mark(connection, claimed, DELIVERED)
        leases.extend(connection, [claimed], until=at(99))
        leases.release(connection, claimed, now=at(9))
        assert rows.count(connection, tables.deliveries) == 0


# --- longer, shorter, given back


def test_leases_are_extended_where_they_are_held(
    connection: Connection, project_id: int, channel_id: int
) -> None:
    made = rows.deliveries(connection, project_id, [channel_id] * 3)
    held, finished, taken = lease(connection, *made, until=10)
    mark(connection, finished, DELIVERED)
    lease(connection, taken.id, seconds=10, until=20)
    leases.extend(connection, [held, finished, taken], until=at(40))
    leases.extend(connection, [], until=at(99))
    ends = [stored(connection, one).leased_until for one in made]
    assert ends == [at(40), None, at(20)]
    assert lease(connection, held.id, seconds=39) == []


def test_what_is_given_back_is_due_at_once(
    connection: Connection, project_id: int, channel_id: int
) -> None:
    made, other = rows.deliveries(connection, project_id, [channel_id] * 2)
    (claimed, _) = lease(connection, made, other)
    leases.release(connection, claimed, now=at(5))
    row = stored(connection, made)
    assert (row.status, row.due_at, row.leased_until) == ("pending", at(5), None)
    assert due_ids(connection, 5) == [made]


def test_what_is_finished_is_not_given_back(
    connection: Connection, project_id: int, channel_id: int
) -> None:
    (made,) = rows.deliveries(connection, project_id, [channel_id])
    (claimed,) = lease(connection, made)
    mark(connection, claimed, DELIVERED)
    before = stored(connection, made)
    leases.release(connection, claimed, now=at(5))
    assert stored(connection, made) == before


def test_all_leases_end_at_once(connection: Connection, project_id: int, channel_id: int) -> None:
    made = rows.deliveries(connection, project_id, [channel_id] * 3)
    (finished, _) = lease(connection, *made[:2])
    mark(connection, finished, DELIVERED)
    rows.deliveries(connection, project_id, [channel_id], due_at=at(60))
    assert leases.release_all(connection, now=at(1)) == 1
    assert leases.release_all(connection, now=at(1)) == 0
    assert due_ids(connection, 1) == made[1:]


def test_what_waits_for_a_time_ahead_moves_back_with_the_clock(
    connection: Connection, project_id: int, channel_id: int
) -> None:
    def waiting(due_at: float) -> int:
        return rows.deliveries(connection, project_id, [channel_id], due_at=at(due_at))[0]

    past, soon, later = waiting(-5), waiting(50), waiting(3_700)
    (leased,) = rows.deliveries(connection, project_id, [channel_id])
    (finished,) = rows.deliveries(connection, project_id, [channel_id])
    (_, claimed) = lease(connection, leased, finished, until=3_630)
    mark(connection, claimed, DELIVERED)
    leases.set_back(connection, now=at(0), by=timedelta(hours=1))

    def when(delivery_id: int) -> tuple[datetime | None, datetime | None]:
        row = stored(connection, delivery_id)
        return row.due_at, row.leased_until

    assert when(past) == (at(-5), None)
    assert when(soon) == (at(0), None), "never before now"
    assert when(later) == (at(100), None)
    assert when(leased) == (at(30), at(30))
    assert when(finished) == (None, None)
