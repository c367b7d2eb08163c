"""The alerts of a storm: held, then merged into a digest, sent as they are, or not at all."""

from typing import Any

import pytest
from sqlalchemy import Connection, update

from heartbeat_central.domain.alert import AlertKind
from heartbeat_central.storage import held_alerts, incidents, leases, storms, tables
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.held_alerts import HELD, Heard, Waiting
from tests.support import rows
from tests.support.rows import NOON, at, on_postgresql


class Outages:
    """Applications that are down, and alerts about them for two channels."""

    def __init__(self, connection: Connection, number: int = 3) -> None:
        self.connection = connection
        self.project_id = rows.project(connection)
        self.storm_id = self.storm()
        self.channels = [rows.channel(connection, self.project_id) for _ in range(2)]
        self.applications = [rows.application(connection, self.project_id) for _ in range(number)]
        self.incidents = [
            rows.incident(connection, self.project_id, one) for one in self.applications
        ]

    def storm(self) -> int:
        return storms.add(self.connection, self.project_id, began_at=at(-60), last_down_at=at(0)).id

    def tell(
        self, number: int, *channels: int, kind: AlertKind = AlertKind.DOWN, seconds: float = 0
    ) -> list[int]:
        """Store an alert about one of the outages for these channels, given by place."""
        return rows.deliveries(
            self.connection,
            self.project_id,
            [self.channels[place] for place in channels],
            kind=kind,
            application_id=self.applications[number],
            incident_id=self.incidents[number],
            created_at=at(seconds),
        )

    def claim(self, *delivery_ids: int) -> list[leases.Claimed]:
        return leases.lease(self.connection, delivery_ids, now=at(1), until=at(30))

    def enter(self, *delivery_ids: int) -> int:
        return held_alerts.enter(self.connection, self.storm_id, delivery_ids, held_until=at(300))

    def adopt(self, *numbers: int, storm_id: int | None = None) -> None:
        """Count outages to the storm."""
        ids = [self.incidents[number] for number in numbers]
        self.connection.execute(
            update(tables.incidents)
            .where(tables.incidents.c.id.in_(ids))
            .values(storm_id=storm_id or self.storm_id)
        )

    def set(self, delivery_id: int, **values: Any) -> None:
        self.connection.execute(
            update(tables.deliveries).where(tables.deliveries.c.id == delivery_id).values(values)
        )

    def row(self, delivery_id: int) -> Any:
        return rows.row(self.connection, tables.deliveries, delivery_id)


@pytest.fixture
def outages(connection: Connection) -> Outages:
    return Outages(connection)


def test_what_nobody_has_begun_to_send_is_held(outages: Outages) -> None:
    first, second = outages.tell(0, 0, 1)
    (tried,) = outages.tell(1, 0)
    (done,) = outages.tell(2, 0)
    outages.claim(tried)
    outages.set(done, status="delivered", attempt=1)
    before = outages.row(tried), outages.row(done)
    assert outages.enter(first, second, tried, done) == 2
    for held in map(outages.row, (first, second)):
        assert (held.storm_id, held.due_at, held.last_error) == (outages.storm_id, at(300), HELD)
        assert (held.status, held.attempt) == ("pending", 0)
    for now, then in zip((outages.row(tried), outages.row(done)), before, strict=True):
        assert now.storm_id == outages.storm_id, "it belongs to the storm"
        assert (now.due_at, now.last_error) == (then.due_at, then.last_error), "and is left alone"
    assert outages.enter() == 0


@on_postgresql
def test_what_a_sender_has_in_its_hands_is_left_to_it(database: Database) -> None:
    with database.write() as connection:
        outages = Outages(connection)
        taken, free = outages.tell(0, 0, 1)
    with database.write() as sending, database.write() as holding:
        leases.lease(sending, [taken], now=at(1), until=at(30))
        outages.connection = holding
        assert outages.enter(taken, free) == 1
        assert held_alerts.waiting(holding, outages.storm_id)[0].delivery_id == free


def test_a_held_alert_goes_out_by_itself_when_no_digest_takes_it(outages: Outages) -> None:
    (held,) = outages.tell(0, 0)
    outages.enter(held)
    assert leases.lease(outages.connection, [held], now=at(299), until=at(400)) == []
    (claimed,) = leases.lease(outages.connection, [held], now=at(300), until=at(400))
    assert claimed.id == held


def test_the_channels_inside_are_those_with_an_alert_of_the_storm(outages: Outages) -> None:
    first, second = outages.channels

    def inside() -> set[int]:
        return held_alerts.channels_inside(outages.connection, outages.storm_id, outages.channels)

    (one,) = outages.tell(0, 0)
    outages.tell(1, 1)
    assert inside() == set()
    outages.enter(one)
    assert inside() == {first}
    held_alerts.cancel(outages.connection, [one], because="gone", now=at(1))
    assert inside() == {first}, "it stays, whatever became of the alert"
    none = held_alerts.channels_inside(outages.connection, outages.storm_id, [second])
    assert none == set()


def test_heard_are_the_outages_of_the_storm_that_channels_were_told_of_alone(
    outages: Outages,
) -> None:
    outages.adopt(0, 1)
    first, second = outages.channels
    (unsent,) = outages.tell(0, 0, seconds=5)
    (sent,) = outages.tell(1, 1, seconds=6)
    outages.set(sent, status="delivered", attempt=1)
    (inside,) = outages.tell(0, 1, seconds=7)
    outages.enter(inside)
    (cancelled,) = outages.tell(1, 0, seconds=8)
    outages.set(cancelled, status="cancelled")
    outages.tell(0, 0, kind=AlertKind.UP, seconds=9)
    outages.tell(0, 0, seconds=4)
    outages.tell(2, 0, seconds=9)

    def heard(**more: Any) -> list[Heard]:
        found = held_alerts.heard(outages.connection, outages.storm_id, after=at(4), **more)
        return sorted(found, key=lambda one: one.delivery_id)

    expected = [
        Heard(unsent, first, outages.incidents[0], is_unsent=True),
        Heard(sent, second, outages.incidents[1], is_unsent=False),
    ]
    assert heard() == expected
    assert heard(channel_ids=[second]) == expected[1:]
    assert heard(channel_ids=[]) == []


