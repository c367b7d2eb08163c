"""The dashboard's counts say what its rows show, at any moment."""

from collections import Counter

import pytest

from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.domain.state import Shown
from heartbeat_central.services.list_applications import (
    StatusCounts,
    count_by_status,
    list_applications,
)
from heartbeat_central.services.manage_applications import pause_application
from tests.support.world import BASE_URL, World, at


@pytest.fixture
def fleet(world: World) -> World:
    """Applications in every state that there is, some of which are late at some time."""
    for grace in (0, 30, 600):
        world.application(f"never heard of, {grace}", interval=60, grace=grace)
        heard = world.application(f"heard of, {grace}", interval=60, grace=grace)
        world.beat(heard, 20)
    world.application("may stay silent", interval=60, expect_first_heartbeat=False)
    world.beat(world.application("seldom", interval=86_400), 5)
    running = world.application("running", interval=60, grace=600)
    world.beat(running, 10, SignalKind.START)
    failed = world.application("failed in its run", interval=60, grace=600)
    world.beat(failed, 10, SignalKind.START)
    world.beat(failed, 11, SignalKind.FAIL)
    world.beat(failed, 12, SignalKind.START)
    paused = world.application("paused", interval=60)
    world.beat(paused, 5)
    pause_application(world.database, world.project_id, paused.id, now=at(6), base_url=BASE_URL)
    hourly = {"kind": "cron", "expression": "0 * * * *", "timezone": "UTC"}
    world.application("hourly", schedule=hourly, grace=600)
    return world


@pytest.mark.parametrize("seconds", [15, 59, 60, 61, 80, 95, 300, 3_600, 3_900, 90_000])
def test_the_counts_are_those_of_the_rows(fleet: World, seconds: int) -> None:
    if seconds >= 300:
        fleet.detect(seconds - 10)
    now = at(seconds)
    rows = list_applications(
        fleet.database, fleet.project_id, now=now, base_url=BASE_URL, limit=1000
    )
    counted = count_by_status(fleet.database, fleet.project_id, now=now)
    assert counted == {status: Counter(row.status for row in rows)[status] for status in Shown}
    assert sum(counted.values()) == 12


def test_every_status_comes_up(fleet: World) -> None:
    seen = {
        status
        for seconds in (15, 61, 300)
        for status, count in count_by_status(
            fleet.database, fleet.project_id, now=at(seconds)
        ).items()
        if count
    }
    assert seen == set(Shown)


def test_counting_that_takes_long_is_not_done_for_every_page(world: World) -> None:
    # Seconds: asked at the beginning and, when it counts, at the end.
    moments = iter([0.0, 0.01, 1.0, 1.2, 3.1, 3.3, 3.31])
    counts = StatusCounts(world.database, timer=lambda: next(moments))

    def total() -> int:
        return sum(counts.of(world.project_id, now=at(1)).values())

    assert total() == 0
    world.application("seen at once, for the last count was quick")
    assert total() == 1
    world.application("seen once that count, which took 0.2 s, has been kept for ten times as long")
    assert total() == 1
    assert total() == 2
    assert not list(moments)
