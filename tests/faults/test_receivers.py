"""Receivers that misbehave: the others are told as if they did not, and so are they, once healthy."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from heartbeat_central.alerts.http import HttpClient
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.metrics import Metrics
from heartbeat_central.monitor.dispatcher import Dispatcher
from heartbeat_central.storage.outbox import DeliveryStatus
from tests.faults.conftest import Report
from tests.support.receivers import http
from tests.support.receivers.http import HttpReceiver, respond
from tests.support.receivers.tcp import Scripted, hang
from tests.support.service import wait_until
from tests.support.world import World, at, signal

HEALTHY = 50
MISBEHAVING = 50
LATER = 1.0
"""Seconds that a healthy channel may be told later than without the others."""


def drips_a_byte_a_second(receiver: HttpReceiver, connection: Any) -> bool:
    receiver.drip(connection, b"HTTP/1.1 200 OK\r\n", pause=1.0)
    return False


ANSWERS: dict[str, http.Answer] = {
    "hangs": http.hangs,
    "drips a byte a second": drips_a_byte_a_second,
    "sends a body without end": http.endless_body(500),
    "sends headers without end": http.endless_headers,
    "resets": http.resets,
    "redirects in a loop": http.redirects(307),
}


KINDS = [*ANSWERS, "stalls TLS"]


@contextmanager
def misbehaving(how: str) -> Iterator[str]:
    """Run a receiver that misbehaves so, and yield its address."""
    if how == "stalls TLS":
        with Scripted(hang) as receiver:
            yield f"https://127.0.0.1:{receiver.port}"
        return
    with HttpReceiver(ANSWERS[how]) as answering:
        yield answering.url


@contextmanager
def dispatching(world: World) -> Iterator[Callable[[Callable[[], object]], float]]:
    """Yield what dispatches until a condition holds, and returns how many seconds that took."""
    begun = time.monotonic()
    dispatcher = Dispatcher(
        world.sender(),
        # The world's own time: it begins at noon, whatever the time of day.
        clock=lambda: at(time.monotonic() - begun),
        on_ended=lambda: None,
        metrics=Metrics(),
    )

    def until(condition: Callable[[], object]) -> float:
        def step() -> bool:
            dispatcher.dispatch()
            return bool(condition())

        started = time.monotonic()
        wait_until(step, "the healthy receivers", 60)
        return time.monotonic() - started

    try:
        yield until
    finally:
        dispatcher.stop()


def fail(world: World, urls: Sequence[str]) -> None:
    """Let an application go down for each of these receivers, all at once."""
    applications = [world.application(channels=[world.webhook(url)]) for url in urls]
    world.record([signal(one.uuid, -60, SignalKind.FAIL) for one in applications])


def delay_nobody(world: World, kinds: Sequence[str]) -> tuple[float, float]:
    """Let half of a hundred receivers misbehave, in these ways; the other half must not be told later.

    Returns the seconds that it took to tell the healthy ones alone, and beside those that misbehave.
    """
    with ExitStack() as stack:
        # Left first, so that what is still being sent is cut off by its receiver and nobody waits.
        until = stack.enter_context(dispatching(world))
        alone, beside = (stack.enter_context(HttpReceiver()) for _ in range(2))
        addresses = [stack.enter_context(misbehaving(how)) for how in kinds]
        fail(world, [f"{alone.url}/{number}" for number in range(HEALTHY)])
        took = until(lambda: len(alone.requests) == HEALTHY)
        urls = [f"{addresses[n % len(addresses)]}/{n}" for n in range(MISBEHAVING)]
        fail(world, [*urls, *(f"{beside.url}/{number}" for number in range(HEALTHY))])
        # Twice as many deliveries take twice as long, whatever becomes of them; twice more when other tests
        # keep the machine busy meanwhile. One that waited for a timeout would take ten seconds.
        took_beside = until(lambda: len(beside.requests) >= HEALTHY)
        assert took_beside <= 4 * took + LATER
        assert len(beside.requests) == HEALTHY
    return took, took_beside


def test_half_of_the_receivers_delay_the_other_half_by_no_more_than_a_second(world: World) -> None:
    delay_nobody(world, KINDS)


@pytest.mark.soak
@pytest.mark.parametrize("how", [how for how in KINDS if how != "sends headers without end"])
def test_half_of_the_receivers_delay_nobody_when_all_misbehave_alike(
    world: World, how: str, report: Report
) -> None:
    """Without the one that keeps this very process busy, in which the receivers run as well."""
    took, took_beside = delay_nobody(world, [how])
    report(f"{HEALTHY} healthy ones told in {took:.2f} s, in {took_beside:.2f} s beside these")


def test_a_channel_that_was_healthy_and_hangs_delays_no_other(world: World) -> None:
    """It has earned many sends at once, and they don't take the senders that others need."""
    with HttpReceiver() as popular, HttpReceiver() as other, dispatching(world) as until:
        channel = world.webhook(popular.url)
        fail_apart(world, channel, 40, before=20_000)
        until(lambda: len(popular.requests) == 40)
        popular.answer = http.hangs
        fail_apart(world, channel, 80, before=10_000)
        until(lambda: len(popular.requests) >= 40 + 30)
        fail(world, [other.url])
        assert until(lambda: other.requests) <= 2 * LATER
        popular.closing.set()


