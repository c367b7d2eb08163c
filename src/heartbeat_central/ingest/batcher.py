"""Group commit: everything that waits goes into one transaction; answers follow the commit.

One writer thread per process. While it commits, the next batch gathers by itself, so there is no
artificial delay: alone, a heartbeat costs one commit; under load, hundreds share one.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

import structlog

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.signal import Signal
from heartbeat_central.services.record_signals import Outcome, Recorded

LONGEST_QUEUE = 20_000
"""Signals that may wait. More than the database takes in the time a client waits helps nobody."""
LARGEST_BATCH = 1_000
LONGEST_COMMIT = 5.0
"""Seconds until a database that says nothing at all counts as absent."""
_LOOK = 0.5
"""Seconds between two looks for one."""

log = structlog.get_logger(__name__)

Waiting = tuple[Signal, "asyncio.Future[Outcome]"]
Record = Callable[[Sequence[Signal]], Recorded]
"""Stores a batch and returns after its commit; raises StorageUnavailable."""


class Batcher:
    """Queues signals for the writer thread. Used from one event loop."""

    def __init__(self, record: Record, *, on_wake: Callable[[], None]) -> None:
        self._record = record
        self._on_wake = on_wake
        self._queue: SimpleQueue[Waiting | None] = SimpleQueue()
        self._stopping = False
        self._committing: tuple[float, list[Waiting]] | None = None
        """Since when (time.monotonic) the writer has been at which batch."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer = threading.Thread(target=self._write, name="heartbeat-writer", daemon=True)

    @property
    def is_stuck(self) -> bool:
        """Return whether the database has been silent for so long that nobody should wait for it."""
        committing = self._committing
        return committing is not None and time.monotonic() - committing[0] >= LONGEST_COMMIT

    def start(self) -> None:
        """Start the writer; call it in the event loop that will submit."""
        self._loop = asyncio.get_running_loop()
        self._writer.start()
        self._loop.call_later(_LOOK, self._look)

    async def submit(self, signal: Signal) -> Outcome:
        """Return the signal's outcome, once it is committed.

        Raises StorageUnavailable at once when the queue is full, and when the database can't take
        the batch.
        """
        if self._queue.qsize() >= LONGEST_QUEUE:
            raise StorageUnavailable("too many heartbeats wait to be stored")
        if self.is_stuck:
            raise StorageUnavailable("the database does not answer")
        if self._stopping or self._loop is None:
            raise StorageUnavailable("the service is stopping")
        future: asyncio.Future[Outcome] = self._loop.create_future()
        self._queue.put((signal, future))
        return await future

    async def stop(self) -> None:
        """Store what waits, then end the writer; give up on a database that does not answer."""
        self._stopping = True
        self._queue.put(None)
        await asyncio.to_thread(self._writer.join, LONGEST_COMMIT)

    def _write(self) -> None:
        while batch := self._next_batch():
            self._committing = time.monotonic(), batch
            self._store(batch)
            self._committing = None

    def _next_batch(self) -> list[Waiting]:
        """Wait for a signal and return it with all that came meanwhile; nothing when it is over."""
        batch: list[Waiting] = []
        waiting = self._queue.get()
        while waiting is not None:
            batch.append(waiting)
            if len(batch) >= LARGEST_BATCH:
                break
            try:
                waiting = self._queue.get_nowait()
            except Empty:
                break
        else:
            # The end was put last. It is put back for the call that finds nothing before it.
            self._queue.put(None)
        return batch

    def _look(self) -> None:
        """Refuse all who wait when the database has been silent for too long.

        Neither an error nor an answer comes from a host that vanished from the network.
        """
        assert self._loop is not None
        self._loop.call_later(_LOOK, self._look)
        committing = self._committing
        if committing is None or not self.is_stuck:
            return
        waiting = list(committing[1])
        while True:
            try:
                one = self._queue.get_nowait()
            except Empty:
                break
            if one is None:
                self._queue.put(None)
                break
            waiting.append(one)
        _refuse(waiting, StorageUnavailable("the database does not answer"))

    def _store(self, batch: list[Waiting]) -> None:
        assert self._loop is not None
        try:
            recorded = self._record([signal for signal, _ in batch])
        except StorageUnavailable as error:
            log.warning("heartbeats_refused", count=len(batch), reason=str(error))
            self._loop.call_soon_threadsafe(_refuse, batch, error)
            return
        except Exception as error:
            log.exception("batch_failed", count=len(batch))
            unavailable = StorageUnavailable(f"the batch failed: {type(error).__name__}")
            self._loop.call_soon_threadsafe(_refuse, batch, unavailable)
            return
        self._loop.call_soon_threadsafe(_release, batch, recorded.outcomes)
        if recorded.wake:
            self._on_wake()


def _release(batch: list[Waiting], outcomes: Sequence[Outcome]) -> None:
    for (_, future), outcome in zip(batch, outcomes, strict=True):
        # A client that went away cancelled its future; its heartbeat is stored all the same.
        if not future.done():
            future.set_result(outcome)


def _refuse(batch: list[Waiting], error: StorageUnavailable) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
