"""The watchdog's address is called while all is well, and hears nothing else."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from heartbeat_central.domain.work import Work
from heartbeat_central.services.call_watchdog import PERIOD, RETRY, Watchdog
from heartbeat_central.services.check_health import PartStatus, Vitals, check_all
from heartbeat_central.storage import nodes
from tests.support.ports import free_port
from tests.support.receivers.http import HttpReceiver, respond
from tests.support.world import World, at

JOBS = ("ingest", "notice", "tell")


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as listening:
        yield listening


class Clock:
    seconds = 0.0


def working(seconds: float) -> Vitals:
    vitals = Vitals()
    for job in JOBS:
        vitals.ok(job, at(seconds))
    return vitals


def watchdog(world: World, url: str, vitals: Vitals, clock: Clock) -> Watchdog:
    return Watchdog(
        world.outbound.operator_http,
        url,
        check=lambda: check_all(
            world.database, vitals, now=at(clock.seconds), does=frozenset(Work)
        ),
    )


def test_is_called_with_its_query_while_all_is_well(world: World, receiver: HttpReceiver) -> None:
    dog = watchdog(world, f"{receiver.url}/push/abc?status=up", working(0), Clock())
    assert dog.call() == PERIOD
    (request,) = receiver.requests
    assert (request.method, request.target) == ("GET", "/push/abc?status=up")


@pytest.mark.parametrize("stopped", JOBS)
def test_is_not_called_while_a_part_stands_still_and_again_after(
    world: World, receiver: HttpReceiver, stopped: str
) -> None:
    vitals, clock = working(0), Clock()
    dog = watchdog(world, receiver.url, vitals, clock)
    clock.seconds = 60
    for job in set(JOBS) - {stopped}:
        vitals.ok(job, at(60))
    assert dog.call() == RETRY
    assert receiver.requests == []
    vitals.ok(stopped, at(61))
    assert dog.call() == PERIOD
    assert len(receiver.requests) == 1


def test_is_not_called_while_what_is_due_is_not_sent(world: World, receiver: HttpReceiver) -> None:
    vitals, clock = working(0), Clock()
    dog = watchdog(world, receiver.url, vitals, clock)
    vitals.waits("tell", at(-200))
    assert dog.call() == RETRY
    assert receiver.requests == []
    vitals.waits("tell", None)
    assert dog.call() == PERIOD


@pytest.mark.parametrize("status", [500, 404, 301])
def test_what_is_not_accepted_is_tried_again_soon(
    world: World, receiver: HttpReceiver, status: int
) -> None:
    receiver.answer = respond(status)
    dog = watchdog(world, receiver.url, working(0), Clock())
    assert dog.call() == RETRY
    receiver.answer = respond(204)
    assert dog.call() == PERIOD


def test_an_absent_receiver_raises_nothing(world: World) -> None:
    dog = watchdog(world, f"http://127.0.0.1:{free_port()}/", working(0), Clock())
    assert dog.call() == RETRY


@pytest.mark.parametrize(
    ("seen", "status"), [(None, PartStatus.FAILING), (-60, PartStatus.FAILING), (-2, PartStatus.OK)]
)
def test_a_process_that_takes_no_heartbeats_asks_the_database_whether_another_does(
    world: World, seen: float | None, status: PartStatus
) -> None:
    from uuid import uuid4

    if seen is not None:
        with world.database.write() as connection:
            nodes.save(connection, uuid4(), seen_at=at(seen))
    health = check_all(world.database, working(0), now=at(0), does={Work.MONITOR})
    assert health.parts["ingest"].status is status
    assert health.ok == (status is PartStatus.OK)


def test_it_calls_often_enough_for_an_interval_of_a_minute() -> None:
    assert timedelta(0) < RETRY < PERIOD <= timedelta(seconds=60)
