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
from heartbeat_central.metrics import Metrics
from heartbeat_central.services.record_signals import Outcome, Recorded

LONGEST_QUEUE = 20_000
"""Signals that may wait. More than the database takes in the time a client waits helps nobody."""
LARGEST_BATCH = 1_000
LONGEST_COMMIT = 1.5
"""Seconds until a database that says nothing at all counts as absent. A commit takes milliseconds,
and clients give up after a few seconds."""
_LOOK = 0.1
"""Seconds between two looks for one."""
LONGEST_WAIT = 1.8
"""Seconds until who waits is refused in a batch that takes long, having waited behind another one."""
_SLOW = 0.3
"""Seconds. A batch that takes so long will not be over in a moment."""
_BETWEEN_LINES = 1.0
"""Seconds from one line in the log about refused heartbeats to the next."""
_NO_ANSWER = "the database does not answer"

log = structlog.get_logger(__name__)

Waiting = tuple[Signal, "asyncio.Future[Outcome]", float]
"""The last: since when (time.monotonic)."""
Record = Callable[[Sequence[Signal]], Recorded]
"""Stores a batch and returns after its commit; raises StorageUnavailable."""


class Batcher:
    """Queues signals for the writer thread. Used from one event loop."""

    def __init__(
        self,
        record: Record,
        *,
        on_wake: Callable[[], None],
        on_refused: Callable[[], None],
        metrics: Metrics,
    ) -> None:
        """`on_refused` is called, from any thread, when heartbeats are refused that may be lost now."""
        self._record = record
        self._on_wake = on_wake
        self._on_refused = on_refused
        self._metrics = metrics
        self._queue: SimpleQueue[Waiting | None] = SimpleQueue()
        self._stopping = False
        self._committing: tuple[float, list[Waiting]] | None = None
        """Since when (time.monotonic) the writer has been at which batch."""
        # The writer's own: refused heartbeats that no line of the log tells of yet.
        self._unlogged = 0
        self._logged_at = -_BETWEEN_LINES
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer = self._new_writer()

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

    def _new_writer(self) -> threading.Thread:
        return threading.Thread(target=self._write, name="heartbeat-writer", daemon=True)

    async def submit(self, signal: Signal) -> Outcome:
        """Return the signal's outcome, once it is committed.

        Raises StorageUnavailable when the queue is full, when the database can't take the batch, and
        when it does not answer within LONGEST_COMMIT. Its words may be shown to anybody.
        """
        reason = self._why_not()
        if reason is not None:
            self._refused(1)
            raise StorageUnavailable(reason)
        assert self._loop is not None
        future: asyncio.Future[Outcome] = self._loop.create_future()
        self._queue.put((signal, future, time.monotonic()))
        return await future

    def _refused(self, count: int) -> None:
        self._metrics.refused(count)
        self._on_refused()

    def _why_not(self) -> str | None:
        """Return why nothing can be queued now; None when it can."""
        if self._queue.qsize() >= LONGEST_QUEUE:
            return "too many heartbeats wait to be stored"
        if self.is_stuck:
            return _NO_ANSWER
        if self._stopping or self._loop is None:
            return "the service is stopping"
        return None

    async def stop(self) -> None:
        """Store what waits, then end the writer; give up on a database that does not answer."""
        self._stopping = True
        self._queue.put(None)
        await asyncio.to_thread(self._writer.join, LONGEST_COMMIT)

    def _write(self) -> None:
        while batch := self._next_batch():
            self._committing = time.monotonic(), batch
            try:
                self._store(batch)
            except Exception:
                # In what is done beside storing. Whoever waits for the next batch must not wait for ever.
                log.exception("writer_failed", count=len(batch))
                self._tell(_refuse, batch, "something failed here")
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
        if not self._writer.is_alive() and not self._stopping:
            self._revive()
        committing = self._committing
        if committing is None:
            return
        since, batch = committing
        if not self.is_stuck:
            now = time.monotonic()
            if now - since >= _SLOW:
                # What becomes of them is counted when the batch ends, one way or the other.
                _refuse([one for one in batch if now - one[2] >= LONGEST_WAIT], _NO_ANSWER)
            return
        waiting = [one for one in batch if not one[1].done()]
        uncertain = len(waiting)
        while True:
            try:
                one = self._queue.get_nowait()
            except Empty:
                break
            if one is None:
                self._queue.put(None)
                break
            waiting.append(one)
        if waiting:
            log.error("database_stuck", refused=len(waiting))
            # What the writer is at is counted when that ends.
            self._refused(len(waiting) - uncertain)
            _refuse(waiting, _NO_ANSWER)

    def _revive(self) -> None:
        """Go on with another writer; nothing of ours ends one, but nobody foresees everything."""
        committing, self._committing = self._committing, None
        lost = [] if committing is None else committing[1]
        log.error("writer_died", refused=len(lost))
        if lost:
            self._refused(len(lost))
            _refuse(lost, "something failed here")
        self._writer = self._new_writer()
        self._writer.start()

    def _store(self, batch: list[Waiting]) -> None:
        begun = time.perf_counter()
        try:
            recorded = self._record([signal for signal, *_ in batch])
        except StorageUnavailable as error:
            # Its own words name the database's address.
            self._log_refused(len(batch), str(error))
            self._turn_away(batch, "the database can't be used now")
            return
        except Exception:
            log.exception("batch_failed", count=len(batch))
            self._turn_away(batch, "something failed here")
            return
        seconds = time.perf_counter() - begun
        self._tell(_release, batch, recorded.outcomes)
        if recorded.wake:
            self._on_wake()
        # Last: nobody waits for it.
        counts = _counts(recorded.outcomes)
        # A self-beat alone is nobody's heartbeat.
        if counts:
            self._metrics.committed(counts, seconds=seconds)
        self._metrics.waiting(self._queue.qsize())

    def _turn_away(self, batch: list[Waiting], why: str) -> None:
        self._refused(len(batch))
        # While the database is away no batch comes to the end of _store.
        self._metrics.waiting(self._queue.qsize())
        self._tell(_refuse, batch, why)

    def _log_refused(self, count: int, reason: str) -> None:
        # While the database is away every batch ends here; a line each would fill a disk.
        self._unlogged += count
        now = time.monotonic()
        if now - self._logged_at >= _BETWEEN_LINES:
            log.warning("heartbeats_refused", count=self._unlogged, reason=reason)
            self._unlogged, self._logged_at = 0, now

    def _tell(self, answer: Callable[..., None], *about: object) -> None:
        """Have those who wait answered in their event loop."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(answer, *about)
        except RuntimeError:
            # The service gave up on this database and stopped: everybody was refused before that.
            if not self._loop.is_closed():
                raise


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    counts = {}
    left = len(outcomes)
    # The frequent ones come first, so that mostly this is one fast look.
    for outcome in Outcome:
        if left == 0 or outcome is Outcome.PROOF:
            break
        if count := outcomes.count(outcome):
            counts[outcome.name.lower()] = count
            left -= count
    return counts


def _release(batch: list[Waiting], outcomes: Sequence[Outcome]) -> None:
    for (_, future, _), outcome in zip(batch, outcomes, strict=True):
        # A client that went away cancelled its future; its heartbeat is stored all the same.
        if not future.done():
            future.set_result(outcome)


def _refuse(batch: list[Waiting], why: str) -> None:
    for _, future, _ in batch:
        if not future.done():
            # One of its own each: an exception keeps the frames of all who raise it.
            future.set_exception(StorageUnavailable(why))
