"""Own downtime, restarts, sleep and clocks that are set: no false alarm, and no dead one missed.

A fleet calls in every minute, each application at a second of its own. The service is there or not; what
is sent meanwhile is lost. Time is given, so that a day of downtime takes a second.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Table, select

from heartbeat_central.domain import state as machine
from heartbeat_central.domain.alert import Alert, AlertKind
from heartbeat_central.domain.application import settings_from
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.services.detect_missed import next_check
from heartbeat_central.services.prove_reception import reception_proven_until
from heartbeat_central.services.settle_clock import settle_clock
from heartbeat_central.services.tell_blind_windows import tell_blind_windows
from heartbeat_central.storage import applications, states, tables
from heartbeat_central.storage.rows import insert_rows
from tests.support.process import Process
from tests.support.world import BASE_URL, START, World, at

INTERVAL, GRACE = 60, 10
STEP = 10
"""Seconds between two looks."""


class Fleet:
    """Applications that call every minute; the last ten of them die early."""

    def __init__(self, world: World, *, healthy: int, dead: int, die_at: float) -> None:
        self.world = world
        self.uuids, self.ids = _applications(world, healthy + dead)
        self.dead = set(self.ids[healthy:])
        self._healthy = healthy
        self._die_at = die_at

    def call(self, start: float, end: float, *, shown: float = 0) -> None:
        """Let everyone call whose turn comes after `start`, until `end`.

        `shown` is how much the service's clock is ahead of the fleet's.
        """
        batch = []
        for number, uuid in enumerate(self.uuids):
            offset = number * 7.0 % INTERVAL
            turn = start + (offset - start) % INTERVAL
            while turn < end:
                if number < self._healthy or turn < self._die_at:
                    received_at = at(turn + shown)
                    batch.append(
                        Signal(uuid=uuid, kind=SignalKind.SUCCESS, received_at=received_at)
                    )
                turn += INTERVAL
        if batch:
            self.world.record(sorted(batch, key=lambda signal: signal.received_at))

    def incidents(self) -> dict[int, tuple[str, datetime]]:
        """Return reason and opening by application."""
        with self.world.database.read() as connection:
            rows = connection.execute(select(tables.incidents)).all()
        assert len(rows) == len({row.application_id for row in rows}), "one incident an outage"
        return {row.application_id: (row.reason, row.opened_at) for row in rows}


def _applications(world: World, count: int) -> tuple[list[UUID], list[int]]:
    """Make so many at START, all by a few statements; return their uuids and ids."""
    settings = settings_from(
        name="app", expected_interval=INTERVAL, schedule=None, grace_period=GRACE
    )
    state = machine.born(settings.timing, now=START)
    with world.database.write() as connection:

        def copy(
            table: Table, row: Mapping[str, Any], changes: Sequence[Mapping[str, Any]]
        ) -> None:
            insert_rows(connection, table, [{**row, **one} for one in changes])

        first = applications.add(
            connection, project_id=world.project_id, uuid=uuid4(), settings=settings, now=START
        )
        states.insert_state(connection, first, state)
        one = connection.execute(select(tables.applications)).one()._asdict()
        more = [
            {"id": first + number, "uuid": uuid4(), "name": f"app {number}"}
            for number in range(1, count)
        ]
        copy(tables.applications, one, more)
        its = connection.execute(select(tables.application_states)).one()._asdict()
        copy(tables.application_states, its, [{"application_id": each["id"]} for each in more])
    return [one["uuid"], *(each["uuid"] for each in more)], list(range(first, first + count))


def look(world: World) -> None:
    """Judge all that is due by the last proof."""
    now = reception_proven_until(world.database)
    assert now is not None
    while (due := next_check(world.database)) is not None and due <= now:
        world.detect((now - START).total_seconds())


Windows = Sequence[tuple[float, float]]


def live(fleet: Fleet, until: float, *, away: Windows = ()) -> None:
    """Let time pass. A process ends when a window begins, and another begins at its end."""
    world = fleet.world
    process = Process(world.database)
    second = 0.0
    for start, end in [*away, (until, until)]:
        while second < start:
            process.beat(second)
            look(world)
            step = min(second + STEP, start)
            fleet.call(second, step)
            second = step
        second, process = end, Process(world.database)


@pytest.mark.parametrize("length", [60, 3600, 24 * 3600], ids=["a minute", "an hour", "a day"])
def test_own_downtime_is_no_reason_to_alarm_and_no_place_to_hide(world: World, length: int) -> None:
    began, ended = 70.0, 70.0 + length
    fleet = Fleet(world, healthy=1000, dead=10, die_at=60)
    live(fleet, ended + 80, away=[(began, ended)])
    told = fleet.incidents()
    assert told.keys() == fleet.dead
    # The deadline that counted: one interval and grace from when heartbeats could come again.
    assert set(told.values()) == {("missed", at(ended + INTERVAL + GRACE))}


def test_a_restart_every_fifty_seconds_alarms_for_the_dead_alone(world: World) -> None:
    # They last a little longer each time, so that nobody's turn comes in each of them.
    restarts = [(50.0 * n, 50.0 * n + 3 + 0.2 * n) for n in range(1, 12)]
    fleet = Fleet(world, healthy=1000, dead=10, die_at=120)
    live(fleet, 620, away=restarts)
    told = fleet.incidents()
    assert told.keys() == fleet.dead
    cap = at(120 + 4 * (INTERVAL + GRACE + 5))
    assert max(opened_at for _, opened_at in told.values()) <= cap


def clock_set(
    world: World, by: float, *, beat: Callable[[Process, float], object]
) -> tuple[Fleet, float]:
    """Let the clock show `by` more after five minutes; return the fleet and what it shows in the end."""
    fleet = Fleet(world, healthy=100, dead=10, die_at=300)
    process = Process(world.database)
    for second in range(0, 300, STEP):
        process.beat(second)
        look(world)
        fleet.call(second, second + STEP)
    beat(process, 300 + by)
    settle_clock(world.database, now=at(300 + by))
    for second in range(300, 600, STEP):
        process.beat(second + by + 0.1)
        look(world)
        fleet.call(second, second + STEP, shown=by)
    return fleet, 600 + by


@pytest.mark.parametrize("by", [3600, -3600])
def test_a_clock_that_is_set_by_an_hour(world: World, by: int) -> None:
    fleet, end = clock_set(world, by, beat=lambda process, shown: process.beat(shown, ran=STEP))
    told = fleet.incidents()
    assert told.keys() == fleet.dead
    assert {reason for reason, _ in told.values()} == {"missed"}
    for _, opened_at in told.values():
        assert at(300 + by + INTERVAL) <= opened_at <= at(end)


def test_a_clock_that_is_set_forward_and_back_again(world: World) -> None:
    fleet = Fleet(world, healthy=100, dead=10, die_at=300)
    process = Process(world.database)
    for second in range(0, 300, STEP):
        process.beat(second)
        look(world)
        fleet.call(second, second + STEP)
    process.beat(300 + 3600, ran=STEP)
    look(world)
    fleet.call(300, 305, shown=3600)
    process.beat(305, ran=STEP)
    settle_clock(world.database, now=at(305))
    for second in range(305, 605, STEP):
        process.beat(second + 0.1)
        look(world)
        fleet.call(second, second + STEP)
    told = fleet.incidents()
    assert told.keys() == fleet.dead
    assert max(opened_at for _, opened_at in told.values()) <= at(305 + INTERVAL + GRACE + 1)


def test_a_machine_that_sleeps_for_ten_minutes(world: World) -> None:
    fleet, _ = clock_set(world, 600, beat=lambda process, shown: process.beat(shown, slept=600))
    told = fleet.incidents()
    assert told.keys() == fleet.dead
    assert set(told.values()) == {("missed", at(900 + INTERVAL + GRACE))}
    with world.database.read() as connection:
        [window] = connection.execute(select(tables.blind_windows)).all()
    assert window.cause == "suspended"


def test_what_waits_to_be_sent_waits_no_longer_when_the_clock_is_set_back(world: World) -> None:
    application = world.application(channels=[world.webhook("http://127.0.0.1:9/")])
    process = Process(world.database)
    process.beat(0)
    world.beat(application, 3600, SignalKind.FAIL)
    [claimed] = world.claim(3600)
    process.beat(3600)
    process.beat(5, ran=5)
    assert world.claim(35) == [], "leased for thirty seconds, and due in an hour by then"
    assert settle_clock(world.database, now=at(5))
    assert not settle_clock(world.database, now=at(6)), "once"
    [again] = world.claim(36)
    assert again.uuid == claimed.uuid


@pytest.mark.parametrize("minute", [45, 5])
def test_a_nightly_job_that_dies_while_the_service_restarts_every_hour(
    world: World, minute: int
) -> None:
    """Restarts at a quarter to do not overlap when it is due, one at five past does."""
    two_o_clock = {"kind": "cron", "expression": "0 2 * * *", "timezone": "UTC"}
    channel = world.webhook("http://127.0.0.1:9/")
    nightly, healthy = (
        world.application(name, schedule=two_o_clock, grace=1800, channels=[channel])
        for name in ("nightly", "healthy")
    )
    hour, day = 3600, 86_400
    two = 14 * hour
    overdue = two + day + 1800
    deadline = overdue + (day if minute == 5 else 0)
    # After that none overlaps when it is due next.
    restarts = {past * hour + minute * 60 for past in range(39 if minute == 5 else 63)}
    calls = {two + 60: [nightly, healthy], two + day + 60: [healthy], two + 2 * day + 60: [healthy]}
    looks = {*range(0, 63 * hour, hour), overdue - 1, overdue, deadline - 1, deadline}
    process = Process(world.database)
    for second in sorted({*looks, *restarts, *calls}):
        if second > deadline:
            break
        process.beat(second)
        for one in calls.get(second, ()):
            world.beat(one, second)
        if second in restarts:
            process = Process(world.database)
            process.beat(second + 5)
        look(world)
        tell_blind_windows(world.database, now=at(second + 5), base_url=BASE_URL)
        assert bool(outages(world)) is (second == deadline), second
    assert listed(world) == ([["nightly"]] if minute == 5 else [])
    [incident] = outages(world)
    assert (incident.reason, incident.opened_at) == ("missed", at(deadline))
    assert incident.application_id == nightly.id
    assert alerts(world, AlertKind.DOWN) == [nightly.id]


def outages(world: World) -> list[Any]:
    with world.database.read() as connection:
        return list(connection.execute(select(tables.incidents)).all())


def alerts(world: World, kind: AlertKind) -> list[int | None]:
    """Return the applications that were told of like that."""
    query = select(tables.alerts.c.application_id).where(tables.alerts.c.kind == kind.value)
    with world.database.read() as connection:
        return list(connection.execute(query).scalars())


def listed(world: World) -> list[list[str]]:
    """Return the names in each digest."""
    with world.database.read() as connection:
        snapshots = connection.execute(
            select(tables.alerts.c.snapshot).where(tables.alerts.c.kind == AlertKind.DIGEST.value)
        ).scalars()
        digests = [Alert.from_json(snapshot).digest for snapshot in snapshots]
    return [[entry.application.name for entry in digest.entries] for digest in digests if digest]
