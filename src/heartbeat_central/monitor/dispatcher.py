"""Starts due deliveries, a thread each, within each channel's allowance.

A thread costs a fraction of what a send does, and ends with it: the memory of a busy hour comes back.
"""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

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
"""Sends at once that are quick, or may yet be."""
SLOW = 0.5
"""Seconds after which a send is no longer one of those: whoever hangs takes nobody's place for longer."""
MOST = 1_000
"""Sends at once in all."""
LONGEST_SEND = 60.0
"""Seconds after which a send counts as lost, and is tried again: a plugin of another package may not
keep its deadline, and its lease would else be renewed for ever."""
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
        on_waiting: Callable[[datetime | None], None] = lambda _since: None,
    ) -> None:
        """Make a dispatcher; `on_ended` is called when there may be more to start.

        `on_waiting` is told since when a delivery is due that no sender takes, None when there is none.
        """
        self._sender = sender
        self._clock = clock
        self._metrics = metrics
        self._ledger = Ledger(sender.database, on_left=self._forget)
        self._on_ended = on_ended
        self._on_waiting = on_waiting
        self._lock = threading.Lock()
        self._sent_one = threading.Condition(self._lock)
        self._bulkheads = Bulkheads()
        self._sending: dict[int, tuple[Claimed, float]] = {}
        """With when each began, by the monotonic clock."""
        self._leased: dict[int, tuple[Claimed, datetime]] = {}
        """What is being sent or waits to be recorded, and when its lease was last renewed."""
        self._unstarted_since: datetime | None = None
        """Since when no sender could be started."""
        self._stopping = False
        self._stop_by = 0.0

    def dispatch(self) -> datetime | None:
        """Start every delivery that may start now; return when to look again, None when nothing waits.

        Raises StorageUnavailable.
        """
        self._renew()
        while not self._stopping:
            now = self._clock()
            with self._lock:
                free = self._free()
                bulkheads = self._bulkheads.copy()
            if free <= 0:
                self._next(bulkheads, now)
                return now + timedelta(seconds=SLOW)
            # Without the lock, for senders that end would wait for the database; what they change
            # meanwhile is a matter of one send more or less.
            claimed = claim_due(self._sender.database, bulkheads, now=now, most=free)
            with self._lock:
                for one in claimed:
                    self._bulkheads.started(one.channel_id)
                    self._sending[one.id] = (one, time.monotonic())
                    self._leased[one.id] = (one, now)
            for one in claimed:
                self._start(one)
            if not claimed:
                return self._next(bulkheads, now)
        return None

    def _next(self, bulkheads: Bulkheads, now: datetime) -> datetime | None:
        """Return when the next delivery that may start is due, and tell if that should have been."""
        due_at = next_delivery(self._sender.database, bulkheads, now=now)
        since = due_at if due_at is not None and due_at < now else None
        if due_at is None:
            self._unstarted_since = None
        elif self._unstarted_since is not None:
            # Its lease makes it look as if a sender had it.
            since = min(since or now, self._unstarted_since)
        self._on_waiting(since)
        return due_at

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
            interrupted = [one for one, _ in self._sending.values()]
        for one in interrupted:
            log.warning("delivery_interrupted", delivery=str(one.uuid), attempt=one.attempt)
            self._give_back(one)
        self._ledger.stop()

    def _renew(self) -> None:
        """Keep the leases of what takes long: a slow plugin, an outcome that waits for the database."""
        now = self._clock()
        begun = time.monotonic() - LONGEST_SEND
        with self._lock:
            for id_ in [id_ for id_, (_, began) in self._sending.items() if began < begun]:
                self._leased.pop(id_, None)
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

    def _free(self) -> int:
        since = time.monotonic() - SLOW
        quick = sum(began > since for _, began in self._sending.values())
        return min(SENDERS - quick, MOST - len(self._sending))

    def _start(self, one: Claimed) -> None:
        thread = threading.Thread(
            target=self._deliver, args=(one,), name=f"sender-{one.id}", daemon=True
        )
        try:
            thread.start()
            self._unstarted_since = None
        except RuntimeError:
            self._unstarted_since = self._unstarted_since or self._clock()
            # The system has no more threads. The lease runs out, and it is sent then.
            log.exception("sender_not_started", delivery=str(one.uuid))
            self._forget([one.id])
            self._ended(one, well=False)

    def _deliver(self, one: Claimed) -> None:
        well = False
        quiet_until = None
        try:
            if self._stopping:
                self._give_back(one)
                return
            outcome = deliver(self._sender, one, clock=self._clock)
            well = outcome.status is not DeliveryStatus.PENDING
            quiet_until = outcome.quiet_until
            self._ledger.add(outcome)
            self._count(outcome)
        except Exception:
            log.exception("sender_failed", delivery=str(one.uuid))
            self._forget([one.id])
        finally:
            self._ended(one, well=well, quiet_until=quiet_until)

    def _ended(self, one: Claimed, *, well: bool, quiet_until: datetime | None = None) -> None:
        with self._lock:
            self._bulkheads.ended(one.channel_id, well=well, quiet_until=quiet_until)
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
