"""Senders work in parallel, and a receiver that hangs delays nobody else."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.metrics import Metrics
from heartbeat_central.monitor import dispatcher as module
from heartbeat_central.monitor.dispatcher import Dispatcher
from heartbeat_central.services.deliver_alerts import Sender
from heartbeat_central.services.read_history import deliveries_page
from heartbeat_central.storage import tables
from tests.support.receivers.http import HttpReceiver, hangs, respond
from tests.support.samples import value
from tests.support.service import wait_until
from tests.support.world import World, at

APART = 61
"""Seconds between outages that are no storm."""


class Running:
    """A dispatcher that is rung whenever one of its senders ends."""

    def __init__(self, world: World) -> None:
        sender = Sender(world.database, world.registry, world.secret_box, world.outbound)
        begun = time.monotonic()
        self.metrics = Metrics()
        self.waited: list[datetime | None] = []
        self.dispatcher = Dispatcher(
            sender,
            # The world's own time: it begins at noon, whatever the time of day.
            clock=lambda: at(time.monotonic() - begun),
            on_ended=lambda: None,
            metrics=self.metrics,
            on_waiting=self.waited.append,
        )

    def until(self, condition: Callable[[], object]) -> None:
        def step() -> bool:
            self.dispatcher.dispatch()
            return bool(condition())

        wait_until(step, "deliveries")


@pytest.fixture
def running(world: World) -> Iterator[Running]:
    started = Running(world)
    yield started
    started.dispatcher.stop()


def test_every_alert_arrives_once(world: World, running: Running) -> None:
    with HttpReceiver() as receiver:
        channel = world.webhook(receiver.url)
        for number in range(30):
            application = world.application(f"app {number}", channels=[channel])
            world.beat(application, -APART * number, SignalKind.FAIL)
        running.until(lambda: len(receiver.requests) >= 30)
        told = [json.loads(request.body)["application"]["name"] for request in receiver.requests]
        assert sorted(told) == sorted(f"app {number}" for number in range(30))

        def all_delivered() -> bool:
            page = deliveries_page(world.database, world.project_id, channel, limit=100)
            return {one.status.value for one in page} == {"delivered"}

        running.until(all_delivered)
        assert len(receiver.requests) == 30
        running.dispatcher.stop()
        text = running.metrics.as_text()
        delivered = {"plugin": "webhook", "outcome": "delivered"}
        assert value(text, "delivery_attempts_total", **delivered) == 30
        assert value(text, "delivery_latency_seconds_count", plugin="webhook") == 30


def test_hanging_receivers_delay_no_other_channel(world: World, running: Running) -> None:
    with HttpReceiver(hangs) as hanging, HttpReceiver() as healthy:
        for number in range(20):
            stuck = world.webhook(f"{hanging.url}/{number}")
            for copy in range(5):
                application = world.application(f"{number}.{copy}", channels=[stuck])
                world.beat(application, -APART * (5 * number + copy), SignalKind.FAIL)
        application = world.application("healthy", channels=[world.webhook(healthy.url)])
        world.beat(application, -60, SignalKind.FAIL)
        running.until(lambda: healthy.requests)
        assert len(hanging.requests) <= 20, "one at a time to each that hangs"
        hanging.closing.set()


def test_an_attempt_that_failed_is_counted_as_what_follows(world: World, running: Running) -> None:
    with HttpReceiver(respond(500)) as failing, HttpReceiver(respond(410)) as gone:
        for receiver in (failing, gone):
            application = world.application(channels=[world.webhook(receiver.url)])
            world.beat(application, -60, SignalKind.FAIL)
        running.until(lambda: failing.requests and gone.requests)
        running.dispatcher.stop()
    text = running.metrics.as_text()
    assert value(text, "delivery_attempts_total", plugin="webhook", outcome="retry") == 1
    assert value(text, "delivery_attempts_total", plugin="webhook", outcome="dead") == 1
    assert "delivery_latency_seconds_count" not in text.decode()


def failing(world: World, url: str) -> int:
    """An application that has failed, with one channel to `url`; returns the channel's id."""
    channel = world.webhook(url)
    application = world.application(channels=[channel])
    world.beat(application, -60, SignalKind.FAIL)
    return channel


def leases(world: World) -> list[datetime | None]:
    with world.database.read() as connection:
        return list(connection.execute(select(tables.deliveries.c.leased_until)).scalars())


