"""A job that runs when something is due, when it is rung for, and once a second to look."""

import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import structlog
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from heartbeat_central.domain.errors import StorageUnavailable

SHORTEST = timedelta(milliseconds=20)
"""Between two runs that nobody rang for: what is due may be held by another node for a moment."""

log = structlog.get_logger(__name__)


class _AfterNow(BaseTrigger):  # type: ignore[misc]
    """Fires a while after now, whatever was before.

    APScheduler's own interval counts from the last run on: a clock that is set forward by years would
    have it list every second that was left out.
    """

    def __init__(self, wait: timedelta) -> None:
        self._wait = wait

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        return now + self._wait


class PacedJob:
    """Runs `work` on the scheduler; `work` returns when it wants to run next, or None.

    It runs at the latest every `longest` seconds, because another process on the same database may
    have moved a deadline. Rung while it runs, it runs once more: no ring is lost. Else it waits at least
    `rest` times as long as its last run took, for work that can wait and that others would feel.
    """

    def __init__(
        self,
        scheduler: BackgroundScheduler,
        name: str,
        work: Callable[[], datetime | None],
        *,
        longest: float,
        clock: Callable[[], datetime],
        report: Callable[[str, datetime, str | None], None],
        rest: float = 0.0,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scheduler = scheduler
        self._name = name
        self._work = work
        self._longest = timedelta(seconds=longest)
        self._clock = clock
        self._report = report
        self._rest = rest
        self._timer = timer
        self._rung = threading.Event()
        self._alone = threading.Lock()
        self._stopping = threading.Event()

    def start(self) -> None:
        """Put the job on the scheduler, to run at once."""
        self._scheduler.add_job(
            self._run,
            _AfterNow(self._longest),
            id=self._name,
            next_run_time=self._clock(),
            coalesce=True,
            max_instances=3,
            misfire_grace_time=None,
        )

    def ring(self) -> None:
        """Run as soon as possible."""
        self._rung.set()
        self._next_run(self._clock())

    def stop(self) -> None:
        """Run no more; return once the run under way has ended."""
        self._stopping.set()
        with self._alone:
            return

    def _run(self) -> None:
        # A run that finds another under way leaves its ring to that one, which looks for it after
        # it has let go of the lock: so no ring is lost, and no two runs overlap.
        while not self._stopping.is_set() and self._alone.acquire(blocking=False):
            try:
                self._rung.clear()
                begun = self._timer()
                wanted = self._once()
                took = self._timer() - begun
            finally:
                self._alone.release()
            if not self._rung.is_set():
                self._sleep_until(wanted, max(SHORTEST, timedelta(seconds=took * self._rest)))
                return

    def _once(self) -> datetime | None:
        try:
            wanted = self._work()
        except StorageUnavailable as error:
            log.warning("job_waits_for_database", job=self._name, reason=str(error))
            self._report(self._name, self._clock(), str(error))
        except Exception as error:
            # The next run may well succeed; a job that ended here would be an outage of ours.
            log.exception("job_failed", job=self._name)
            self._report(self._name, self._clock(), f"{type(error).__name__}: {error}")
        else:
            self._report(self._name, self._clock(), None)
            return wanted
        return None

    def _sleep_until(self, wanted: datetime | None, at_least: timedelta) -> None:
        now = self._clock()
        if wanted is not None and wanted < now + self._longest:
            self._next_run(max(wanted, now + at_least))

    def _next_run(self, at: datetime) -> None:
        try:
            self._scheduler.modify_job(self._name, next_run_time=at)
        except JobLookupError:
            # The scheduler is stopping.
            return


def shut_down(scheduler: BackgroundScheduler, jobs: Iterable[PacedJob]) -> None:
    """Stop the scheduler and its jobs; return once the runs under way have ended."""
    # Were the scheduler to wait for them, it would do so under the lock that a job which ends needs
    # to say when it wants to run next, for ever.
    scheduler.shutdown(wait=False)
    for job in jobs:
        job.stop()
