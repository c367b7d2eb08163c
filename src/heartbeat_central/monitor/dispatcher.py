"""Starts due deliveries on a pool of threads, within each channel's allowance."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import structlog

from heartbeat_central.domain.bulkhead import Bulkheads
from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.metrics import Metrics
from heartbeat_central.monitor.ledger import Ledger
from heartbeat_central.services.deliver_alerts import (
    RENEW_AFTER,
    Sender,
    claim_due,
    deliver,
    give_back,
    next_delivery,
    renew,
)
from heartbeat_central.services.record_outcomes import Outcome
from heartbeat_central.storage.leases import Claimed
from heartbeat_central.storage.outbox import DeliveryStatus

SENDERS = 128
"""Threads; they start as they are needed and mostly wait for receivers."""
LONGEST_STOP = 7.5
"""Seconds that what is being sent may take to end, of the ten that a stopping service has."""

_ATTEMPTS = {DeliveryStatus.PENDING: "retry"}
"""What the metrics call an attempt, where it isn't named as its delivery."""

log = structlog.get_logger(__name__)


class Dispatcher:
    """Claims what may start now and sends it. One per process."""

    def __init__(
        self,
        sender: Sender,
        *,
        clock: Callable[[], datetime],
        on_ended: Callable[[], None],
        metrics: Metrics,
    ) -> None:
        """Make a dispatcher; `on_ended` is called when there may be more to start."""
        self._sender = sender
        self._clock = clock
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(SENDERS, thread_name_prefix="sender")
        self._ledger = Ledger(sender.database, on_left=self._forget)
        self._on_ended = on_ended
        self._lock = threading.Lock()
        self._sent_one = threading.Condition(self._lock)
        self._bulkheads = Bulkheads()
        self._sending: dict[int, Claimed] = {}
        self._leased: dict[int, tuple[Claimed, datetime]] = {}
        """What is being sent or waits to be recorded, and when its lease was last renewed."""
        self._stopping = False
        self._stop_by = 0.0

    def dispatch(self) -> datetime | None:
        """Start every delivery that may start now; return when the next one is due, None when none.

        Raises StorageUnavailable.
        """
        self._renew()
        while not self._stopping:
            now = self._clock()
            with self._lock:
                free = SENDERS - len(self._sending)
                if free <= 0:
                    return None
                claimed = claim_due(self._sender.database, self._bulkheads, now=now, most=free)
                for one in claimed:
                    self._bulkheads.started(one.channel_id)
                    self._sending[one.id] = one
                    self._leased[one.id] = (one, now)
            for one in claimed:
                self._pool.submit(self._deliver, one)
            if not claimed:
                return next_delivery(self._sender.database)
        return None

    def begin_to_stop(self) -> None:
        """Start nothing more. What is being sent has from now on LONGEST_STOP to end."""
        if not self._stopping:
            self._stop_by = time.monotonic() + LONGEST_STOP
            self._stopping = True

    def stop(self) -> None:
        """Let what is being sent end, give back what has not by then, and record the rest.

        What is given back is sent again, at once, by whoever runs then. A thread that waits for its
        receiver all the same may be left behind.
        """
        self.begin_to_stop()
        with self._lock:
            self._sent_one.wait_for(
                lambda: not self._sending, max(0.0, self._stop_by - time.monotonic())
            )
            interrupted = list(self._sending.values())
        for one in interrupted:
            log.warning("delivery_interrupted", delivery=str(one.uuid), attempt=one.attempt)
            self._give_back(one)
        self._ledger.stop()
        self._pool.shutdown(wait=not interrupted)

    def _renew(self) -> None:
        """Keep the leases of what takes long: a slow plugin, an outcome that waits for the database."""
        now = self._clock()
        with self._lock:
            old = [one for one, since in self._leased.values() if now - since >= RENEW_AFTER]
        if not old:
            return
        renew(self._sender.database, old, now=now)
        with self._lock:
            self._leased.update({one.id: (one, now) for one in old if one.id in self._leased})

    def _forget(self, ids: Sequence[int]) -> None:
        with self._lock:
            for id_ in ids:
                self._leased.pop(id_, None)
        self._on_ended()

    def _give_back(self, one: Claimed) -> None:
        with self._lock:
            self._leased.pop(one.id, None)
        try:
            give_back(self._sender.database, one, now=self._clock())
        except StorageUnavailable as error:
            log.warning("delivery_not_given_back", delivery=str(one.uuid), reason=str(error))

    def _deliver(self, one: Claimed) -> None:
        well = False
        try:
            if self._stopping:
                self._give_back(one)
                return
            outcome = deliver(self._sender, one, clock=self._clock)
            well = outcome.status is not DeliveryStatus.PENDING
            self._ledger.add(outcome)
            self._count(outcome)
        except Exception:
            log.exception("sender_failed", delivery=str(one.uuid))
            self._forget([one.id])
        finally:
            with self._lock:
                self._bulkheads.ended(one.channel_id, well=well)
                self._sending.pop(one.id, None)
                self._sent_one.notify_all()

    def _count(self, outcome: Outcome) -> None:
        plugin = outcome.claimed.channel_type
        took = outcome.finished_at - outcome.started_at
        named = _ATTEMPTS.get(outcome.status, outcome.status.value)
        self._metrics.attempted(plugin, named, seconds=took.total_seconds())
        if outcome.status is DeliveryStatus.DELIVERED:
            latency = outcome.finished_at - outcome.claimed.alert.created_at
            self._metrics.delivered(plugin, latency=latency.total_seconds())
