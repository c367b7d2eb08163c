"""`serve --workers N`: one process that does nothing but keep N others running.

It forks the workers, so that all read the same settings and share the code in memory. It holds their
listening sockets too: while a worker that died is started again, its clients wait and aren't turned
away.
"""

import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import NoReturn

import structlog

DRAIN = 10.0
"""Seconds that workers have for what they began; what is acknowledged is stored before that."""
LONGEST_DELAY = 30.0
LONG_LIFE = 60.0
"""Seconds; a worker that lived for so long is started again at once, whatever ended it."""
LONGEST_HOLD = 1.0
"""Seconds that clients may wait for a worker. For longer, they are better off with the others."""

_ENDING = (signal.SIGTERM, signal.SIGINT)
_WATCHED = (*_ENDING, signal.SIGCHLD)

log = structlog.get_logger(__name__)

Sockets = Sequence[socket.socket]
Run = Callable[[int, Sockets], None]
"""Does the work of a worker, given its number and where to listen; returns after SIGTERM."""


def restart_delay(lived: float, short_lives: int) -> float:
    """Return the seconds to wait before a worker is started again.

    `lived` is how long it did, `short_lives` how many before it died young in a row. The first is
    started again at once: most deaths, such as for want of memory, do not repeat.
    """
    if lived >= LONG_LIFE or short_lives == 0:
        return 0.0
    return float(min(2 ** min(short_lives - 1, 10), LONGEST_DELAY))


@dataclass(slots=True)
class _Worker:
    number: int
    sockets: list[socket.socket] = field(default_factory=list)
    pid: int | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    short_lives: int = 0


class Supervisor:
    """Keeps `count` workers running until SIGTERM or SIGINT. For the main thread of a process.

    `listen` opens the sockets of one worker; `on_ended` is told the number of one that has ended.
    """

    def __init__(
        self,
        count: int,
        run: Run,
        *,
        listen: Callable[[], list[socket.socket]],
        on_ended: Callable[[int], None],
    ) -> None:
        self._run = run
        self._listen = listen
        self._on_ended = on_ended
        self._workers = [_Worker(number) for number in range(1, count + 1)]
        self._asked_to_end = False
        # Read by every worker: it ends when this process does, however that comes about.
        self._alive_read, self._alive_write = os.pipe()

    def run(self) -> None:
        """Start the workers, keep them running, and return when told to end and all have."""
        for worker in self._workers:
            worker.sockets = self._listen()
        with _signals(self._note) as wake:
            while not self._asked_to_end:
                self._reap()
                self._start_due()
                _sleep(wake, self._until_next_start())
            self._end(wake)

    def _note(self, number: int, _frame: object) -> None:
        self._asked_to_end = self._asked_to_end or number in _ENDING

    # --- starting ------------------------------------------------------------------------------

    def _start_due(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if worker.pid is None and worker.start_at <= now:
                self._start(worker)

    def _start(self, worker: _Worker) -> None:
        if not worker.sockets:
            worker.sockets = self._listen()
        worker.started_at = time.monotonic()
        # Blocked meanwhile: a signal that reached the child while it still has our handlers would
        # be lost.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        pid = os.fork()
        if pid == 0:
            self._become(worker, before)
        worker.pid = pid
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        log.info("worker_started", worker=worker.number, pid=pid)

    def _become(self, worker: _Worker, mask: set[int | signal.Signals]) -> NoReturn:
        """Turn this process, just forked, into the worker."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _WATCHED:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(self._alive_write)
            threading.Thread(target=_end_with, args=(self._alive_read,), daemon=True).start()
            for other in self._workers:
                if other is not worker:
                    _close(other)
            self._run(worker.number, worker.sockets)
            status = 0
        except BaseException:
            log.exception("worker_failed", worker=worker.number)
        finally:
            # Not sys.exit: what the supervisor's own stack holds is not this process's to tidy up.
            os._exit(status)

    def _until_next_start(self) -> float | None:
        waiting = [worker.start_at for worker in self._workers if worker.pid is None]
        return max(min(waiting) - time.monotonic(), 0.0) if waiting else None

    # --- ending --------------------------------------------------------------------------------

    def _reap(self) -> None:
        for worker in self._workers:
            if worker.pid is None:
                continue
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                self._ended(worker, status)

    def _ended(self, worker: _Worker, status: int) -> None:
        pid, worker.pid = worker.pid, None
        self._on_ended(worker.number)
        if self._asked_to_end:
            return
        lived = time.monotonic() - worker.started_at
        delay = restart_delay(lived, worker.short_lives)
        worker.short_lives = 0 if lived >= LONG_LIFE else worker.short_lives + 1
        worker.start_at = time.monotonic() + delay
        if delay > LONGEST_HOLD:
            _close(worker)
        log.error(
            "worker_ended",
            worker=worker.number,
            pid=pid,
            status=os.waitstatus_to_exitcode(status),
            lived=round(lived, 3),
            starts_again_in=delay,
        )

    def _end(self, wake: int) -> None:
        end = time.monotonic() + DRAIN
        for worker in self._workers:
            # Nobody new is let in by us while the workers see those off who are there.
            _close(worker)
            self._kill(worker, signal.SIGTERM)
        while self._running() and time.monotonic() < end:
            _sleep(wake, max(end - time.monotonic(), 0.0))
            self._reap()
        for worker in self._running():
            log.warning("worker_killed", worker=worker.number, pid=worker.pid, after=DRAIN)
            self._kill(worker, signal.SIGKILL)
            assert worker.pid is not None
            os.waitpid(worker.pid, 0)

    def _running(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.pid is not None]

    def _kill(self, worker: _Worker, number: signal.Signals) -> None:
        if worker.pid is not None:
            # Not reaped yet, so that the number can't have passed to another process.
            with suppress(ProcessLookupError):
                os.kill(worker.pid, number)


def _end_with(alive: int) -> None:
    """End this worker as by SIGTERM once the supervisor is gone: nobody would ever end it."""
    os.read(alive, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _close(worker: _Worker) -> None:
    for one in worker.sockets:
        one.close()
    worker.sockets = []


@contextmanager
def _signals(note: Callable[[int, object], None]) -> Iterator[int]:
    """Call `note` for each signal that concerns us, and yield what becomes readable with it."""
    wake, woken = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    handlers = {number: signal.signal(number, note) for number in _WATCHED}
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    try:
        yield wake
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(wake)
        os.close(woken)


def _sleep(wake: int, seconds: float | None) -> None:
    select.select([wake], [], [], seconds)
    with suppress(BlockingIOError):
        os.read(wake, 4096)
