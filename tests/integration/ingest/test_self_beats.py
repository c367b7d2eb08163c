"""Self-beats: what they say of the process, and that silence is judged no further than they reach."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from heartbeat_central.domain.blind_window import BlindWindow, Cause
from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.reception import Proven, Reading, SelfBeat, Undecided
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.ingest import self_beats as beating
from heartbeat_central.ingest.batcher import Batcher
from heartbeat_central.ingest.self_beats import SelfBeats
from heartbeat_central.metrics import Metrics
from heartbeat_central.services.record_signals import Outcome, Recorded

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
WINDOW = BlindWindow(started_at=NOON, ended_at=NOON + timedelta(seconds=9), cause=Cause.STALLED)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def heartbeat() -> Signal:
    return Signal(uuid=uuid4(), kind=SignalKind.SUCCESS, received_at=NOON)


class Service:
    """A batcher with self-beats on clocks of the test's; keeps what is stored."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.stored: list[Signal | SelfBeat] = []
        self.refuse: Exception | None = None
        self.refuse_proof: Exception | None = None
        self.verdict: Proven | Undecided = Proven()
        self.open = threading.Event()
        self.open.set()
        self.reports: list[str | None] = []
        self.news: list[BlindWindow | None] = []
        self.beats = SelfBeats(
            node=uuid4(),
            clocks=self.clocks,
            prove=self.prove,
            report=lambda _, problem: self.reports.append(problem),
            on_news=self.news.append,
        )
        self.batcher = Batcher(
            self.beats.recording(self.record),
            on_wake=lambda: None,
            on_refused=self.beats.refused,
            metrics=Metrics(),
        )

    def clocks(self) -> Reading:
        ran = timedelta(seconds=self.seconds)
        return Reading(at=at(self.seconds), monotonic=ran, boottime=ran)

    def record(self, signals: Sequence[Signal]) -> Recorded:
        self.open.wait(10)
        if self.refuse is not None:
            raise self.refuse
        self.stored.extend(signals)
        return Recorded([Outcome.STORED] * len(signals), wake=False)

    def prove(self, beat: SelfBeat) -> Proven | Undecided:
        if self.refuse_proof is not None:
            raise self.refuse_proof
        self.stored.append(beat)
        return self.verdict

    @property
    def proofs(self) -> list[SelfBeat]:
        return [one for one in self.stored if isinstance(one, SelfBeat)]

    async def proven_until(self, seconds: float) -> datetime | None:
        """Ask as the detector does, from a thread of its own."""
        return await asyncio.to_thread(self.beats.proven_until, at(seconds))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """No self-beat but the first comes by itself, and nobody waits for long."""
    monkeypatch.setattr(beating, "PERIOD", 60.0)
    monkeypatch.setattr(beating, "RETRY", 60.0)
    monkeypatch.setattr(beating, "CATCHING_UP", 0.02)
    monkeypatch.setattr(beating, "PATIENCE", 0.5)


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[Service]:
    """Yield the service after its first self-beat."""
    service.batcher.start()
    service.beats.start(service.batcher.submit)
    await service.proven_until(0)
    try:
        yield service
    finally:
        service.open.set()
        service.beats.stop()
        await service.batcher.stop()


async def test_the_first_one_sets_out_at_once_and_is_news() -> None:
    async with running(Service()) as service:
        [first] = service.proofs
        assert (first.now.at, first.before) == (at(0), None)
        assert service.news == [None]
        assert service.reports == [None]


async def test_proof_is_fetched_for_a_moment_that_none_covers_yet() -> None:
    async with running(Service()) as service:
        assert await service.proven_until(-5) == at(0), "known already"
        service.seconds = 7
        assert await service.proven_until(6) == at(7)
        assert service.proofs[1].before == service.proofs[0].now


async def test_what_came_before_a_self_beat_is_stored_before_it() -> None:
    async with running(Service()) as service:
        service.open.clear()
        service.seconds = 5
        waiting = [asyncio.create_task(service.batcher.submit(heartbeat())) for _ in range(20)]
        await asyncio.sleep(0)
        proof = asyncio.create_task(service.proven_until(5))
        await asyncio.sleep(0.05)
        assert not proof.done(), "the detector must wait for heartbeats that are under way"
        service.open.set()
        assert await proof == at(5)
        assert service.stored[-1] is service.proofs[-1]
        assert await asyncio.gather(*waiting) == [Outcome.STORED] * 20


async def test_the_detector_does_not_wait_for_ever() -> None:
    async with running(Service()) as service:
        service.open.clear()
        held = asyncio.create_task(service.batcher.submit(heartbeat()))
        await asyncio.sleep(0)
        service.seconds = 5
        assert await service.proven_until(5) == at(0), "no further than what is proven"
        service.open.set()
        await held


