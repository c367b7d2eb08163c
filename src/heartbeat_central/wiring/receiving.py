"""What takes heartbeats, and proves by its own that it can."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

from heartbeat_central.domain.blind_window import BlindWindow
from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.reception import Reading
from heartbeat_central.ingest.batcher import Batcher
from heartbeat_central.ingest.clients import ClientAddress
from heartbeat_central.ingest.edge import Edge
from heartbeat_central.ingest.responses import AsgiApp
from heartbeat_central.ingest.self_beats import SelfBeats
from heartbeat_central.services.prove_reception import (
    prove_reception,
    reception_proven_until,
    stop_node,
)
from heartbeat_central.services.recorder import Recorder
from heartbeat_central.storage.engine import Database, open_database
from heartbeat_central.storage.touch_stores import open_touch_store
from heartbeat_central.wiring.parts import Parts, clock, report_to

PATIENCE = 2.5
"""Seconds for a statement on PostgreSQL. Whoever waited for it has long been answered with 503."""

_HAS_BOOTTIME = hasattr(time, "CLOCK_BOOTTIME")


class Receiving:
    """The way of a heartbeat from the edge to the database. One per process that takes any.

    It is put together in two steps: the monitor judges silence by its proof, and it rings the monitor.
    """

    def __init__(self, parts: Parts, *, proves: bool) -> None:
        """`proves`: clients send their heartbeats here, so that self-beats tell whether they can."""
        self._parts = parts
        self._proves = proves
        self._database = _recording_database(parts)
        self._touches = open_touch_store(self._database)
        self._node = uuid4()
        self.on_news: Callable[[BlindWindow | None], None] = _nobody
        """Called with each blind window of this process, and with None when the first proof is there."""
        self._beats = SelfBeats(
            node=self._node,
            clocks=clocks,
            prove=partial(prove_reception, self._database),
            report=partial(report_to, parts.vitals, "ingest"),
            on_news=lambda window: self.on_news(window),
        )

    def proven_until(self, moment: datetime) -> datetime | None:
        """Return up to when silence may be judged; see SelfBeats."""
        return self._beats.proven_until(moment)

    def edge(
        self,
        doorbell: Callable[[], None],
        *,
        live: AsgiApp,
        rest: AsgiApp,
        on_stop: Callable[[], None],
    ) -> Edge:
        """Return the application in front of all others."""
        recorder = Recorder(self._database, self._touches, base_url=self._parts.settings.base_url)
        batcher = Batcher(
            self._beats.recording(lambda signals: recorder.record(signals, now=clock())),
            on_wake=doorbell,
            on_refused=self._beats.refused,
            metrics=self._parts.metrics,
        )

        def start() -> None:
            if self._proves:
                self._beats.start(batcher.submit)

        return Edge(
            batcher=batcher,
            clock=clock,
            body_limit=self._parts.settings.body_limit,
            client_address=ClientAddress(self._parts.settings.trusted_proxies),
            live=live,
            rest=rest,
            on_start=start,
            on_stop=on_stop,
        )

    def stop(self) -> None:
        """Prove no more: no new heartbeat is let in from now on. Call it in the event loop."""
        self._beats.stop()

    def close(self) -> None:
        """Say good-bye and close the connections, once the last heartbeat is stored."""
        # Without a good-bye the next process waits a little, for this one might be alive.
        with suppress(StorageUnavailable):
            stop_node(self._database, self._node, now=clock())
        self._touches.close()
        if self._database is not self._parts.database:
            self._database.close()


def clocks() -> Reading:
    """Return the wall clock, and beside it the two that tell when it was set or the machine slept."""
    monotonic = time.monotonic()
    # Elsewhere than on Linux a sleep looks like a wall clock that was set forward, which does as well.
    boottime = time.clock_gettime(time.CLOCK_BOOTTIME) if _HAS_BOOTTIME else monotonic
    return Reading(
        at=clock(), monotonic=timedelta(seconds=monotonic), boottime=timedelta(seconds=boottime)
    )


def proven_elsewhere(database: Database, _: datetime) -> datetime | None:
    """Return up to when silence may be judged where other processes take the heartbeats."""
    return reception_proven_until(database)


def _recording_database(parts: Parts) -> Database:
    # A connection of its own on PostgreSQL: busy pages and senders must not make heartbeats wait.
    # SQLite has one writer, so that there they share one lock instead.
    if parts.database.dialect == "postgresql":
        return open_database(parts.settings.database_url, pool_size=1, patience=PATIENCE)
    return parts.database


def _nobody(_: BlindWindow | None) -> None:
    """Stand for the monitor, where this process has none."""
