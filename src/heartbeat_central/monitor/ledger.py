"""Records what senders report, so that a thousand deliveries don't take a thousand commits."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.services.record_outcomes import Outcome, record_outcomes
from heartbeat_central.storage.engine import Database

KEPT_FOR = 15.0
"""Seconds that an outcome is kept for a database that is away. What was sent and never recorded is sent
once more; a restart of the database is no reason for it."""
PAUSE = 0.5
LONGEST_STOP = 1.0
"""Seconds that the last outcomes of a stopping service may take."""
GATHER = 0.05
"""Seconds after a batch in which the next one gathers. A transaction costs as much as ten outcomes in it, and
while many alerts go out heartbeats pay for each; nobody waits for an outcome to be recorded."""
LARGEST_BATCH = 100

log = structlog.get_logger(__name__)


class Ledger:
    """One writer thread. The first outcome is recorded at once; those that follow gather."""

    def __init__(self, database: Database, *, on_left: Callable[[Sequence[int]], None]) -> None:
        """Make a ledger; `on_left` is told the ids of deliveries that are recorded, or given up."""
        self._database = database
        self._on_left = on_left
        self._waiting: deque[tuple[Outcome, float]] = deque()
        self._filled = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def add(self, outcome: Outcome) -> None:
        """Take an outcome to record; returns at once."""
        self._waiting.append((outcome, time.monotonic() + KEPT_FOR))
        self._filled.set()

    def stop(self) -> None:
        """Record what waits, then end; what a database that is away does not take is sent again."""
        self._stopping.set()
        self._filled.set()
        self._thread.join(LONGEST_STOP)

    def _run(self) -> None:
        while True:
            self._filled.wait()
            # Cleared before the queue is read: what is added later sets it again.
            self._filled.clear()
            while self._waiting:
                size = min(len(self._waiting), LARGEST_BATCH)
                self._record([self._waiting.popleft() for _ in range(size)])
                if len(self._waiting) < LARGEST_BATCH:
                    self._stopping.wait(GATHER)
            if self._stopping.is_set() and not self._waiting:
                return

    def _record(self, batch: Sequence[tuple[Outcome, float]]) -> None:
        try:
            record_outcomes(self._database, [outcome for outcome, _ in batch])
        except StorageUnavailable as error:
            self._keep(batch, str(error))
            return
        except Exception as error:
            if len(batch) > 1:
                # One that can't be stored must not cost the others theirs.
                for one in batch:
                    self._record([one])
                return
            self._give_up(batch[0][0], f"{type(error).__name__}: {error}")
            return
        self._on_left([outcome.claimed.id for outcome, _ in batch])

    def _keep(self, batch: Sequence[tuple[Outcome, float]], reason: str) -> None:
        now = time.monotonic()
        for outcome, until in reversed(batch):
            if now < until:
                self._waiting.appendleft((outcome, until))
            else:
                self._give_up(outcome, reason)
        time.sleep(PAUSE)

    def _give_up(self, outcome: Outcome, reason: str) -> None:
        # Its lease runs out, and it is sent again under the same id.
        log.warning("outcome_not_recorded", delivery=str(outcome.claimed.uuid), reason=reason)
        self._on_left([outcome.claimed.id])