def test_a_send_that_takes_long_keeps_its_lease(
    world: World, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEW_AFTER", timedelta(0))
    with HttpReceiver(hangs) as receiver:
        failing(world, receiver.url)
        running.until(lambda: receiver.requests)
        first = leases(world)
        running.until(lambda: leases(world) > first)
        assert len(receiver.requests) == 1
        receiver.closing.set()


def test_a_send_that_never_ends_loses_its_lease(
    world: World, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEW_AFTER", timedelta(0))
    monkeypatch.setattr(module, "LONGEST_SEND", 0.0)
    with HttpReceiver(hangs) as receiver:
        failing(world, receiver.url)
        running.until(lambda: receiver.requests)
        first = leases(world)
        running.dispatcher.dispatch()
        assert leases(world) == first
        receiver.closing.set()


def test_what_has_been_recorded_is_renewed_no_more(
    world: World, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEW_AFTER", timedelta(0))
    with HttpReceiver() as receiver:
        failing(world, receiver.url)
        running.until(lambda: receiver.requests)
        running.until(lambda: leases(world) == [None])
        running.dispatcher.dispatch()
        assert leases(world) == [None]


def test_stopping_gives_back_what_hangs_and_records_what_has_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_STOP", 0.3)
    with HttpReceiver(hangs) as hanging, HttpReceiver() as healthy:
        stuck, well = failing(world, hanging.url), failing(world, healthy.url)
        running = Running(world)
        running.until(lambda: hanging.requests and healthy.requests)
        running.dispatcher.stop()

        [interrupted] = deliveries_page(world.database, world.project_id, stuck, limit=10)
        assert interrupted.status.value == "pending"
        assert interrupted.next_attempt_at is not None
        assert interrupted.next_attempt_at <= at(60), "due at once, whoever runs then"
        [delivered] = deliveries_page(world.database, world.project_id, well, limit=10)
        assert delivered.status.value == "delivered"
        hanging.closing.set()


def test_nothing_is_begun_once_it_is_asked_to_stop(world: World, running: Running) -> None:
    running.dispatcher.begin_to_stop()
    with HttpReceiver() as receiver:
        failing(world, receiver.url)
        assert running.dispatcher.dispatch() is None
        assert leases(world) == [None]
        assert receiver.requests == []


def test_receivers_that_hang_take_no_place_for_long_however_many_there_are(
    world: World, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SENDERS", 4)
    monkeypatch.setattr(module, "SLOW", 0.05)
    with HttpReceiver(hangs) as hanging, HttpReceiver() as healthy:
        for number in range(12):
            failing(world, f"{hanging.url}/{number}")
        failing(world, healthy.url)
        running.until(lambda: healthy.requests)
        assert len(hanging.requests) >= 9, "they came first, and still hang"
        hanging.closing.set()


def test_tells_since_when_what_is_due_waits_for_a_sender(
    world: World, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HttpReceiver() as receiver:
        application = world.application(channels=[world.webhook(receiver.url)])
        world.beat(application, -300, SignalKind.FAIL)
        monkeypatch.setattr(module, "SENDERS", 0)
        running.dispatcher.dispatch()
        assert running.waited == [at(-300)]
        monkeypatch.undo()
        running.until(lambda: receiver.requests)
        assert running.waited[-1] is None


def test_tells_since_when_no_sender_can_be_started(world: World, running: Running) -> None:
    with HttpReceiver() as receiver:
        application = world.application(channels=[world.webhook(receiver.url)])
        world.beat(application, 0, SignalKind.FAIL)
        # More than there is of any machine's memory: the system has no thread to give.
        usual = threading.stack_size(1 << 46)
        try:
            running.dispatcher.dispatch()
            first = running.waited[-1]
            running.dispatcher.dispatch()
        finally:
            threading.stack_size(usual)
        assert first is not None
        assert running.waited[-1] == first
        with world.database.write() as connection:
            # In ten seconds the lease is over.
            connection.execute(update(tables.deliveries).values(due_at=at(0), leased_until=at(0)))
        running.until(lambda: receiver.requests)
        running.until(lambda: running.waited[-1] is None)


def test_the_backlog_of_a_receiver_that_hangs_waits_for_no_sender(
    world: World, running: Running
) -> None:
    with HttpReceiver(hangs) as receiver:
        channel = world.webhook(receiver.url)
        for number in range(20):
            application = world.application(f"app {number}", channels=[channel])
            world.beat(application, -APART * (number + 1), SignalKind.FAIL)
        running.until(lambda: receiver.requests)
        running.dispatcher.dispatch()
        assert running.waited[-1] is None
