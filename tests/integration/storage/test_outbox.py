"""The outbox: alerts with a delivery for each channel, as people look at them."""

from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, select, update

from heartbeat_central.domain.alert import Alert, AlertKind
from heartbeat_central.domain.digest import DigestTopic
from heartbeat_central.domain.errors import NotFound
from heartbeat_central.storage import applications, channels, leases, outbox, tables
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.leases import Attempt
from heartbeat_central.storage.outbox import Delivery, DeliveryStatus, NewAlert
from tests.support import rows, sample_alerts
from tests.support.racing import meanwhile
from tests.support.rows import NOON, at

A_MICROSECOND = timedelta(microseconds=1)


def stored_alert(connection: Connection, delivery_id: int) -> Alert:
    query = (
        select(tables.alerts.c.snapshot)
        .join(tables.deliveries, tables.deliveries.c.alert_id == tables.alerts.c.id)
        .where(tables.deliveries.c.id == delivery_id)
    )
    return Alert.from_json(connection.execute(query).scalar_one())


def set_(connection: Connection, delivery_id: int, **values: object) -> None:
    connection.execute(
        update(tables.deliveries).where(tables.deliveries.c.id == delivery_id).values(values)
    )


ALERTS = {
    "down": sample_alerts.alert(),
    "up": sample_alerts.alert(kind=AlertKind.UP),
    "test": sample_alerts.alert(kind=AlertKind.TEST),
    "storm": sample_alerts.digest(["a", "b"]),
    "blind window": sample_alerts.digest(["a"], DigestTopic.BLIND_WINDOW),
    "long": sample_alerts.digest(["🔥" * 200] * 500),
    **{
        name: sample_alerts.alert(hostile)
        for name, hostile in sample_alerts.HOSTILE_NAMES.items()
        # No name holds these: domain/application.py refuses them.
        if name not in ("nul and escapes", "lone surrogate")
    },
}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_stored_as_it_was_decided(
    connection: Connection, project_id: int, name: str
) -> None:
    alert = ALERTS[name]
    (made,) = outbox.add(
        connection,
        project_id=project_id,
        alert=alert,
        channel_ids=[rows.channel(connection, project_id)],
    )
    assert stored_alert(connection, made) == alert
    (shown,) = outbox.page(connection, project_id, limit=9)
    assert shown.kind is alert.kind
    assert shown.title == (alert.digest.title if alert.digest else None)
    assert shown.application_id == (alert.application.id if alert.application else None)
    assert shown.incident_id == (alert.incident.id if alert.incident else None)


def test_a_new_delivery_waits_for_its_first_attempt(
    connection: Connection, project_id: int
) -> None:
    channel_id = rows.channel(connection, project_id, "🔥 hook")
    application_id = rows.application(connection, project_id, "Now called this")
    decided_at = at(3) + A_MICROSECOND
    (made,) = rows.deliveries(
        connection,
        project_id,
        [channel_id],
        application_id=application_id,
        incident_id=rows.LARGEST,
        created_at=decided_at,
    )
    shown = outbox.find(connection, project_id, channel_id, made)
    assert shown == Delivery(
        id=made,
        uuid=shown.uuid,
        kind=AlertKind.DOWN,
        channel_id=channel_id,
        channel_name="🔥 hook",
        application_id=application_id,
        application_name="Now called this",
        title=None,
        incident_id=rows.LARGEST,
        status=DeliveryStatus.PENDING,
        attempts=0,
        next_attempt_at=decided_at,
        finished_at=None,
        last_error=None,
        merged_into=None,
        created_at=decided_at,
    )
    assert outbox.page(connection, project_id, limit=9) == [shown]


def test_a_delivery_may_be_due_later_than_decided(connection: Connection, project_id: int) -> None:
    channel_id = rows.channel(connection, project_id)
    (made,) = rows.deliveries(connection, project_id, [channel_id], due_at=at(60))
    shown = outbox.find(connection, project_id, channel_id, made)
    assert (shown.created_at, shown.next_attempt_at) == (NOON, at(60))


