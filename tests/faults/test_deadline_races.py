"""Heartbeats that come within 50 ms of their deadline, while the detector looks on."""

import random
import threading
import time
from datetime import datetime
from itertools import count
from uuid import UUID

import pytest
from sqlalchemy import Connection, event

from heartbeat_central.services.detect_missed import detect_missed
from tests.faults.checker import stored
from tests.faults.conftest import Report
from tests.support.world import BASE_URL, World, at, signal

APPLICATIONS = 100
MARGIN = 0.05
INTERVAL = 60


class Race:
    """A recorder and a detector, each in a thread, on one clock; it notes in which order they commit."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._begun = time.monotonic()
        self._skipped = 100.0
        self._order = count()
        self._uuids = [
            world.application(f"at the deadline {one}", interval=INTERVAL, grace=0).uuid
            for one in range(APPLICATIONS)
        ]
        self.too_late = 0
        """Heartbeats that were acknowledged after their application had gone down."""

    def now(self) -> float:
        """Return seconds after START."""
        return self._skipped + time.monotonic() - self._begun

    def run(self) -> None:
        """Have each application call within MARGIN of its deadline, and judge what came of it."""
        # Beyond the deadlines that the heartbeats of the last time set.
        self._skipped += 2 * INTERVAL
        first = self.now() + MARGIN + 0.05
        # Each has a deadline of its own, by which its outage is known.
        deadlines = {uuid: first + one / 1e5 for one, uuid in enumerate(self._uuids)}
        self._world.record([signal(uuid, due - INTERVAL) for uuid, due in deadlines.items()])
        self._world.detect(first - INTERVAL)
        acknowledged: dict[UUID, int] = {}
        committed: dict[datetime, int] = {}
        over = threading.Event()
        detector = threading.Thread(target=self._detect, args=(committed, over))
        detector.start()
        try:
            self._call(deadlines, acknowledged)
        finally:
            over.set()
            detector.join(30)
        for uuid, due in deadlines.items():
            went_down = committed.get(at(due))
            if went_down is not None:
                self.too_late += 1
                assert acknowledged[uuid] > went_down, f"{uuid} went down though it had called"

    def _call(self, deadlines: dict[UUID, float], acknowledged: dict[UUID, int]) -> None:
        plan = sorted(
            (due + random.uniform(-MARGIN, MARGIN), uuid) for uuid, due in deadlines.items()
        )
        while plan:
            time.sleep(max(0.0, plan[0][0] - self.now()))
            # All that came while the last batch was committed, as the writer does.
            now = self.now()
            batch = [one for one in plan if one[0] <= now]
            del plan[: len(batch)]
            self._world.record([signal(uuid, moment) for moment, uuid in batch])
            acknowledged.update((uuid, next(self._order)) for _, uuid in batch)

    def _detect(self, committed: dict[datetime, int], over: threading.Event) -> None:
        database, me = self._world.database, threading.get_ident()
        at_commit = 0

        def note(connection: Connection) -> None:
            nonlocal at_commit
            # What is only read ends with a commit as well, and later than the outages were stored.
            writes = connection.get_execution_options().get("heartbeat_central_write", False)
            if writes and threading.get_ident() == me:
                at_commit = next(self._order)

        # Called when all is written and nothing is committed yet: who was acknowledged by then must
        # have been seen.
        event.listen(database.engine, "commit", note)
        try:
            while not over.is_set():
                swept = detect_missed(database, now=at(self.now()), base_url=BASE_URL)
                committed.update(dict.fromkeys(swept.deadlines, at_commit))
        finally:
            event.remove(database.engine, "commit", note)


@pytest.mark.parametrize(
    "heartbeats", [300, pytest.param(10_000, marks=pytest.mark.soak, id="soak")]
)
def test_who_was_acknowledged_before_the_commit_never_goes_down(
    world: World, report: Report, heartbeats: int
) -> None:
    race = Race(world)
    for _ in range(heartbeats // APPLICATIONS):
        race.run()
    found = stored(world.database)
    # All have called since, so that every outage is over, and none before it began.
    assert len(found.outages) == race.too_late
    assert all(one.closed_at is not None for one in found.outages)
    assert all(one.closed_at >= one.opened_at for one in found.outages if one.closed_at)
    # Both outcomes must have come about, or there was no race.
    assert 0 < race.too_late < heartbeats
    report(
        f"{heartbeats} heartbeats within {MARGIN * 1000:.0f} ms of their deadlines: {race.too_late} "
        "went down before theirs was acknowledged, none after"
    )
