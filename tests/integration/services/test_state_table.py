"""The table that every heartbeat rewrites on PostgreSQL: its updates are HOT, and it does not grow.

HOT (src/backend/access/heap/README.HOT of PostgreSQL): the new version of a row lies on the page of the old
one and no index hears of it, so that the old one's place can be used again without a vacuum.
"""

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from bench import data
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.services.recorder import Recorder
from heartbeat_central.storage.engine import Database, open_database
from heartbeat_central.storage.touch_stores import open_touch_store
from tests.support import postgres
from tests.support.missing import missing
from tests.support.world import BASE_URL

pytestmark = pytest.mark.postgres

STATISTICS = text(
    "SELECT n_tup_upd AS updates, n_tup_hot_upd AS hot, pg_relation_size(relid) AS size,"
    " pg_indexes_size(relid) AS indexes"
    " FROM pg_stat_user_tables WHERE relname = 'application_states'"
)


@dataclass(frozen=True)
class Seen:
    """What PostgreSQL says of the table."""

    updates: int
    hot: int
    size: int
    indexes: int


class Fleet:
    """Applications that send heartbeats at random, recorded as the service does it."""

    def __init__(self, database: Database, applications: int) -> None:
        self._database = database
        data.add_applications(database, data.project_of(database), applications, interval=86_400)
        self._uuids = [data.uuid_of(number) for number in range(1, applications + 1)]
        self._random = random.Random(4)
        self._touches = open_touch_store(database)
        self._recorder = Recorder(database, self._touches, base_url=BASE_URL)
        self.sent = 0

    def send(self, heartbeats: int, *, at_once: int, runs: bool = False) -> None:
        """Record so many heartbeats, in batches; with `runs`, some of them begin a run or end it."""
        kinds = [SignalKind.SUCCESS] * 8 + [SignalKind.START, SignalKind.SUCCESS] * runs
        for _ in range(heartbeats // at_once):
            now = datetime.now(UTC)
            batch = [
                Signal(uuid=uuid, kind=self._random.choice(kinds), received_at=now)
                for uuid in self._random.sample(self._uuids, at_once)
            ]
            self._recorder.record(batch, now=now)
        self.sent += heartbeats

    def close(self) -> None:
        self._touches.close()

    def look(self) -> Seen:
        """Return the statistics once they hold all that was sent."""
        # A connection tells what it did when it ends, at the latest.
        self._touches.close()
        self._database.engine.dispose()
        end = time.monotonic() + 10
        while True:
            with self._database.read() as connection:
                seen = Seen(**connection.execute(STATISTICS).mappings().one())
            if seen.updates >= self.sent or time.monotonic() > end:
                return seen
            time.sleep(0.05)


@pytest.fixture(scope="module")
def server() -> Iterator[Database]:
    """A server of its own: who writes elsewhere on the same one keeps old versions of rows alive here."""
    try:
        running = postgres.Server()
    except postgres.PostgresMissing as reason:
        missing(str(reason))
    with running, contextlib.closing(open_database(running.url)) as opened:
        data.migrated(opened)
        yield opened


@pytest.fixture
def fleets(server: Database) -> Iterator[Callable[[int], Fleet]]:
    """Makes fleets, and removes them afterwards."""
    with contextlib.ExitStack() as stack:

        def make(applications: int) -> Fleet:
            return stack.enter_context(contextlib.closing(Fleet(server, applications)))

        yield make
        with server.write() as connection:
            connection.execute(text("TRUNCATE applications RESTART IDENTITY CASCADE"))


def test_nearly_all_updates_are_hot(fleets: Callable[[int], Fleet]) -> None:
    fleet = fleets(500)
    shares: list[float] = []
    # Old versions can't go while anybody may still see them, and autovacuum's ANALYZE may be looking just
    # then: so the best of a few rounds counts.
    while len(shares) < 3 and max(shares, default=0.0) < 0.95:
        before = fleet.look()
        fleet.send(6_000, at_once=100)
        fleet.send(1_000, at_once=100, runs=True)
        after = fleet.look()
        assert after.updates - before.updates >= 7_000
        shares.append((after.hot - before.hot) / (after.updates - before.updates))
    assert shares[-1] >= 0.95, shares


@pytest.mark.soak
def test_two_million_updates_do_not_make_it_grow(fleets: Callable[[int], Fleet]) -> None:
    fleet = fleets(10_000)
    seen = [fleet.look()]
    for _ in range(4):
        fleet.send(500_000, at_once=500)
        seen.append(fleet.look())
        print(f"{fleet.sent:,} updates: {seen[-1]}")
    assert seen[-1].hot / seen[-1].updates >= 0.95
    assert seen[-1].size <= 1.1 * seen[0].size
    assert seen[-1].indexes <= 1.1 * seen[0].indexes


def test_vacuum_comes_after_few_dead_rows_however_large_the_table_is(server: Database) -> None:
    query = text("SELECT reloptions FROM pg_class WHERE relname = 'application_states'")
    with server.read() as connection:
        options = dict(one.split("=") for one in connection.execute(query).scalar_one())
    assert float(options["autovacuum_vacuum_scale_factor"]) <= 0.02
    assert int(options["fillfactor"]) == 50