def test_deliveries_come_back_alert_by_alert_and_channel_by_channel(
    connection: Connection, project_id: int
) -> None:
    first, second = (rows.channel(connection, project_id) for _ in range(2))
    names = {"one": [second, first], "nobody": [], "two": [first]}
    ids = outbox.add_many(
        connection,
        [
            NewAlert(project_id, sample_alerts.alert(name), channel_ids)
            for name, channel_ids in names.items()
        ],
    )
    found = [
        outbox.find(connection, project_id, to, id_)
        for to, id_ in zip((second, first, first), ids, strict=True)
    ]
    told = [stored_alert(connection, one.id).application for one in found]
    assert [one.name for one in told if one] == ["one", "one", "two"]
    assert len({one.uuid for one in found}) == 3
    assert rows.count(connection, tables.alerts) == 3, "also what nobody is told"
    assert outbox.add_many(connection, []) == []


def test_a_delivery_needs_its_channel(connection: Connection, project_id: int) -> None:
    with rows.refused(connection):
        rows.deliveries(connection, project_id, [rows.LARGEST])
    assert rows.count(connection, tables.alerts) == 0


def test_ids_are_never_given_again_nor_to_two_at_once(database: Database) -> None:
    def add(connection: Connection) -> list[int]:
        return rows.deliveries(connection, project_id, [channel_id] * 50)

    with database.write() as connection:
        project_id = rows.project(connection)
        channel_id = rows.channel(connection, project_id)
        gone = add(connection)
        connection.execute(tables.alerts.delete())
        assert min(add(connection)) > max(gone)
    if database.dialect == "postgresql":
        with database.write() as one, database.write() as other:
            assert not set(add(one)) & set(add(other))


def test_whom_to_tell_are_the_active_channels_of_each_application(
    connection: Connection, project_id: int
) -> None:
    first, second = (rows.channel(connection, project_id) for _ in range(2))
    off = rows.channel(connection, project_id, is_active=False)
    both = rows.application(connection, project_id, channel_ids=[second, off, first])
    one = rows.application(connection, project_id, channel_ids=[second])
    silent = rows.application(connection, project_id, channel_ids=[off])
    other = rows.application(connection, project_id, channel_ids=[first])
    found = outbox.subscribed_channels(connection, [one, silent, both, rows.LARGEST])
    assert found == {both: [first, second], one: [second]}
    assert outbox.subscribed_channels(connection, [other]) == {other: [first]}
    assert outbox.subscribed_channels(connection, []) == {}


def test_the_name_of_an_application_follows_it_and_goes_with_it(
    connection: Connection, project_id: int
) -> None:
    channel_id = rows.channel(connection, project_id)
    application_id = rows.application(connection, project_id, "Before")
    (made,) = rows.deliveries(connection, project_id, [channel_id], application_id=application_id)
    settings = applications.load(connection, application_id).settings
    applications.save_settings(
        connection, application_id, replace(settings, name="After"), now=at(1)
    )
    assert outbox.find(connection, project_id, channel_id, made).application_name == "After"
    applications.remove(connection, application_id)
    shown = outbox.find(connection, project_id, channel_id, made)
    assert (shown.application_id, shown.application_name) == (application_id, None)


def test_pages_go_from_the_newest_to_the_oldest_and_meet_without_a_gap(
    connection: Connection, project_id: int
) -> None:
    first, second = (rows.channel(connection, project_id) for _ in range(2))
    other = rows.project(connection)
    foreign = rows.channel(connection, other)
    made = [
        rows.deliveries(connection, project_id, [to])[0] for to in (first, second) * 2 + (first,)
    ]
    rows.deliveries(connection, other, [foreign])

    def ids(**more: object) -> list[int]:
        found = outbox.page(connection, project_id, **{"limit": 9, **more})  # type: ignore[arg-type]
        return [one.id for one in found]

    assert ids() == made[::-1]
    assert ids(channel_id=first) == [made[4], made[2], made[0]]
    assert ids(channel_id=foreign) == []
    pages, before_id = [], None
    while page := ids(limit=2, before_id=before_id):
        pages.append(page)
        before_id = page[-1]
    assert pages == [[made[4], made[3]], [made[2], made[1]], [made[0]]]


