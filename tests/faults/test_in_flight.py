"""An application is deleted, paused or recovers while an alert about it is on its way."""

from collections.abc import Callable, Iterator

import pytest

from heartbeat_central.domain.alert import AlertKind
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.services.manage_applications import (
    delete_application,
    pause_application,
    resume_application,
)
from heartbeat_central.services.manage_channels import delete_channel
from heartbeat_central.services.read_history import deliveries_page
from heartbeat_central.storage.leases import Claimed
from heartbeat_central.storage.outbox import Delivery, DeliveryStatus
from tests.support.receivers.http import HttpReceiver, respond
from tests.support.world import BASE_URL, World, at


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as listening:
        yield listening


def delete(world: World, application: ApplicationView, seconds: float) -> None:
    delete_application(world.database, world.project_id, application.id, now=at(seconds))


def pause(world: World, application: ApplicationView, seconds: float) -> None:
    pause_application(
        world.database, world.project_id, application.id, now=at(seconds), base_url=BASE_URL
    )


def pause_and_resume(world: World, application: ApplicationView, seconds: float) -> None:
    pause(world, application, seconds)
    resume_application(
        world.database, world.project_id, application.id, now=at(seconds), base_url=BASE_URL
    )


def recover(world: World, application: ApplicationView, seconds: float) -> None:
    world.beat(application, seconds)


def deliveries(world: World, channel: int) -> list[Delivery]:
    """Return a channel's deliveries, oldest first."""
    return deliveries_page(world.database, world.project_id, channel, limit=100)[::-1]


def send_due(world: World, seconds: float) -> list[Claimed]:
    """Send what is due, and return it."""
    sent = []
    # A claim may come back empty because it cancelled what it found; the next one finds the rest.
    while claimed := world.claim(seconds) or world.claim(seconds):
        for one in claimed:
            world.send(one, seconds)
            sent.append(one)
    return sent


CHANGES = pytest.mark.parametrize(
    ("change", "reason"),
    [
        (delete, "the application was deleted"),
        (pause, "the application was paused before this was sent"),
        (pause_and_resume, "the outage ended before this was sent"),
        (recover, "the outage ended before this was sent"),
    ],
)
Change = Callable[[World, ApplicationView, float], None]


@CHANGES
def test_before_the_first_attempt_it_is_cancelled_and_says_why(
    world: World, receiver: HttpReceiver, change: Change, reason: str
) -> None:
    channel = world.webhook(receiver.url)
    application = world.application(channels=[channel])
    world.beat(application, 5, SignalKind.FAIL)
    change(world, application, 6)
    assert AlertKind.DOWN not in {one.alert.kind for one in send_due(world, 7)}
    down = deliveries(world, channel)[0]
    assert down.status is DeliveryStatus.CANCELLED
    assert (down.last_error or "").startswith(reason)


@CHANGES
def test_between_two_attempts_it_is_cancelled_and_says_why(
    world: World, receiver: HttpReceiver, change: Change, reason: str
) -> None:
    receiver.answer = respond(503)
    channel = world.webhook(receiver.url)
    application = world.application(channels=[channel])
    world.beat(application, 5, SignalKind.FAIL)
    (claimed,) = world.claim(6)
    # While the first attempt is under way.
    change(world, application, 7)
    assert world.send(claimed, 8) is DeliveryStatus.PENDING
    receiver.answer = respond()
    assert AlertKind.DOWN not in {one.alert.kind for one in send_due(world, 3600)}
    down = deliveries(world, channel)[0]
    assert down.status is DeliveryStatus.CANCELLED
    assert (down.last_error or "").startswith(reason)


@CHANGES
def test_an_attempt_that_is_under_way_ends_as_it_would(
    world: World, receiver: HttpReceiver, change: Change, reason: str
) -> None:
    channel = world.webhook(receiver.url)
    application = world.application(channels=[channel])
    world.beat(application, 5, SignalKind.FAIL)
    (claimed,) = world.claim(6)
    change(world, application, 7)
    assert world.send(claimed, 8) is DeliveryStatus.DELIVERED
    assert deliveries(world, channel)[0].status is DeliveryStatus.DELIVERED


def test_a_recovery_is_told_after_the_outage_that_is_under_way(
    world: World, receiver: HttpReceiver
) -> None:
    application = world.application(channels=[world.webhook(receiver.url)])
    world.beat(application, 5, SignalKind.FAIL)
    (down,) = world.claim(6)
    recover(world, application, 7)
    assert send_due(world, 7) == []
    world.send(down, 8)
    assert [one.alert.kind for one in send_due(world, 8)] == [AlertKind.UP]


def test_what_waits_for_one_that_is_under_way_hides_no_other(
    world: World, receiver: HttpReceiver
) -> None:
    channel = world.webhook(receiver.url)
    flapping = world.application("flapping", channels=[channel])
    world.beat(flapping, 5, SignalKind.FAIL)
    assert world.claim(5)
    for seconds in range(6, 12):
        world.beat(flapping, seconds, SignalKind.FAIL if seconds % 2 else SignalKind.SUCCESS)
    other = world.application("other", channels=[channel])
    world.beat(other, 12, SignalKind.FAIL)
    [claimed] = world.claim(12, most=1)
    assert claimed.alert.application is not None
    assert claimed.alert.application.name == "other"


def test_a_recovery_that_comes_late_says_that_it_is_down_again(
    world: World, receiver: HttpReceiver
) -> None:
    receiver.answer = respond(503)
    application = world.application(channels=[world.webhook(receiver.url)])
    world.beat(application, 5, SignalKind.FAIL)
    send_due(world, 6)
    recover(world, application, 7)
    send_due(world, 7)
    world.beat(application, 900, SignalKind.FAIL)
    receiver.answer = respond()
    send_due(world, 901)
    up, down = (request.body.decode() for request in receiver.requests[-2:])
    assert "is up again" in up
    assert "It went down again at" in up
    assert '"event": "down"' in down


def test_a_channel_that_is_deleted_under_way_takes_its_deliveries_with_it(
    world: World, receiver: HttpReceiver
) -> None:
    channel = world.webhook(receiver.url)
    world.beat(world.application(channels=[channel]), 5, SignalKind.FAIL)
    (claimed,) = world.claim(6)
    delete_channel(world.database, world.project_id, channel)
    world.send(claimed, 7)
    assert send_due(world, 3600) == []
    assert len(receiver.requests) == 1
