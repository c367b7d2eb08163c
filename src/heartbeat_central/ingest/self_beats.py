"""Self-beats: proof, every second, that this process can receive heartbeats and store them.

They go through the batcher like every heartbeat. What was submitted before a self-beat is stored before
it, so that its commit proves two things: heartbeats could be received when it set out, and none that
came before is still under way. The detector judges silence up to such a moment and no further.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from heartbeat_central.domain.blind_window import BlindWindow
from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.reception import Proven, Reading, SelfBeat, Undecided
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.ingest.batcher import Record
from heartbeat_central.services.record_signals import Outcome, Recorded

PERIOD = 1.0
"""Seconds between two self-beats."""
RETRY = 0.25
"""Seconds after one that failed, so that a window ends when it is really over."""
BEHIND = timedelta(seconds=1.5)
"""Having stood still for longer, the process reads first what waits in its sockets."""
CATCHING_UP = 0.1
"""Seconds for that."""
LONGEST_BEAT = 5.0
"""Seconds until one that nobody answers counts as lost; the next ones wait for it."""
PATIENCE = 2.0
"""Seconds that the detector waits for proof. Without, it looks again a second later."""

log = structlog.get_logger(__name__)

Submit = Callable[[Signal], Awaitable[Outcome]]
Prove = Callable[[SelfBeat], Proven | Undecided]
"""Stores what a self-beat proves; raises StorageUnavailable."""


class SelfBeats:
    """Sends them from the event loop, and commits them on the batcher's writer thread."""

    def __init__(
        self,
        *,
        node: UUID,
        clocks: Callable[[], Reading],
        prove: Prove,
        report: Callable[[datetime, str | None], None],
        on_news: Callable[[BlindWindow | None], None],
    ) -> None:
        """`on_news` is called on the writer thread after the first proof and with each window."""
        self.node = node
        self._clocks = clocks
        self._prove = prove
        self._report = report
        self._on_news = on_news
        self._submit: Submit | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: asyncio.Task[None] | None = None
        self._proven: datetime | None = None
        # The event loop's own.
        self._one_at_a_time = asyncio.Lock()
        self._ticked: Reading | None = None
        self._pause = timedelta(0)
        self._in_a_hurry = True
        # The writer thread's own.
        self._before: Reading | None = None
        self._waited: Undecided | None = None
        # Handed from the one to the other.
        self._under_way: tuple[Signal, SelfBeat] | None = None
        self._failed_at: datetime | None = None
        self._failing = threading.Lock()

    def start(self, submit: Submit) -> None:
        """Begin; call it in the event loop, once the batcher has started."""
        self._submit = submit
        self._loop = asyncio.get_running_loop()
        self._running = self._loop.create_task(self._run())

    def stop(self) -> None:
        """End; call it in the event loop, when no more heartbeats are let in."""
        self._loop = None
        if self._running is not None:
            self._running.cancel()

    def proven_until(self, moment: datetime) -> datetime | None:
        """Return up to when silence may be judged; `moment` or later if that can be proven now.

        None: nothing has been proven yet. For other threads; waits for a commit.
        """
        loop = self._loop
        if loop is not None and not self._covers(moment):
            try:
                asked = asyncio.run_coroutine_threadsafe(self._beat(moment), loop)
                asked.result(PATIENCE)
            except TimeoutError:
                log.warning("reception_unproven", seconds=PATIENCE)
            except CancelledError:
                pass  # The service stops.
        return self._proven

    def recording(self, record: Record) -> Record:
        """Return what the batcher shall record with: `record`, and self-beats after the others."""

        def record_all(signals: Sequence[Signal]) -> Recorded:
            if self._under_way is None:
                return record(signals)
            mine, beat = self._under_way
            others = [signal for signal in signals if signal is not mine]
            if len(others) == len(signals):
                return record(signals)
            recorded = record(others) if others else Recorded([], wake=False)
            outcomes = iter(recorded.outcomes)
            proof = self._commit(beat)
            return replace(
                recorded,
                outcomes=[proof if one is mine else next(outcomes) for one in signals],
            )

        return record_all

    def refused(self) -> None:
        """Note that a heartbeat has been refused just now. For any thread."""
        self._failed(self._clocks().at)

    async def _run(self) -> None:
        beat: asyncio.Task[None] | None = None
        while True:
            # Also while a commit takes long: that the process goes on is what tells it from a pause.
            self._tick()
            if beat is None or beat.done():
                beat = asyncio.create_task(self._beat())
            await asyncio.sleep(RETRY if self._in_a_hurry else PERIOD)

    def _tick(self) -> Reading:
        now = self._clocks()
        if self._ticked is not None:
            self._pause = max(self._pause, now.boottime - self._ticked.boottime)
        self._ticked = now
        return now

    def _covers(self, moment: datetime) -> bool:
        # Proof from a time that is still to come is a clock's that has been set back.
        known = self._proven
        return known is not None and moment <= known <= self._clocks().at

    async def _beat(self, moment: datetime | None = None) -> None:
        """Send one; none if the one that was waited for covers `moment`."""
        assert self._submit is not None
        async with self._one_at_a_time:
            if moment is not None and self._covers(moment):
                return
            now = self._tick()
            pause, self._pause = self._pause, timedelta(0)
            signal = Signal(uuid=self.node, kind=SignalKind.LOG, received_at=now.at)
            self._under_way = signal, SelfBeat(node=self.node, now=now, longest_pause=pause)
            if pause > BEHIND:
                await asyncio.sleep(CATCHING_UP)
            problem = None
            try:
                if await asyncio.wait_for(self._submit(signal), LONGEST_BEAT) is not Outcome.PROOF:
                    problem = "a self-beat could not be stored"
            except TimeoutError:
                # The batcher answers within two seconds, whatever the database does.
                problem = "nobody answers for a self-beat"
            except StorageUnavailable as error:
                problem = str(error)
            self._under_way = None
            if problem is not None:
                self._pause = max(self._pause, pause)
            self._in_a_hurry = problem is not None or self._proven is None
            self._report(self._clocks().at, problem)

    def _commit(self, beat: SelfBeat) -> Outcome:
        with self._failing:
            failed_at, self._failed_at = self._failed_at, None
        beat = replace(beat, before=self._before, waited=self._waited, failed_at=failed_at)
        try:
            verdict = self._prove(beat)
        except Exception as error:
            if not isinstance(error, StorageUnavailable):
                log.exception("self_beat_failed")
            self._failed(failed_at or self._clocks().at)
            return Outcome.FAILED
        if isinstance(verdict, Undecided):
            self._waited = verdict
            return Outcome.PROOF
        is_first = self._before is None
        self._before, self._waited = beat.now, None
        self._proven = beat.now.at
        if is_first or verdict.window is not None:
            self._on_news(verdict.window)
        return Outcome.PROOF

    def _failed(self, at: datetime) -> None:
        with self._failing:
            self._failed_at = at if self._failed_at is None else min(at, self._failed_at)
