"""Jobs run when something is due and when they are rung for."""

import itertools
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.schedulers.background import BackgroundScheduler

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.monitor.pace import PacedJob, shut_down

AN_HOUR = 3600.0


class Job:
    """Counts its runs; the test says what each wants next, and may hold it."""

    def __init__(self, scheduler: BackgroundScheduler) -> None:
        self.scheduler = scheduler
        self.runs = threading.Semaphore(0)
        self.open = threading.Event()
        self.open.set()
        self.wanted: datetime | None = None
        self.error: Exception | None = None
        self.reports: list[str | None] = []
        self.overlapped = False
        self._running = threading.Lock()
        self.paced = PacedJob(
            scheduler,
            "job",
            self.work,
            longest=AN_HOUR,
            clock=lambda: datetime.now(UTC),
            report=lambda name, at, problem: self.reports.append(problem),
        )

    def work(self) -> datetime | None:
        self.overlapped |= not self._running.acquire(blocking=False)
        self.runs.release()
        self.open.wait(10)
        self._running.release()
        wanted, self.wanted = self.wanted, None
        if self.error is not None:
            raise self.error
        return wanted

    def ran(self) -> bool:
        return self.runs.acquire(timeout=10)


@pytest.fixture
def job() -> Iterator[Job]:
    scheduler = BackgroundScheduler(timezone="UTC")
    running = Job(scheduler)
    scheduler.start()
    yield running
    running.open.set()
    if scheduler.running:
        shut_down(scheduler, [running.paced])


def test_runs_at_once_and_when_it_wants_to(job: Job) -> None:
    job.wanted = datetime.now(UTC) + timedelta(milliseconds=50)
    job.paced.start()
    assert job.ran()
    assert job.ran(), "an hour had not passed, and something was due"


def test_rests_in_proportion_to_the_time_it_took() -> None:
    scheduler = BackgroundScheduler(timezone="UTC")
    ran = threading.Semaphore(0)
    # Each run takes 0.1 s by this timer, which is asked before and after it.
    seconds = itertools.count(0.0, 0.1)

    def work() -> datetime:
        ran.release()
        return datetime.now(UTC)

    resting = PacedJob(
        scheduler,
        "resting",
        work,
        longest=AN_HOUR,
        clock=lambda: datetime.now(UTC),
        report=lambda *_: None,
        rest=3.0,
        timer=lambda: next(seconds),
    )
    resting.start()
    scheduler.start()
    assert ran.acquire(timeout=10)
    begun = time.monotonic()
    assert ran.acquire(timeout=10), "there was more to do"
    assert time.monotonic() - begun >= 0.25
    shut_down(scheduler, [resting])


def test_runs_when_it_is_rung_for(job: Job) -> None:
    job.paced.start()
    assert job.ran()
    for _ in range(20):
        job.paced.ring()
        assert job.ran()


def test_rung_while_it_runs_it_runs_once_more_and_never_twice_at_once(job: Job) -> None:
    job.paced.start()
    assert job.ran()
    job.open.clear()
    job.paced.ring()
    assert job.ran()
    job.paced.ring()
    job.open.set()
    assert job.ran()
    assert not job.overlapped


@pytest.mark.parametrize("error", [StorageUnavailable("away"), RuntimeError("a bug")])
def test_a_run_that_fails_is_reported_and_the_next_one_comes(job: Job, error: Exception) -> None:
    job.error = error
    job.paced.start()
    assert job.ran()
    job.error = None
    job.paced.ring()
    assert job.ran()
    job.paced.ring()
    assert job.ran()
    assert job.reports[0] is not None
    assert job.reports[1] is None


def test_stopping_waits_for_a_run_that_has_yet_to_say_when_it_wants_the_next(job: Job) -> None:
    job.open.clear()
    job.wanted = datetime.now(UTC) + timedelta(seconds=60)
    job.paced.start()
    assert job.ran()
    stopping = threading.Thread(target=shut_down, args=(job.scheduler, [job.paced]), daemon=True)
    stopping.start()
    stopping.join(0.2)
    assert stopping.is_alive(), "the run has not ended"
    job.open.set()
    stopping.join(10)
    assert not stopping.is_alive()
    job.paced.ring()
    assert not job.runs.acquire(timeout=0.1)
