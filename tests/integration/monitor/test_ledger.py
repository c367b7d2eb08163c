"""Outcomes are recorded together, outlive a database that is away, and count only under their lease."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
from sqlalchemy import Connection, select

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.monitor import ledger as module
from heartbeat_central.monitor.ledger import Ledger
from heartbeat_central.services.deliver_alerts import LEASE
from heartbeat_central.services.record_outcomes import Outcome
from heartbeat_central.storage import tables
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.leases import Claimed
from heartbeat_central.storage.outbox import DeliveryStatus
from tests.support.service import wait_until
from tests.support.world import World, at


def delivered(claimed: Claimed, detail: str = "200 OK") -> Outcome:
    return Outcome(
        claimed=claimed,
        status=DeliveryStatus.DELIVERED,
        started_at=at(10),
        finished_at=at(11),
        detail=detail,
    )


def claimed(world: World, count: int) -> list[Claimed]:
    for number in range(count):
        channel = world.webhook(f"http://127.0.0.1:9/{number}")
        application = world.application(f"app {number}", channels=[channel])
        world.beat(application, 5, SignalKind.FAIL)
    found = world.claim(6)
    assert len(found) == count
    return found


def statuses(world: World) -> list[str]:
    with world.database.read() as connection:
        rows = connection.execute(select(tables.deliveries.c.status).order_by("id"))
        return list(rows.scalars())


def attempts(world: World) -> list[str]:
    with world.database.read() as connection:
        rows = connection.execute(select(tables.delivery_attempts.c.detail).order_by("id"))
        return list(rows.scalars())


class Away(Database):
    """A database that refuses to write until it is told to come back."""

    def __init__(self, real: Database) -> None:
        super().__init__(real.engine)
        self.back = threading.Event()
        self.asked = threading.Event()

    def write(self, *, hurried: bool = False) -> AbstractContextManager[Connection]:  # type: ignore[override]
        self.asked.set()
        if not self.back.is_set():
            raise StorageUnavailable("away")
        return super().write(hurried=hurried)


@pytest.fixture
def ledger(world: World) -> Iterator[Ledger]:
    started = Ledger(world.database, on_left=lambda _: None)
    yield started
    started.stop()


def test_records_each_outcome_with_its_attempt(world: World, ledger: Ledger) -> None:
    for number, one in enumerate(claimed(world, 20)):
        ledger.add(delivered(one, f"said {number}"))
    ledger.stop()
    assert statuses(world) == ["delivered"] * 20
    assert sorted(attempts(world)) == sorted(f"said {number}" for number in range(20))


def test_what_waits_is_recorded_once_the_database_is_back(world: World) -> None:
    away = Away(world.database)
    left: list[int] = []
    ledger = Ledger(away, on_left=left.extend)
    for one in claimed(world, 3):
        ledger.add(delivered(one))
    assert away.asked.wait(5)
    assert statuses(world) == ["pending"] * 3
    assert left == []
    away.back.set()
    wait_until(lambda: len(left) == 3, "the outcomes to be recorded")
    ledger.stop()
    assert statuses(world) == ["delivered"] * 3


def test_an_outcome_is_given_up_when_the_database_stays_away_too_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_FOR", 0.0)
    monkeypatch.setattr(module, "PAUSE", 0.0)
    away = Away(world.database)
    left: list[int] = []
    ledger = Ledger(away, on_left=left.extend)
    [one] = claimed(world, 1)
    ledger.add(delivered(one))
    ledger.stop()
    assert left == [one.id]
    assert statuses(world) == ["pending"], "the lease runs out, and it is sent again"


def test_a_database_that_is_away_does_not_keep_the_service_from_stopping(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_STOP", 0.1)
    away = Away(world.database)
    ledger = Ledger(away, on_left=lambda _: None)
    ledger.add(delivered(claimed(world, 1)[0]))
    before = time.monotonic()
    ledger.stop()
    assert time.monotonic() - before < module.PAUSE
    away.back.set()


def test_an_outcome_under_a_lease_that_has_passed_on_counts_for_nothing(
    world: World, ledger: Ledger
) -> None:
    stale, kept = claimed(world, 2)
    (fresh,) = [
        one for one in world.claim(7 + LEASE.total_seconds(), most=1) if one.uuid == stale.uuid
    ]
    assert fresh.attempt == 2
    ledger.add(delivered(stale, "stale"))
    ledger.add(delivered(kept, "kept"))
    wait_until(lambda: attempts(world), "the outcome that counts")
    ledger.stop()
    assert statuses(world) == ["pending", "delivered"]
    assert attempts(world) == ["kept"]


def test_one_that_cannot_be_stored_costs_the_others_nothing(world: World, ledger: Ledger) -> None:
    first, second = claimed(world, 2)
    ledger.add(delivered(first, "no database \x00 takes this"))
    ledger.add(delivered(second, "fine"))
    ledger.stop()
    assert statuses(world)[1] == "delivered"
    assert "fine" in attempts(world)


def test_what_follows_an_outcome_gathers_and_is_recorded_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GATHER", 600.0)
    batches: list[int] = []
    ledger = Ledger(world.database, on_left=lambda ids: batches.append(len(ids)))
    first, *others = claimed(world, 20)
    ledger.add(delivered(first))
    assert wait_until(lambda: batches == [1], "the first outcome")
    for one in others:
        ledger.add(delivered(one))
    # A service that stops waits for nothing.
    ledger.stop()
    assert wait_until(lambda: batches == [1, 19], "the others")
    assert statuses(world) == ["delivered"] * 20
