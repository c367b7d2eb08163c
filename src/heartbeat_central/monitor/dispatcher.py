"""Starts due deliveries on a pool of threads, within each channel's allowance."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import structlog

from heartbeat_central.domain.bulkhead import Bulkheads
from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.metrics import Metrics
from heartbeat_central.monitor.ledger import Ledger
from heartbeat_central.services.deliver_alerts import (
    Sender,
    claim_due,
    deliver,
    give_back,
    next_delivery,
)
from heartbeat_central.services.record_outcomes import Outcome
from heartbeat_central.storage.leases import Claimed
from heartbeat_central.storage.outbox import DeliveryStatus

SENDERS = 128
"""Threads; they start as they are needed and mostly wait for receivers."""

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
        self._ledger = Ledger(sender.database, on_recorded=on_ended)
        self._lock = threading.Lock()
        self._bulkheads = Bulkheads()
        self._under_way = 0
        self._stopping = False

    def dispatch(self) -> datetime | None:
        """Start every delivery that may start now; return when the next one is due, None when none.

        Raises StorageUnavailable.
        """
        while not self._stopping:
            now = self._clock()
            with self._lock:
                free = SENDERS - self._under_way
                if free <= 0:
                    return None
                claimed = claim_due(self._sender.database, self._bulkheads, now=now, most=free)
                for one in claimed:
                    self._bulkheads.started(one.channel_id)
                    self._under_way += 1
            for one in claimed:
                self._pool.submit(self._deliver, one)
            if not claimed:
                return next_delivery(self._sender.database)
        return None

    def stop(self) -> None:
        """Let what is being sent end, give back what has not begun, and record it all."""
        self._stopping = True
        self._pool.shutdown(wait=True)
        self._ledger.stop()

    def _deliver(self, one: Claimed) -> None:
        well = False
        try:
            if self._stopping:
                give_back(self._sender.database, one, now=self._clock())
                return
            outcome = deliver(self._sender, one, clock=self._clock)
            well = outcome.status is not DeliveryStatus.PENDING
            self._ledger.add(outcome)
            self._count(outcome)
        except StorageUnavailable as error:
            log.warning("delivery_not_given_back", delivery=str(one.uuid), reason=str(error))
        except Exception:
            log.exception("sender_failed", delivery=str(one.uuid))
        finally:
            with self._lock:
                self._bulkheads.ended(one.channel_id, well=well)
                self._under_way -= 1

    def _count(self, outcome: Outcome) -> None:
        plugin = outcome.claimed.channel_type
        took = outcome.finished_at - outcome.started_at
        named = _ATTEMPTS.get(outcome.status, outcome.status.value)
        self._metrics.attempted(plugin, named, seconds=took.total_seconds())
        if outcome.status is DeliveryStatus.DELIVERED:
            latency = outcome.finished_at - outcome.claimed.alert.created_at
            self._metrics.delivered(plugin, latency=latency.total_seconds())