def test_pages_hold_one_status_as_it_is_shown_and_tests_only_when_wanted(
    connection: Connection, project_id: int
) -> None:
    channel_id = rows.channel(connection, project_id)
    made = {
        name: rows.deliveries(connection, project_id, [channel_id])[0]
        for name in ("pending", "delivered", "dead", "cancelled", "merged")
    }
    (tried,) = rows.deliveries(connection, project_id, [channel_id], kind=AlertKind.TEST)
    for name in ("delivered", "dead", "cancelled"):
        set_(connection, made[name], status=name)
    set_(connection, made["merged"], status="cancelled", merged_into=made["pending"])
    for status in DeliveryStatus:
        found = outbox.page(connection, project_id, status=status, with_tests=False, limit=9)
        assert [(one.id, one.status) for one in found] == [(made[status.value], status)]
    assert outbox.page(connection, project_id, limit=1)[0].id == tried
    assert len(outbox.page(connection, project_id, with_tests=False, limit=9)) == len(made)


def test_what_a_digest_will_tell_shows_no_attempt_of_its_own(
    connection: Connection, project_id: int
) -> None:
    channel_id = rows.channel(connection, project_id)
    (made,) = rows.deliveries(connection, project_id, [channel_id])
    set_(connection, made, storm_id=1, last_error="held", due_at=at(300))
    assert outbox.find(connection, project_id, channel_id, made).next_attempt_at is None
    set_(connection, made, attempt=1)
    assert outbox.find(connection, project_id, channel_id, made).next_attempt_at == at(300)


def test_deliveries_of_other_channels_and_projects_are_not_found(
    connection: Connection, project_id: int
) -> None:
    channel_id, other = (rows.channel(connection, project_id) for _ in range(2))
    (made,) = rows.deliveries(connection, project_id, [channel_id])
    for whose, to, which in (
        (rows.project(connection), channel_id, made),
        (project_id, other, made),
        (project_id, channel_id, made + 1),
        (project_id, channel_id, rows.LARGEST),
    ):
        with pytest.raises(NotFound):
            outbox.find(connection, whose, to, which)


def test_a_delivery_may_be_found_and_kept_from_others(database: Database) -> None:
    with database.write() as connection:
        project_id = rows.project(connection)
        channel_id = rows.channel(connection, project_id)
        (made,) = rows.deliveries(connection, project_id, [channel_id])

    def look(connection: Connection) -> int:
        return outbox.find(connection, project_id, channel_id, made, lock=True).attempts

    with ExitStack() as stack:
        with database.write() as first:
            assert look(first) == 0
            second = stack.enter_context(meanwhile(database, look))
            set_(first, made, attempt=1)
        assert second.result(10) == 1


def test_each_attempt_changes_the_mark_of_the_last_one(
    connection: Connection, project_id: int
) -> None:
    assert outbox.last_attempt(connection) is None
    (made,) = rows.deliveries(connection, project_id, [rows.channel(connection, project_id)])
    seen = {outbox.last_attempt(connection)}
    for number in range(1, 4):
        leases.add_attempts(
            connection,
            [
                Attempt(
                    delivery_id=made,
                    attempt=number,
                    started_at=at(number),
                    finished_at=at(number + 1),
                    outcome="ok",
                    detail="",
                )
            ],
        )
        seen.add(outbox.last_attempt(connection))
    assert len(seen) == 4


def test_an_attempt_after_a_deletion_changes_the_mark_too(
    connection: Connection, project_id: int
) -> None:
    marks = []
    for second in (1, 2):
        channel_id = rows.channel(connection, project_id)
        (made,) = rows.deliveries(connection, project_id, [channel_id])
        tried = Attempt(
            delivery_id=made,
            attempt=1,
            started_at=at(second),
            finished_at=at(second),
            outcome="ok",
            detail="",
        )
        leases.add_attempts(connection, [tried])
        marks.append(outbox.last_attempt(connection))
        channels.remove(connection, channel_id)
    assert marks[0] != marks[1]