@pytest.mark.parametrize("error", [StorageUnavailable("away"), RuntimeError("a bug")])
async def test_a_refused_heartbeat_is_remembered_until_the_next_proof(error: Exception) -> None:
    async with running(Service()) as service:
        service.refuse, service.seconds = error, 3
        with pytest.raises(StorageUnavailable):
            await service.batcher.submit(heartbeat())
        service.refuse, service.seconds = None, 4
        await service.proven_until(4)
        assert service.proofs[-1].failed_at == at(3)
        service.seconds = 5
        await service.proven_until(5)
        assert service.proofs[-1].failed_at is None


@pytest.mark.parametrize("error", [StorageUnavailable("away"), RuntimeError("a bug")])
async def test_a_self_beat_that_can_not_be_stored_proves_nothing_and_is_told(
    error: Exception,
) -> None:
    async with running(Service()) as service:
        service.refuse_proof, service.seconds = error, 3
        stored = tuple(
            await asyncio.gather(service.batcher.submit(heartbeat()), service.proven_until(3))
        )
        assert stored == (Outcome.STORED, at(0)), (
            "the heartbeats of its batch are stored all the same"
        )
        # On a busy machine, later than whoever asks for the proof waits.
        async with asyncio.timeout(20):
            while service.reports[-1] != "a self-beat could not be stored":
                await asyncio.sleep(0.01)
        service.refuse_proof, service.seconds = None, 4
        assert await service.proven_until(4) == at(4)
        assert service.proofs[-1].failed_at == at(3)
        assert service.proofs[-1].before == service.proofs[0].now


async def test_a_full_queue_is_told_as_blindness(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Service()) as service:
        with monkeypatch.context() as full:
            full.setattr("heartbeat_central.ingest.batcher.LONGEST_QUEUE", 0)
            service.seconds = 3
            await service.proven_until(3)
        assert service.reports[-1] == "too many heartbeats wait to be stored"
        service.seconds = 4
        await service.proven_until(4)
        assert service.proofs[-1].failed_at == at(3)


async def test_the_longest_pause_is_told_and_survives_a_failure() -> None:
    async with running(Service()) as service:
        service.seconds = 10
        service.refuse_proof = StorageUnavailable("away")
        await service.proven_until(10)
        service.refuse_proof = None
        service.seconds = 11
        await service.proven_until(11)
        assert service.proofs[-1].longest_pause == timedelta(seconds=10)
        service.seconds = 12
        await service.proven_until(12)
        assert service.proofs[-1].longest_pause == timedelta(seconds=1)


async def test_after_a_pause_what_waits_in_the_sockets_comes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(beating, "CATCHING_UP", 0.5)
    monkeypatch.setattr(beating, "PATIENCE", 10.0)
    async with running(Service()) as service:
        service.seconds = 2
        proof = asyncio.create_task(service.proven_until(2))
        await asyncio.sleep(0.05)
        await service.batcher.submit(heartbeat())
        assert len(service.proofs) == 1
        assert await proof == at(2)
        assert isinstance(service.stored[1], Signal)


async def test_undecided_it_proves_nothing_yet_and_says_so_to_the_next() -> None:
    service = Service()
    service.verdict = waiting = Undecided(since=at(0), newest=at(-1))
    async with running(service):
        assert await service.proven_until(0) is None
        assert service.news == []
        assert service.reports[-1] is None, "it stores, so that it is well"
        service.verdict = Proven()
        assert await service.proven_until(0) == at(0)
        assert service.proofs[-1].waited == waiting
        assert service.proofs[-1].before is None
        assert service.news == [None]


async def test_a_window_is_news() -> None:
    async with running(Service()) as service:
        service.verdict, service.seconds = Proven(WINDOW), 9
        await service.proven_until(9)
        assert service.news == [None, WINDOW]


async def test_proof_from_before_the_clock_was_set_back_counts_no_more() -> None:
    async with running(Service()) as service:
        service.seconds = -3600
        assert await service.proven_until(-3600) == at(-3600)


async def test_it_beats_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beating, "PERIOD", 0.01)
    monkeypatch.setattr(beating, "RETRY", 0.01)
    service = Service()
    async with running(service):
        async with asyncio.timeout(10):
            while len(service.proofs) < 5:
                await asyncio.sleep(0.01)
        service.open.clear()
        held = asyncio.create_task(service.batcher.submit(heartbeat()))
        service.seconds = 1
        await asyncio.sleep(0.1)
        count = len(service.proofs)
        service.open.set()
        await held
    assert len(service.proofs) - count <= 2, "no more than one waits at a time"


async def test_once_stopped_it_asks_for_no_more() -> None:
    async with running(Service()) as service:
        service.beats.stop()
        service.seconds = 5
        assert await service.proven_until(5) == at(0)
