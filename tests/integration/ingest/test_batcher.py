"""Group commit: one transaction for all that wait, answers after it."""

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.ingest import batcher as batching
from heartbeat_central.ingest.batcher import Batcher
from heartbeat_central.metrics import Metrics
from heartbeat_central.services.record_signals import Outcome, Recorded
from tests.support.samples import value

pytestmark = pytest.mark.anyio


def signal() -> Signal:
    return Signal(uuid=uuid4(), kind=SignalKind.SUCCESS, received_at=datetime.now(UTC))


class Store:
    """Records batches; may be held back, or made to fail."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Signal]] = []
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.error: Exception | None = None
        self.fatal: BaseException | None = None
        """Ends the thread."""
        self.again = threading.Event()
        """Holds back batches after the first one."""
        self.again.set()
        self.wake = False
        self.outcomes: list[Outcome] = []
        """Of a batch with so many signals; of others, all are stored."""

    def __call__(self, signals: Sequence[Signal]) -> Recorded:
        self.entered.set()
        self.open.wait(10)
        if self.batches:
            self.again.wait(10)
        if self.fatal is not None:
            raise self.fatal
        if self.error is not None:
            raise self.error
        self.batches.append(signals)
        outcomes = self.outcomes if len(signals) == len(self.outcomes) else None
        return Recorded(outcomes or [Outcome.STORED] * len(signals), self.wake)


async def running(
    store: Store, rings: list[int] | None = None, metrics: Metrics | None = None
) -> Batcher:
    heard = rings if rings is not None else []
    batcher = Batcher(
        store,
        on_wake=lambda: heard.append(1),
        on_refused=lambda: None,
        metrics=metrics or Metrics(),
    )
    batcher.start()
    return batcher


async def test_what_gathers_during_a_commit_shares_the_next_one() -> None:
    store = Store()
    batcher = await running(store)
    store.open.clear()
    first = asyncio.create_task(batcher.submit(signal()))
    await asyncio.to_thread(store.entered.wait)
    others = [asyncio.create_task(batcher.submit(signal())) for _ in range(50)]
    await asyncio.sleep(0)
    assert not first.done(), "nobody is answered before the commit"
    store.open.set()
    assert await asyncio.gather(first, *others) == [Outcome.STORED] * 51
    assert [len(batch) for batch in store.batches] == [1, 50]
    await batcher.stop()


async def test_batches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "LARGEST_BATCH", 4)
    store = Store()
    batcher = await running(store)
    await asyncio.gather(*(batcher.submit(signal()) for _ in range(30)))
    assert max(len(batch) for batch in store.batches) <= 4
    assert sum(len(batch) for batch in store.batches) == 30
    await batcher.stop()


async def test_a_full_queue_refuses_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "LONGEST_QUEUE", 2)
    store = Store()
    batcher = await running(store)
    store.open.clear()
    first = asyncio.create_task(batcher.submit(signal()))
    await asyncio.to_thread(store.entered.wait)
    waiting = [asyncio.create_task(batcher.submit(signal())) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(StorageUnavailable, match="too many"):
        await batcher.submit(signal())
    store.open.set()
    assert await asyncio.gather(first, *waiting) == [Outcome.STORED] * 3
    await batcher.stop()


@pytest.mark.parametrize("error", [StorageUnavailable("away"), RuntimeError("a bug")])
async def test_an_unstored_batch_is_refused_and_the_next_one_tried(error: Exception) -> None:
    store = Store()
    batcher = await running(store)
    store.error = error
    with pytest.raises(StorageUnavailable):
        await batcher.submit(signal())
    store.error = None
    assert await batcher.submit(signal()) is Outcome.STORED
    await batcher.stop()


async def test_a_writer_that_is_stuck_does_not_keep_the_service_from_stopping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batching, "LONGEST_COMMIT", 0.2)
    store = Store()
    batcher = await running(store)
    store.open.clear()
    waiting = asyncio.create_task(batcher.submit(signal()))
    await asyncio.to_thread(store.entered.wait)
    await asyncio.wait_for(batcher.stop(), 2)
    with pytest.raises(StorageUnavailable):
        await waiting
    store.open.set()


@pytest.mark.parametrize("error", [None, StorageUnavailable("away"), RuntimeError("a bug")])
def test_a_database_that_answers_after_the_end_meets_nobody(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    monkeypatch.setattr(batching, "LONGEST_COMMIT", 0.05)
    monkeypatch.setattr(batching, "_LOOK", 0.01)
    store = Store()
    store.error = error

    async def serve() -> list[threading.Thread]:
        batcher = await running(store)
        store.open.clear()
        waiting = asyncio.create_task(batcher.submit(signal()))
        await asyncio.to_thread(store.entered.wait)
        with pytest.raises(StorageUnavailable):
            await waiting
        await batcher.stop()
        return [one for one in threading.enumerate() if one.name == "heartbeat-writer"]

    writers = asyncio.run(serve())
    assert writers
    store.open.set()
    for one in writers:
        # An exception in this thread would fail the test.
        one.join(10)
        assert not one.is_alive()


async def test_what_is_told_to_anybody_names_no_address() -> None:
    store = Store()
    batcher = await running(store)
    for error in (StorageUnavailable("connection to 10.0.0.7 refused"), RuntimeError("10.0.0.7")):
        store.error = error  # as a driver words it
        with pytest.raises(StorageUnavailable) as caught:
            await batcher.submit(signal())
        assert "10.0.0.7" not in str(caught.value)
    await batcher.stop()


async def test_stopping_stores_what_waits() -> None:
    store = Store()
    batcher = await running(store)
    store.open.clear()
    tasks = [asyncio.create_task(batcher.submit(signal())) for _ in range(5)]
    await asyncio.sleep(0)
    stopping = asyncio.create_task(batcher.stop())
    await asyncio.sleep(0)
    with pytest.raises(StorageUnavailable, match="stopping"):
        await batcher.submit(signal())
    store.open.set()
    await stopping
    assert await asyncio.gather(*tasks) == [Outcome.STORED] * 5


async def test_a_client_that_left_costs_the_others_nothing() -> None:
    store = Store()
    batcher = await running(store)
    store.open.clear()
    gone = asyncio.create_task(batcher.submit(signal()))
    stays = asyncio.create_task(batcher.submit(signal()))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    store.open.set()
    assert await stays is Outcome.STORED
    assert sum(len(batch) for batch in store.batches) == 2, "its heartbeat is stored all the same"
    await batcher.stop()


async def test_rings_when_there_is_something_to_notice_or_to_tell() -> None:
    store, rings = Store(), list[int]()
    batcher = await running(store, rings)
    await batcher.submit(signal())
    assert rings == []
    store.wake = True
    await batcher.submit(signal())
    await batcher.stop()
    assert rings == [1]


async def test_a_silent_database_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "LONGEST_COMMIT", 0.05)
    monkeypatch.setattr(batching, "_LOOK", 0.01)
    store = Store()
    batcher = await running(store)
    store.open.clear()
    under_way = asyncio.create_task(batcher.submit(signal()))
    await asyncio.to_thread(store.entered.wait)
    queued = asyncio.create_task(batcher.submit(signal()))
    for one in (under_way, queued):
        with pytest.raises(StorageUnavailable, match="does not answer"):
            await one
    with pytest.raises(StorageUnavailable, match="does not answer"):
        await batcher.submit(signal())
    store.open.set()
    while batcher.is_stuck:
        await asyncio.sleep(0.001)
    assert await batcher.submit(signal()) is Outcome.STORED
    assert [len(batch) for batch in store.batches] == [1, 1], "what was only queued is not stored"
    await batcher.stop()


async def test_who_waited_behind_a_slow_batch_does_not_wait_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batching, "LONGEST_WAIT", 0.15)
    monkeypatch.setattr(batching, "_SLOW", 0.05)
    monkeypatch.setattr(batching, "_LOOK", 0.01)
    store = Store()
    batcher = await running(store)
    store.open.clear()
    under_way = asyncio.create_task(batcher.submit(signal()))
    await asyncio.to_thread(store.entered.wait)
    early = asyncio.create_task(batcher.submit(signal()))
    await asyncio.sleep(0.1)
    late = asyncio.create_task(batcher.submit(signal()))
    await asyncio.sleep(0)
    store.again.clear()
    store.open.set()
    assert await under_way is Outcome.STORED
    with pytest.raises(StorageUnavailable, match="does not answer"):
        await early
    store.again.set()
    assert await late is Outcome.STORED
    await batcher.stop()


async def test_what_fails_beside_storing_costs_no_later_heartbeat_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # To tell of it in the log may take a busy machine longer than a database may.
    monkeypatch.setattr(batching, "LONGEST_COMMIT", 60)
    store = Store()
    store.wake = True

    def breaks() -> None:
        raise ZeroDivisionError

    batcher = Batcher(
        store,
        on_wake=breaks,
        on_refused=lambda: None,
        metrics=Metrics(),
    )
    batcher.start()
    for _ in range(2):
        assert await asyncio.wait_for(batcher.submit(signal()), 10) is Outcome.STORED
    await batcher.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_writer_that_dies_is_replaced_and_what_it_was_at_is_refused() -> None:
    store = Store()
    batcher = await running(store)
    store.fatal = SystemExit()
    with pytest.raises(StorageUnavailable, match="something failed"):
        await asyncio.wait_for(batcher.submit(signal()), 10)
    store.fatal = None
    assert await asyncio.wait_for(batcher.submit(signal()), 10) is Outcome.STORED
    await batcher.stop()


async def test_counts_once_a_batch_what_became_of_its_signals() -> None:
    store, metrics = Store(), Metrics()
    store.outcomes = [Outcome.STORED, Outcome.UNKNOWN, Outcome.STORED]
    batcher = await running(store, metrics=metrics)
    store.open.clear()
    first = asyncio.create_task(batcher.submit(signal()))
    await asyncio.to_thread(store.entered.wait)
    others = [asyncio.create_task(batcher.submit(signal())) for _ in range(3)]
    await asyncio.sleep(0)
    store.open.set()
    await asyncio.gather(first, *others)
    store.error = StorageUnavailable("away")
    with pytest.raises(StorageUnavailable):
        await batcher.submit(signal())
    await batcher.stop()
    with pytest.raises(StorageUnavailable):
        await batcher.submit(signal())
    text = metrics.as_text()
    assert value(text, "heartbeats_total", outcome="stored") == 3
    assert value(text, "heartbeats_total", outcome="unknown") == 1
    assert value(text, "heartbeats_total", outcome="refused") == 2
    assert value(text, "batch_size_count") == 2
    assert value(text, "batch_size_sum") == 4
    assert value(text, "queue_depth") == 0
