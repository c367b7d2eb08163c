"""Channels: stored sealed, listed by project, and how their last deliveries went."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from heartbeat_central.domain.errors import NotFound
from heartbeat_central.storage import applications, channels, tables
from heartbeat_central.storage.channels import Channel, Past
from heartbeat_central.storage.secrets import SecretBox, WrongSecretKey
from tests.support import rows
from tests.support.rows import NOON, at

A_MICROSECOND = timedelta(microseconds=1)
CONFIG: dict[str, Any] = {
    "url": "https://example.com/🔥?a=b&c='\"\\",
    "headers": {"X-Key": "s3same", "X-Empty": ""},
    "smtp_port": 2**31,
    "secret": None,
    "list": [1.5, True, "\x00", "\ud800"],
    "long": "ß" * 100_000,
}


def add(connection: Connection, project_id: int, **given: Any) -> Channel:
    values = {
        "name": "hook",
        "type_": "webhook",
        "sealed_config": "sealed",
        "is_active": True,
        "now": NOON,
        **given,
    }
    return channels.add(connection, project_id=project_id, **values)


@pytest.mark.parametrize(
    ("name", "type_", "is_active"), [("x", "sms", False), ("🔥" * 200, "t" * 64, True)]
)
def test_every_field_comes_back_as_it_was(
    connection: Connection, project_id: int, name: str, type_: str, is_active: bool
) -> None:
    made = add(connection, project_id, name=name, type_=type_, is_active=is_active)
    assert made == Channel(
        id=made.id,
        project_id=project_id,
        name=name,
        type=type_,
        sealed_config="sealed",
        is_active=is_active,
        created_at=NOON,
        updated_at=NOON,
    )
    assert channels.find(connection, project_id, made.id) == made


def test_what_is_in_a_configuration_is_read_with_the_key_alone(
    connection: Connection, project_id: int
) -> None:
    box, rotated, other = SecretBox(["old"]), SecretBox(["new", "old"]), SecretBox(["new"])
    made = add(connection, project_id, sealed_config=box.seal(CONFIG))
    stored = channels.find(connection, project_id, made.id).sealed_config
    for secret in ("s3same", "example.com", "X-Key"):
        assert secret not in stored
    assert box.open(stored) == rotated.open(stored) == CONFIG
    assert not other.opens(stored)
    with pytest.raises(WrongSecretKey):
        other.open(stored)
    assert other.open(rotated.seal(CONFIG)) == CONFIG, "the first key seals"


def test_a_changed_channel_keeps_what_can_not_be_changed(
    connection: Connection, project_id: int
) -> None:
    made, other = add(connection, project_id), add(connection, project_id)
    channels.save(
        connection,
        made.id,
        name="renamed",
        sealed_config="sealed anew",
        is_active=False,
        now=at(5) + A_MICROSECOND,
    )
    assert channels.find(connection, project_id, made.id) == Channel(
        id=made.id,
        project_id=project_id,
        name="renamed",
        type="webhook",
        sealed_config="sealed anew",
        is_active=False,
        created_at=NOON,
        updated_at=at(5) + A_MICROSECOND,
    )
    assert channels.find(connection, project_id, other.id) == other


def test_channels_of_other_projects_are_not_found(connection: Connection, project_id: int) -> None:
    made = add(connection, project_id)
    for whose, which in (
        (rows.project(connection), made.id),
        (project_id, made.id + 1),
        (project_id, rows.LARGEST),
    ):
        with pytest.raises(NotFound):
            channels.find(connection, whose, which)


def test_pages_go_from_the_newest_to_the_oldest_and_meet_without_a_gap(
    connection: Connection, project_id: int
) -> None:
    made = [add(connection, project_id, name=f"{number}") for number in range(5)]
    add(connection, rows.project(connection))
    pages, before_id = [], None
    while page := channels.page(connection, project_id, limit=2, before_id=before_id):
        pages.append(page)
        before_id = page[-1].id
    assert pages == [[made[4], made[3]], [made[2], made[1]], [made[0]]]


def test_a_deleted_channel_takes_along_its_deliveries_and_subscriptions(
    connection: Connection, project_id: int
) -> None:
    gone, kept = (rows.channel(connection, project_id) for _ in range(2))
    application_id = rows.application(connection, project_id, channel_ids=[gone, kept])
    lost, left = rows.deliveries(connection, project_id, [gone, kept])
    for delivery_id in (lost, left):
        attempt(connection, delivery_id, 1, "ok")
    channels.remove(connection, gone)
    assert applications.load(connection, application_id).channel_ids == (kept,)
    assert connection.execute(select(tables.deliveries.c.id)).scalars().all() == [left]
    tried = select(tables.delivery_attempts.c.delivery_id)
    assert connection.execute(tried).scalars().all() == [left]
    assert rows.count(connection, tables.alerts) == 1


def test_the_id_of_a_deleted_channel_is_never_given_again(
    connection: Connection, project_id: int
) -> None:
    gone = add(connection, project_id).id
    channels.remove(connection, gone)
    assert add(connection, project_id).id > gone


def attempt(
    connection: Connection, delivery_id: int, number: int, outcome: str, detail: str = ""
) -> None:
    connection.execute(
        insert(tables.delivery_attempts).values(
            delivery_id=delivery_id,
            attempt=number,
            started_at=NOON,
            finished_at=NOON,
            outcome=outcome,
            detail=detail,
        )
    )


def finish(connection: Connection, delivery_id: int, status: str, seconds: float) -> None:
    connection.execute(
        update(tables.deliveries)
        .where(tables.deliveries.c.id == delivery_id)
        .values(status=status, finished_at=at(seconds))
    )


def test_a_channel_tells_when_it_last_delivered_and_what_went_wrong_since(
    connection: Connection, project_id: int
) -> None:
    def delivery(channel_id: int) -> int:
        return rows.deliveries(connection, project_id, [channel_id])[0]

    idle, fine, failing, mended, never = (rows.channel(connection, project_id) for _ in range(5))
    for channel_id in (fine, failing, mended):
        for second in (1, 2):
            made = delivery(channel_id)
            attempt(connection, made, 1, "ok")
            finish(connection, made, "delivered", second)
    attempt(connection, delivery(failing), 1, "failed", "HTTP 500: öops 🔥")
    late = delivery(mended)
    attempt(connection, late, 1, "failed", "HTTP 503")
    attempt(connection, late, 2, "ok")
    finish(connection, late, "delivered", 9)
    dead = delivery(never)
    attempt(connection, dead, 1, "failed", "first")
    attempt(connection, dead, 2, "failed", "second")
    finish(connection, dead, "dead", 5)

    assert channels.pasts(connection, [idle, fine, failing, mended, never]) == {
        idle: Past(),
        fine: Past(at(2)),
        failing: Past(at(2), "HTTP 500: öops 🔥"),
        mended: Past(at(9)),
        never: Past(None, "second"),
    }
    assert channels.pasts(connection, [fine]) == {fine: Past(at(2))}
    assert channels.pasts(connection, []) == {}


def test_an_attempt_is_stored_once(connection: Connection, project_id: int) -> None:
    (made,) = rows.deliveries(connection, project_id, [rows.channel(connection, project_id)])
    attempt(connection, made, 1, "ok")
    with rows.refused(connection):
        attempt(connection, made, 1, "failed")
