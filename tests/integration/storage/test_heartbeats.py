"""The history: signals as they came, newest first."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection

from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.storage import applications, heartbeats, tables
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.heartbeats import Heartbeat, NewHeartbeat
from tests.support import rows
from tests.support.rows import NOON, at

A_MICROSECOND = timedelta(microseconds=1)


def signal(
    received_at: datetime = NOON, kind: SignalKind = SignalKind.SUCCESS, **more: object
) -> Signal:
    return Signal(uuid=uuid4(), kind=kind, received_at=received_at, **more)  # type: ignore[arg-type]


def add(connection: Connection, application_id: int, *signals: Signal) -> None:
    heartbeats.insert_many(connection, [NewHeartbeat(application_id, one, None) for one in signals])


FULL = signal(
    at(1) + A_MICROSECOND,
    SignalKind.FAIL,
    exit_status=255,
    rid=UUID("ffffffff-ffff-ffff-ffff-ffffffffffff"),
    body=b"done",
    body_size=2**31 - 1,
    method="M" * 16,
    remote_address="f" * 64,
    user_agent="ü🔥'\"\\" + "x" * 251,
)
BODIES = {
    "none": None,
    "empty": b"",
    "no UTF-8": b"\xff\xfe\xc3",
    "NUL bytes": b"\x00a\x00",
    "every byte": bytes(range(256)),
    "emoji": "🔥".encode(),
    "escapes": b"\\x41 '); DROP TABLE heartbeats; --",
    "long": b"\x00\xff" * 500_000,
}


@pytest.mark.parametrize("kind", SignalKind)
@pytest.mark.parametrize("sent", [FULL, signal()])
@pytest.mark.parametrize(
    "duration", [None, timedelta(0), A_MICROSECOND, timedelta(days=3_650, microseconds=1)]
)
def test_every_field_comes_back_as_it_was(
    connection: Connection, sent: Signal, kind: SignalKind, duration: timedelta | None
) -> None:
    sent = replace(sent, kind=kind)
    heartbeats.insert_many(connection, [NewHeartbeat(rows.LARGEST, sent, duration)])
    (found,) = heartbeats.page(connection, rows.LARGEST, limit=9)
    assert found == Heartbeat(
        id=found.id,
        application_id=rows.LARGEST,
        kind=kind,
        received_at=sent.received_at,
        exit_status=sent.exit_status,
        duration=duration,
        rid=sent.rid,
        method=sent.method,
        remote_address=sent.remote_address,
        user_agent=sent.user_agent,
        body_size=sent.body_size,
        body=sent.body,
    )


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_kept_as_it_came(connection: Connection, name: str) -> None:
    body = BODIES[name]
    add(connection, 1, signal(body=body))
    assert heartbeats.page(connection, 1, limit=1)[0].body == body


def test_pages_go_from_the_newest_and_settle_equal_times_by_id(connection: Connection) -> None:
    same = at(5) + A_MICROSECOND
    for received_at in (same, at(9), same, at(1), same):
        add(connection, 1, signal(received_at))
    add(connection, 2, signal(same))
    every = heartbeats.page(connection, 1, limit=9)
    assert [one.received_at for one in every] == [at(9), same, same, same, at(1)]
    ids = [one.id for one in every]
    assert ids[1:4] == sorted(ids[1:4], reverse=True)
    pages, before = [], None
    while page := heartbeats.page(connection, 1, limit=2, before=before):
        pages.append(page)
        before = page[-1].received_at, page[-1].id
    assert pages == [every[0:2], every[2:4], every[4:]]
    assert heartbeats.page(connection, 1, limit=9, before=(at(1), ids[-1])) == []
    assert heartbeats.page(connection, 3, limit=9) == []


def test_pages_cross_midnight(connection: Connection) -> None:
    """On PostgreSQL the days of the history lie apart."""
    midnight = NOON + timedelta(hours=12)
    seconds = (-0.000001, 0, 86_400, -86_400)
    add(connection, 1, *(signal(midnight + timedelta(seconds=one)) for one in seconds))
    found = heartbeats.page(connection, 1, limit=9)
    assert [(one.received_at - midnight).total_seconds() for one in found] == [
        *(86_400, 0, -0.000001, -86_400)
    ]


def test_many_are_stored_at_once_in_the_order_given(connection: Connection) -> None:
    heartbeats.insert_many(connection, [])
    new = [NewHeartbeat(number % 7, signal(body=b"%d" % number), None) for number in range(1_000)]
    heartbeats.insert_many(connection, new)
    found = [one for number in range(7) for one in heartbeats.page(connection, number, limit=999)]
    found.sort(key=lambda one: one.id)
    assert [one.body for one in found] == [one.signal.body for one in new]


def test_the_newest_id_is_known_and_rises(connection: Connection) -> None:
    before = heartbeats.newest_id(connection)
    for _ in range(2):
        add(connection, 1, signal(at(9)), signal(at(1)))
        newest = heartbeats.newest_id(connection)
        found = [one.id for one in heartbeats.page(connection, 1, limit=9)]
        assert newest == max(found) > before
        before = newest


def test_before_the_first_there_is_no_newest(database: Database) -> None:
    with database.read() as connection:
        assert heartbeats.newest_id(connection) == 0


def test_the_history_of_a_deleted_application_stays_for_the_next_pruning(
    connection: Connection, project_id: int
) -> None:
    made = rows.application(connection, project_id)
    add(connection, made, signal())
    applications.remove(connection, made)
    assert rows.count(connection, tables.heartbeats) == 1
    assert rows.application(connection, project_id) != made, "it is nobody else's"


def test_one_that_can_not_be_stored_takes_its_batch_along(database: Database) -> None:
    """The service then stores one by one; half a batch would come twice."""
    refused = signal(body_size=2**70)
    with pytest.raises(Exception), database.write() as connection:  # noqa: B017  as drivers call it
        add(connection, 1, signal(), refused, signal())
    with database.read() as connection:
        assert heartbeats.page(connection, 1, limit=9) == []
