"""A delivery that is given up is told through the project's other channels, once."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from heartbeat_central.domain.alert import AlertKind
from heartbeat_central.domain.digest import Digest, DigestTopic
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.services.manage_channels import change_channel
from heartbeat_central.services.tell_dead_letters import tell_dead_letters
from heartbeat_central.services.test_channel import test_channel as try_channel
from heartbeat_central.storage import tables
from heartbeat_central.storage.outbox import DeliveryStatus
from tests.support.receivers.http import HttpReceiver, respond
from tests.support.world import BASE_URL, World, at

HOUR = 3600.0


@pytest.fixture
def gone() -> Iterator[HttpReceiver]:
    """A receiver whose hook was removed."""
    with HttpReceiver(respond(404, b"no such hook")) as listening:
        yield listening


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as listening:
        yield listening


def send_all(world: World, seconds: float) -> list[DeliveryStatus]:
    statuses = []
    while claimed := world.claim(seconds):
        statuses += [world.send(one, seconds) for one in claimed]
    return statuses


def tell(world: World, seconds: float) -> int:
    return tell_dead_letters(world.database, now=at(seconds), base_url=BASE_URL)


def digests(receiver: HttpReceiver) -> list[dict[str, Any]]:
    bodies = [json.loads(request.body) for request in receiver.requests]
    return [body for body in bodies if body["event"] == "digest"]


def stored_digests(world: World) -> list[Digest]:
    with world.database.read() as connection:
        return [
            Digest.from_json(row.snapshot["digest"])
            for row in connection.execute(select(tables.alerts).order_by(tables.alerts.c.id))
            if row.kind == AlertKind.DIGEST
        ]


def test_the_other_channels_tell_which_one_failed_and_why(
    world: World, gone: HttpReceiver, receiver: HttpReceiver
) -> None:
    broken = world.webhook(gone.url, name="Ops pager")
    world.webhook(receiver.url, name="Mail")
    world.beat(world.application(channels=[broken]), 5, SignalKind.FAIL, exit_status=3)
    assert send_all(world, 6) == [DeliveryStatus.DEAD]
    assert tell(world, 7) == 1
    assert send_all(world, 7) == [DeliveryStatus.DELIVERED]

    (told,) = digests(receiver)
    assert told["topic"] == DigestTopic.DEAD_LETTER
    assert told["title"] == "NOT DELIVERED through Ops pager: DOWN: Backup"
    assert "exit status 3" in told["text"]
    assert "HTTP 404: no such hook" in told["text"]
    assert [one["name"] for one in told["applications"]] == ["Backup"]
    assert f"/channels/{broken}" in told["text"]
    assert tell(world, 7 + HOUR) == 0, "once"


def test_a_channel_that_is_switched_off_or_failed_itself_tells_nothing(
    world: World, gone: HttpReceiver, receiver: HttpReceiver
) -> None:
    broken = world.webhook(gone.url)
    off = world.webhook(receiver.url)
    change_channel(
        world.database,
        world.project_id,
        off,
        {"is_active": False},
        registry=world.registry,
        secret_box=world.secret_box,
        now=at(0),
    )
    world.beat(world.application(channels=[broken]), 5, SignalKind.FAIL)
    send_all(world, 6)
    assert tell(world, 7) == 0
    assert receiver.requests == []
    assert tell(world, 7 + HOUR) == 0


def test_channels_that_all_fail_don_t_go_on_telling_each_other(
    world: World, gone: HttpReceiver
) -> None:
    channels = [world.webhook(f"{gone.url}/{number}", name=f"hook {number}") for number in range(3)]
    world.beat(world.application(channels=channels[:1]), 5, SignalKind.FAIL)
    seconds = 6.0
    for _ in range(10):
        send_all(world, seconds)
        tell(world, seconds)
        seconds += HOUR / 10
    assert len(gone.requests) == 3, "the alert, and a notice to each of the two others"
    with world.database.read() as connection:
        statuses = connection.execute(select(tables.deliveries.c.status)).scalars().all()
    assert statuses == ["dead"] * 3


def test_a_wave_of_dead_letters_is_gathered(
    world: World, gone: HttpReceiver, receiver: HttpReceiver
) -> None:
    broken = world.webhook(gone.url, name="Ops")
    world.webhook(receiver.url)
    for number in range(6):
        application = world.application(f"app {number}", channels=[broken])
        world.beat(application, 61 * number, SignalKind.FAIL)
    start = 61.0 * 6
    (first,) = world.claim(start)
    world.send(first, start)
    assert tell(world, start) == 1, "the first is told at once"
    for second in range(1, 6):
        for one in world.claim(start + second):
            world.send(one, start + second)
        assert tell(world, start + second) == 0
    assert tell(world, start + 60) == 1
    send_all(world, start + 61)
    told = digests(receiver)
    assert [one["title"] for one in told] == [
        "NOT DELIVERED through Ops: DOWN: app 0",
        "NOT DELIVERED through Ops: 5 alerts",
    ]
    assert [one["name"] for one in told[1]["applications"]] == [f"app {n}" for n in range(1, 6)]


def test_a_digest_that_dies_is_told_with_its_list_as_it_is_now(
    world: World, gone: HttpReceiver, receiver: HttpReceiver
) -> None:
    broken = world.webhook(gone.url, name="Ops")
    everyone = [world.application(f"app {number}", channels=[broken]) for number in range(12)]
    world.detect(70)
    world.digest(71)
    assert send_all(world, 71) == [DeliveryStatus.DEAD]
    world.beat(everyone[0], 72)
    world.webhook(receiver.url)
    assert tell(world, 73) == 1
    (told,) = stored_digests(world)[1:]
    assert told.title == "NOT DELIVERED through Ops: DOWN: 12 applications, likely a shared cause"
    assert sum(incident.closed_at is None for incident in told.incidents()) == 11
    assert len(told.entries) == 12


def test_a_failed_test_is_told_to_nobody_but_who_made_it(
    world: World, gone: HttpReceiver, receiver: HttpReceiver
) -> None:
    broken = world.webhook(gone.url)
    world.webhook(receiver.url)
    outcome = try_channel(
        world.sender(), world.project_id, broken, base_url=BASE_URL, clock=lambda: at(5)
    )
    assert not outcome.ok
    assert tell(world, 6) == 0


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_after_24_hours_of_trying_it_is_a_dead_letter(
    world: World, gone: HttpReceiver, receiver: HttpReceiver, status: int
) -> None:
    gone.answer = respond(status, b"busy")
    broken = world.webhook(gone.url)
    world.webhook(receiver.url)
    world.beat(world.application(channels=[broken]), 5, SignalKind.FAIL)
    seconds, attempts = 6.0, 0
    while seconds < 23 * HOUR:
        (claimed,) = world.claim(seconds)
        assert world.send(claimed, seconds) is DeliveryStatus.PENDING
        attempts += 1
        # Pauses grow to half an hour: one later than that finds it due.
        seconds += HOUR / 2 + 1
    (claimed,) = world.claim(24 * HOUR + 6)
    assert claimed.attempt == attempts + 1
    assert world.send(claimed, 24 * HOUR + 6) is DeliveryStatus.DEAD
    assert tell(world, 24 * HOUR + 7) == 1
    send_all(world, 24 * HOUR + 7)
    (told,) = digests(receiver)
    assert f"gave up after {attempts + 1} attempts within 24 hours" in told["text"]
    assert str(status) in told["text"]