def test_waiting_is_what_nobody_has_begun_to_send(outages: Outages) -> None:
    first, second = outages.channels
    (down,) = outages.tell(0, 0)
    (up,) = outages.tell(0, 1, kind=AlertKind.UP)
    (tried,) = outages.tell(1, 0)
    (elsewhere,) = outages.tell(2, 0)
    outages.enter(down, up, tried)
    outages.set(tried, attempt=1)
    other = Outages(outages.connection)
    other.enter(elsewhere)
    assert held_alerts.waiting(outages.connection, outages.storm_id) == [
        Waiting(down, first, AlertKind.DOWN, outages.applications[0], outages.incidents[0]),
        Waiting(up, second, AlertKind.UP, outages.applications[0], outages.incidents[0]),
    ]


def test_a_merged_alert_is_not_sent_any_more(outages: Outages) -> None:
    held, tried = outages.tell(0, 0, 1)
    (digest,) = outages.tell(1, 0)
    outages.enter(held, tried)
    outages.set(tried, attempt=1)
    before = outages.row(tried)
    held_alerts.merge(outages.connection, [held, tried], into=digest, now=at(9))
    row = outages.row(held)
    assert (row.status, row.merged_into, row.finished_at, row.due_at) == (
        *("cancelled", digest),
        *(at(9), None),
    )
    assert row.last_error == "merged into a digest"
    assert outages.row(tried) == before, "a sender was faster"


def test_a_cancelled_alert_says_why(outages: Outages) -> None:
    held, tried = outages.tell(0, 0, 1)
    outages.enter(held, tried)
    outages.set(tried, attempt=1)
    before = outages.row(tried)
    held_alerts.cancel(outages.connection, [held, tried], because="it is gone", now=at(9))
    row = outages.row(held)
    assert (row.status, row.last_error, row.finished_at, row.due_at) == (
        *("cancelled", "it is gone"),
        *(at(9), None),
    )
    assert row.merged_into is None
    assert outages.row(tried) == before


def test_a_released_alert_is_sent_as_it_is(outages: Outages) -> None:
    held, kept, tried = (outages.tell(number, 0)[0] for number in range(3))
    outages.enter(held, kept, tried)
    outages.set(tried, attempt=1, due_at=at(50))
    held_alerts.release(outages.connection, [held, tried], now=at(9))
    row = outages.row(held)
    assert (row.status, row.due_at, row.last_error) == ("pending", at(9), None)
    assert row.storm_id == outages.storm_id
    assert outages.row(kept).due_at == at(300)
    assert outages.row(tried).due_at == at(50)
    assert held_alerts.release_all(outages.connection, outages.storm_id, now=at(10)) == 2
    assert [outages.row(one).due_at for one in (held, kept, tried)] == [at(10), at(10), at(50)]
    assert held_alerts.release_all(outages.connection, rows.LARGEST, now=at(11)) == 0


def test_told_alone_are_outages_with_an_alert_of_their_own(outages: Outages) -> None:
    first, second = outages.channels
    sent, failing, cancelled = (outages.tell(number, 0)[0] for number in range(3))
    held, merged = (outages.tell(number, 1)[0] for number in range(2))
    (other,) = outages.tell(2, 1)
    (up,) = outages.tell(0, 1, kind=AlertKind.UP)
    every = (sent, failing, cancelled, held, merged, other, up)
    outages.enter(*every)
    outages.set(sent, status="delivered", attempt=1)
    outages.set(failing, attempt=2)
    outages.set(cancelled, status="cancelled")
    outages.set(merged, status="cancelled", merged_into=sent)
    outages.set(other, status="dead", attempt=9)
    outages.set(up, status="delivered", attempt=1)
    told = held_alerts.told_alone(outages.connection, outages.storm_id, outages.channels)
    assert {channel: sorted(ids) for channel, ids in told.items()} == {
        first: outages.incidents[:2],
        second: outages.incidents[2:],
    }
    only = held_alerts.told_alone(outages.connection, outages.storm_id, [second])
    assert set(only) == {second}


def test_a_channel_has_had_a_digest_once_something_was_merged(outages: Outages) -> None:
    held, other = outages.tell(0, 0, 1)
    outages.enter(held, other)
    assert held_alerts.channels_with_digest(outages.connection, outages.storm_id) == set()
    held_alerts.merge(outages.connection, [held], into=other, now=NOON)
    found = held_alerts.channels_with_digest(outages.connection, outages.storm_id)
    assert found == {outages.channels[0]}


def test_still_down_are_counted_once_an_application_and_channel(outages: Outages) -> None:
    every = [*outages.tell(0, 0, 1), *outages.tell(1, 0), *outages.tell(0, 0), *outages.tell(2, 1)]
    ups = outages.tell(1, 1, kind=AlertKind.UP)
    outages.enter(*every, *ups)
    first, second = outages.channels
    assert held_alerts.still_down(outages.connection, outages.storm_id) == {first: 2, second: 2}
    incidents.close_open(outages.connection, outages.applications[0], at(5))
    assert held_alerts.still_down(outages.connection, outages.storm_id) == {first: 1, second: 1}
    for application_id in outages.applications:
        incidents.close_open(outages.connection, application_id, at(5))
    assert held_alerts.still_down(outages.connection, outages.storm_id) == {}