def fail_apart(world: World, channel: int, count: int, *, before: float) -> None:
    """Let applications with one channel go down so far apart that they are no storm."""
    for number in range(count):
        world.beat(world.application(channels=[channel]), 61 * number - before, SignalKind.FAIL)


def one_failing(world: World, url: str) -> None:
    world.beat(world.application(channels=[world.webhook(url)]), 0, SignalKind.FAIL)


def attempt(world: World, seconds: float) -> DeliveryStatus | None:
    """Send what is due at that moment; None when nothing is."""
    claimed = world.claim(seconds)
    return world.send(claimed[0], seconds) if claimed else None


@pytest.mark.parametrize("how", ["in seconds", "as a date", "as a date of another clock"])
@pytest.mark.parametrize("status", [429, 503])
def test_never_before_retry_after_and_once_healthy(world: World, status: int, how: str) -> None:
    theirs = at(0)
    headers = {"Retry-After": "77"}
    if how != "in seconds":
        if how == "as a date of another clock":
            theirs -= timedelta(hours=5)
        headers = {
            "Date": format_datetime(theirs, usegmt=True),
            "Retry-After": format_datetime(theirs + timedelta(seconds=77), usegmt=True),
        }
    with HttpReceiver(respond(status, b"slow down", headers)) as receiver:
        one_failing(world, receiver.url)
        assert attempt(world, 0) is DeliveryStatus.PENDING
        receiver.answer = respond()
        assert attempt(world, 76.9) is None
        assert attempt(world, 77) is DeliveryStatus.DELIVERED
        assert len(receiver.requests) == 2


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504])
def test_what_fails_for_a_while_is_delivered_under_the_same_id(world: World, status: int) -> None:
    with HttpReceiver(respond(status)) as receiver:
        one_failing(world, receiver.url)
        assert attempt(world, 0) is DeliveryStatus.PENDING
        assert attempt(world, 2) is DeliveryStatus.PENDING
        receiver.answer = respond()
        assert attempt(world, 6) is DeliveryStatus.DELIVERED
        assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1


def test_a_name_that_resolves_later_is_reached_then(world: World) -> None:
    known: dict[str, list[str]] = {}

    def resolver(name: str) -> list[str]:
        if name not in known:
            raise OSError("Name or service not known")
        return known[name]

    world.outbound = replace(world.outbound, http=HttpClient(allow_private=True, resolver=resolver))
    with HttpReceiver() as receiver:
        one_failing(world, f"http://new.example:{receiver.port}")
        assert attempt(world, 0) is DeliveryStatus.PENDING
        known["new.example"] = ["127.0.0.1"]
        assert attempt(world, 3) is DeliveryStatus.DELIVERED
        assert receiver.requests[0].headers["host"] == f"new.example:{receiver.port}"
